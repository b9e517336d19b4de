"""The source distributions of other projects, with the tests that they bring. Run from where they are, never copied."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

__all__ = ["Counts", "run", "unpacked"]

_FOLDER = Path(__file__).parents[2] / ".limpet-sdists"


class Counts(NamedTuple):
    """What came of a run of another project's tests.

    Attributes:
        passed: How many passed.
        failed: The ids of those that did not, in order.
        text: What pytest printed.
    """

    passed: int
    failed: tuple[str, ...]
    text: str


def unpacked(name: str, version: str) -> Path:
    """Return the folder of a source distribution, which pip downloads once.

    Raises:
        RuntimeError: pip cannot download it; the message has what it said.
    """
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / ".gitignore").write_text("*\n")
    folder = _FOLDER / f"{name}-{version}"
    with (_FOLDER / f"{name}-{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes of one run, the first downloads
        if not folder.exists():
            archive = _download(name, version)
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
            archive.unlink()
    (only,) = folder.iterdir()
    return only


def _download(name: str, version: str) -> Path:
    folder = _FOLDER / f"download-{name}-{version}"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name),
            *("--dest", str(folder), f"{name}=={version}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    found = sorted(folder.glob("*.tar.gz")) if folder.exists() else []
    if done.returncode or not found:
        raise RuntimeError(
            f"pip cannot download the sources of {name} {version}, whose tests are run here:\n{done.stderr[-2000:]}"
        )
    archive = found[0].rename(folder.with_suffix(".tar.gz"))
    folder.rmdir()
    return archive


def run(folder: Path, plugin: str, files: list[str], *options: str, **environ: str) -> Counts:
    """Run tests of another project by pytest, in a process of its own.

    Args:
        folder: The project's.
        plugin: A module here that puts limpet in the place of what is tested.
        files: What to run, below the folder.
        options: For pytest.
        environ: Variables for the process.
    """
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *(path for path in sys.path if path)])
    own = [name for name in ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg") if (folder / name).exists()]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-rA", "--no-header", "--tb=short"),
            *("-c", own[0] if own else os.devnull, "--rootdir", str(folder)),
            *("-p", "no:cacheprovider", "-p", plugin, *options, *files),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
    return Counts(len(re.findall(r"^PASSED ", text, re.MULTILINE)), tuple(dict.fromkeys(failed)), text)
