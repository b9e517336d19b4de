"""Check that every public name of the package has a type that each type checker sees alike.

Usage: ``python -m scripts.check_types``. Prints one line per problem; exit code 1 if there is any.

pyright tells it of an installed package, ``pyright --verifytypes``: a type that is missing is an error there, and so is
one that checkers might infer differently. So the wheel is built and put into an environment of its own, which looks
into this one for everything else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]

_NOT_OURS: Final = (
    # Django has no annotations: what is a subclass of one of its classes is of a type that no checker knows.
    ("limpet.adapters.django.", ("Type of metaclass unknown", "Type of base class")),
    # What `check_histories` is made of; it is in `limpet.testing`, and only there.
    ("limpet.testing.histories.", ("",)),
)
"""Prefixes of names, to beginnings of what may be said of them."""


def verify(folder: Path) -> dict[str, Any]:
    """Return what pyright says of the package, from an environment that is made in a folder."""
    environment = folder / "environment"
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, ROOT],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    packages = environment / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", packages, wheel],
        check=True,
    )
    others = [path for path in sys.path if path and Path(path).name == "site-packages"]
    (packages / "others.pth").write_text("\n".join([*others, sysconfig.get_path("purelib")]) + "\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--ignoreexternal", "--verifytypes", "limpet"],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(environment),
            "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    report: dict[str, Any] = json.loads(done.stdout)["typeCompleteness"]
    return report


def problems(report: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each public name whose type is not known, or may be taken for another."""
    for symbol in report["symbols"]:
        # `__getattr__` of a module that stands for another is what a function returns, which says what it is.
        if symbol["isTypeKnown"] or not symbol["isExported"] or symbol["name"].endswith(".__getattr__"):
            continue
        for each in symbol["diagnostics"]:
            said = each["message"].splitlines()[0]
            if each["severity"] == "error" and not any(
                symbol["name"].startswith(prefix) and said.startswith(begins) for prefix, begins in _NOT_OURS
            ):
                place = each.get("range", {}).get("start", {}).get("line")
                yield f"{symbol['name']}{'' if place is None else f' (line {place + 1})'}: {said}"


def main() -> int:
    """Print what was found; return 1 if there was anything."""
    with tempfile.TemporaryDirectory(prefix="limpet-types-") as folder:
        report = verify(Path(folder))
    found = sorted(set(problems(report)))
    for problem in found:
        print(problem)
    counts = report["exportedSymbolCounts"]
    total = sum(counts.values())
    if not total:
        print("pyright found no package")
        return 1
    print(f"{counts['withKnownType']} of {total} public names have a known type; {len(found)} problems")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
