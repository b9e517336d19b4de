"""Instructions of a request that reads and writes, counted by ``valgrind --tool=callgrind``: no noise at all."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["SUBJECTS", "count"]

SUBJECTS = (
    "asgi",
    "Starlette",
    "limpet, signed cookie",
    "limpet, encrypted cookie",
    "limpet, memory",
    "Flask without",
    "Flask, cookie",
    "Flask, limpet signed",
    "Flask-Session, Redis",
    "Flask, limpet Redis",
)
_FEW, _MANY = 50, 300


def _run(subject: str, requests: int, folder: str) -> int:
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={Path(folder) / 'out'}"]
    command += [sys.executable, "-m", "benchmarks.instructions", subject, str(requests)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = re.search(r"Collected : (\d+)", said)
    assert found is not None, said
    return int(found[1])


def count() -> dict[str, int] | None:
    """Return the instructions of one request by subject, the application included; None where valgrind is missing."""
    if shutil.which("valgrind") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        return {
            subject: (_run(subject, _MANY, folder) - _run(subject, _FEW, folder)) // (_MANY - _FEW)
            for subject in SUBJECTS
        }


def _main(name: str, requests: int) -> None:
    from benchmarks import frameworks, plain
    from benchmarks.drive import FOREIGN, seeded

    subject = next(each for each in (*plain.SUBJECTS, *frameworks.SUBJECTS) if each.name == name)
    call = subject.make()

    async def work() -> None:
        cookie = FOREIGN if subject.group == "none" else await seeded(call)
        for _ in range(requests):
            await call("/write", cookie)

    coroutine = work()  # without an event loop: nothing here waits
    with suppress(StopIteration):
        coroutine.send(None)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
