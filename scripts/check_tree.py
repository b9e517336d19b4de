"""Look at the files that git keeps, or would keep, for what does not belong into a repository.

No Python file over 400 lines, no file over 512 KiB, no path of the machine it was written on, no host of
a package registry (a pinned list that names one works for whoever can reach it, and for nobody else).
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LINES = 400
BYTES = 512 * 1024

REGISTRY = re.compile(r"pypi\.(?:org|python)|pythonhosted\.|registry\.npm|index[-_]url|https?:.*\.whl\b")
HOMES = re.compile(r"(?<![\w.])/(?:home|Users|root)/\w")


def kept_files() -> list[Path]:
    """Return the tracked files and the new ones that no .gitignore names."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True).stdout
    return [path for name in names.split(b"\0") if name and (path := Path(name.decode())).is_file()]


def problems(path: Path, here: str) -> Iterator[str]:
    """Yield one line for each thing in a file that should not be there."""
    content = path.read_bytes()
    if len(content) > BYTES:
        yield f"{path}: {len(content)} bytes, over {BYTES}; is it generated?"
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        return
    if path.suffix == ".py" and len(lines) > LINES:
        yield f"{path}: {len(lines)} lines, over {LINES}; is it one idea?"
    for number, line in enumerate(lines, 1):
        if REGISTRY.search(line):
            yield f"{path}:{number}: names a package registry's host"
        if here in line or HOMES.search(line):
            yield f"{path}:{number}: names a path of one machine"


def main() -> int:
    """Print what was found; return 1 if there was anything."""
    here = f"{Path.cwd()}/"
    this = Path(__file__).resolve().relative_to(Path.cwd())
    found = [problem for path in kept_files() if path != this for problem in problems(path, here)]
    for problem in found:
        print(problem)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
