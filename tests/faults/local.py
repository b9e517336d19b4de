"""Stores on this machine, and other processes that use them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import limpet.errors

ROOT = Path(__file__).parents[2]
SOURCE = Path(limpet.errors.__file__).parents[1]
KINDS = ("sqlite", "file")
IN_FLIGHT = 200  # requests at the moment when a server is told to end


def url(kind: str, folder: Path) -> str:
    """Return the URL of a store in that folder, with a budget that a busy machine does not use up."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'sessions.db'}?busy_timeout=30"
    return f"file:{folder / 'sessions'}?lock_timeout=30"


@contextlib.contextmanager
def running(*job: str, module: str = "tests.faults.local_worker") -> Iterator[subprocess.Popen[str]]:
    """Run a process of one of the workers here; nothing of it, nor of what it forked, outlives the test."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", module, *job],
        cwd=ROOT,
        env={"PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):  # all have ended, as they should
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def finish(process: subprocess.Popen[str]) -> None:
    """Wait until a process has ended well."""
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
