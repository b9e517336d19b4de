"""A Python that has limpet, FastAPI, what these require, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SOURCES = Path(__file__).resolve().parents[2] / "src"


def run_with_only_fastapi(program: str) -> str:
    """Run a program there and return what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        for place in _places():
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


def _places() -> set[Path]:
    """Return the files and folders at the top of every distribution that ``limpet[fastapi]`` requires."""
    places: set[Path] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    open_ends = [("limpet", frozenset({"fastapi"}))]
    while open_ends:
        name, extras = open_ends.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found = distribution(name)
        if name != "limpet":
            for file in found.files or ():
                if file.parts[0] not in ("..", "__pycache__"):
                    places.add(Path(str(found.locate_file(file.parts[0]))))
        for line in found.requires or ():
            required = Requirement(line)
            if required.marker is None or any(required.marker.evaluate({"extra": each}) for each in extras or {""}):
                open_ends.append((canonicalize_name(required.name), frozenset(required.extras)))
    return places
