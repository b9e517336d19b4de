"""Make an environment with the lowest version of everything that ``pyproject.toml`` names for users.

Usage: ``python -m scripts.lowest [--python PYTHON] FOLDER``. The bounds of the extras are resolved downwards
(``--resolution lowest-direct``: what limpet names itself is as old as its bound, and what those need is as new as they
take), and installed, and beside them the suite's own tools, as new as these versions let them be.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path
from subprocess import PIPE
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[1]

_APART: Final = (
    "flask-admin flask-login flask-security-too flask-wtf joserfc nicegui "
    "axe-playwright-python playwright python-fasthtml python-socketio slowapi sqladmin starlette-admin starlette-flash "
    "build codespell griffelib import-linter mkdocs mkdocs-material mkdocstrings mypy pyright pytest-cov ruff twine uv"
)
"""What the group ``dev`` holds that the tests of limpet's own parts do not stand on: packages that applications put
beside it, and the tools of other jobs."""


def resolve(python: str, *words: str, requirements: str = "") -> list[str]:
    """Return what uv makes of requirements, as ``name==version``.

    Raises:
        subprocess.CalledProcessError: They contradict each other.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    done = subprocess.run(
        [*command, "--python", python, *words], cwd=ROOT, check=True, stdout=PIPE, text=True, input=requirements
    )
    return [line for line in done.stdout.splitlines() if line and not line.startswith(("#", "-"))]


def lowest(python: str) -> list[str]:
    """Return the lowest versions of everything that users install with limpet."""
    return resolve(python, "--resolution", "lowest-direct", "--all-extras", "pyproject.toml")


def tools(python: str, beside: list[str]) -> list[str]:
    """Return the newest versions of the suite's own tools that go with the pins of other packages, and those pins."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    wanted = [each for each in groups["dev"] if canonicalize_name(Requirement(each).name) not in _APART.split()]
    return resolve(python, "-", requirements="\n".join([*wanted, *beside]))


def main() -> int:
    """Make the environment; print the pins."""
    parser = argparse.ArgumentParser(description="Make an environment with the lowest versions that are claimed.")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    pins = lowest(asked.python)
    print("\n".join(pins))
    subprocess.run([asked.python, "-m", "venv", "--clear", asked.folder], check=True)
    pip = [asked.folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *tools(asked.python, pins), "--editable", "."], check=True, cwd=ROOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
