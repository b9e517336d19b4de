"""Look at the files that git keeps, or would keep, for what does not belong into a repository.

No Python file over 400 lines, no file over 512 KiB, no secret that a program has left, no path of the machine it was
written on, no host of a package registry (a pinned list that names one works only where that registry can be reached),
and nowhere the former name of the project, which belongs to somebody else on the package index.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LINES = 400
BYTES = 512 * 1024
THIS = Path("scripts/check_tree.py")  # its own patterns name what they look for

REGISTRY = re.compile(r"pypi\.(?:org|python)|pythonhosted\.|registry\.npm|index[-_]url|https?:.*\.whl\b")
FORMER = re.compile(rb"h[o]ldfast", re.IGNORECASE)  # in brackets, so that this line is not a finding
SECRETS = re.compile(r"\.sesskey|\.env|.*\.(?:key|pem|p12)|id_(?:rsa|ed25519)")  # file names
MADE = re.compile(  # folders that an unpacked source distribution has no .gitignore to tell from others
    r"\.(?:git|venv.*|.*_cache|cache|hypothesis|limpet)|__pycache__|.*\.egg-info|build|dist|htmlcov|site|test-results"
)
HOMES = re.compile(r"(?<![\w.])/(?:home|Users|root)/\w")


def kept_files(root: Path) -> list[Path]:
    """Return the files of the repository, relative to its root: tracked ones, and new ones that no .gitignore names.

    In an unpacked source distribution, which is no repository, that is every file outside of folders that are made.
    """
    if not (root / ".git").exists():
        found: list[Path] = []
        for folder, inner, files in os.walk(root):
            inner[:] = [name for name in inner if not MADE.fullmatch(name)]
            found += [(Path(folder) / name).relative_to(root) for name in files if not name.endswith(".pyc")]
        return sorted(found)
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True, cwd=root).stdout
    return [path for name in names.split(b"\0") if name and (root / (path := Path(name.decode()))).is_file()]


def problems(root: Path, path: Path) -> Iterator[str]:
    """Yield one line for each thing in a file that should not be there."""
    content = (root / path).read_bytes()
    if FORMER.search(str(path).encode()):
        yield f"{path}: its name has the project's former name in it"
    if SECRETS.fullmatch(path.name):
        yield f"{path}: by its name, it holds a secret"
    if len(content) > BYTES:
        yield f"{path}: {len(content)} bytes, over {BYTES}; is it generated?"
    for number, raw in enumerate(content.splitlines(), 1):
        if FORMER.search(raw):
            yield f"{path}:{number}: names the project by its former name"
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        return
    if path.suffix == ".py" and len(lines) > LINES:
        yield f"{path}: {len(lines)} lines, over {LINES}; is it one idea?"
    for number, line in enumerate(lines, 1):
        if path != THIS and REGISTRY.search(line):
            yield f"{path}:{number}: names a package registry's host"
        if f"{root}/" in line or HOMES.search(line):
            yield f"{path}:{number}: names a path of one machine"


def main() -> int:
    """Print what was found; return 1 if there was anything."""
    root = Path.cwd()
    found = [problem for path in kept_files(root) for problem in problems(root, path)]
    for problem in found:
        print(problem)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
