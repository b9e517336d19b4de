"""Files of other projects that no package has: one commit of their repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["checkout"]


def checkout(folder: Path, repository: str, commit: str, *parts: str) -> Path:
    """Put the files of a commit into an empty folder, and return it. What cannot be had here skips the test.

    Args:
        parts: Of a large repository, the files and folders that are needed, by the rules of ``.gitignore``.
    """
    git = shutil.which("git")
    if git is None:
        pytest.skip("needs git")  # no dependency of ours: whoever has none still runs the rest
    for words in (
        ["init", "--quiet"],
        ["remote", "add", "origin", repository],
        ["fetch", "--quiet", "--depth=1", *(["--filter=blob:none"] if parts else []), "origin", commit],
        *([["sparse-checkout", "set", "--no-cone", *parts]] if parts else []),
        ["checkout", "--quiet", commit],
    ):
        done = subprocess.run(
            [git, *words],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
        if done.returncode:
            # without a network the rest runs, and the summary of the run names what did not
            pytest.skip(f"{repository} cannot be reached: {done.stderr.strip()[-200:]}")
    return folder
