"""Build what would be published, check it, and try it as a stranger would. Nothing is published.

Usage: ``python -m scripts.release [--python PYTHON] [EXTRA ...]``, or ``make release``. Exit code 1 if something is
wrong; every problem is printed.

1. The changelog says what this version brings, and names each public name that is gone or changed since the last tag.
2. A source distribution is built, and from it the wheel.
3. Both hold what they should and nothing else, and the package index would take them (``twine check``).
4. Each extra is installed from the wheel into an empty environment: there, every module that it is for can be
   imported. The README's example runs in one that was made by the README's own words.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scripts import release_checks, release_trial
from scripts.extras import ROOT, published_extras

DIST: Final = ROOT / "dist"


def say(text: str) -> None:
    """Print what is done next."""
    print(f"== {text}", flush=True)


def build(folder: Path) -> tuple[Path, Path]:
    """Build both distributions; return the source distribution and the wheel, in ``dist``.

    The wheel is built from the source distribution, so that what somebody else builds from it is the same.
    """
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    DIST.mkdir(exist_ok=True)
    made = []
    for pattern in ("*.tar.gz", "*.whl"):
        (path,) = folder.glob(pattern)
        made.append(Path(shutil.copy(path, DIST)))
    return made[0], made[1]


def before_building() -> Iterator[str]:
    """Yield what is wrong with the version, its line in the changelog, or a name that it lost."""
    version = release_checks.version_of(ROOT)
    changes = release_checks.changes(ROOT, version)
    yield from release_checks.version_problems(ROOT, version)
    yield from release_checks.changelog_problems(ROOT, version, changes)
    tag = release_checks.last_tag(ROOT)
    if tag is None:
        print("   there is no tag yet, so no earlier release to compare the public names with")
    else:
        print(f"   public names are compared with {tag}")
        yield from release_checks.api_problems(ROOT, tag, changes)
    yield from release_checks.address_problems(ROOT)


def after_building(sdist: Path, wheel: Path) -> Iterator[str]:
    """Yield what is wrong with what was built."""
    yield from release_checks.sdist_problems(ROOT, sdist)
    yield from release_checks.wheel_problems(ROOT, wheel)
    command = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        yield f"twine check: {done.stdout.strip()}"


def main() -> int:
    """Do it all; return 1 if there was a problem."""
    parser = argparse.ArgumentParser(prog="make release", description="Build, check and try what would be published.")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the empty environments")
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="try these extras only")
    asked = parser.parse_args()
    extras = asked.extras or sorted(published_extras())
    if unknown := set(extras) - published_extras():
        parser.error(f"no such extra: {', '.join(sorted(unknown))}")

    with tempfile.TemporaryDirectory(prefix="limpet-release-") as scratch:
        say("version, changelog, public names")
        problems = list(before_building())
        say("build")
        sdist, wheel = build(Path(scratch))
        say(f"check {sdist.name} and {wheel.name}")
        problems += after_building(sdist, wheel)
        for extra in extras:
            say(f"install limpet[{extra}] into an empty environment")
            problems += release_trial.extra_problems(asked.python, wheel, extra, Path(scratch) / extra)
        say("do as the README says")
        problems += release_trial.readme_problems(asked.python, wheel, Path(scratch) / "readme")
    for problem in problems:
        print(problem)
    say(f"{len(problems)} problems" if problems else f"ready: {sdist.relative_to(ROOT)}, {wheel.relative_to(ROOT)}")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
