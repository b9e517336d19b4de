"""A Python that has limpet with one of its extras, what these require, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SOURCES = Path(__file__).resolve().parents[1] / "src"


def run_with_only(extra: str, program: str) -> str:
    """Run a program there and return what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        for place in _places(extra):
            target = Path(folder) / place.name
            if not target.exists():
                target.symlink_to(place)
        (Path(folder) / "limpet").symlink_to(SOURCES / "limpet")
        start = f"import sys; sys.path.append({folder!r})\n"
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", start + program], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _places(extra: str) -> set[Path]:
    """Return the files and folders at the top of every distribution that limpet requires with an extra."""
    places: set[Path] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    project = tomllib.loads((SOURCES.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    open_ends = [*map(Requirement, project["dependencies"] + project["optional-dependencies"][extra])]
    while open_ends:
        wanted = open_ends.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        found = distribution(wanted.name)
        for file in found.files or ():
            if file.parts[0] not in ("..", "__pycache__"):
                places.add(Path(str(found.locate_file(file.parts[0]))))
        open_ends.extend(
            required
            for required in map(Requirement, found.requires or ())
            if required.marker is None or any(required.marker.evaluate({"extra": e}) for e in wanted.extras or {""})
        )
    return places
