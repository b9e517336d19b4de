"""Stores that work on threads, in an application that serves on a thread of its own after its main thread has ended.

From then on the interpreter gives out no more threads to executors, and waits for those that are at work.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import limpet.errors

_PROGRAM = """
import asyncio, sys, threading
from limpet.stores import Record, open_store
store = open_store(sys.argv[1])

async def serve():
    if sys.argv[2] == "used before":
        await store.open()
    while threading.main_thread().is_alive():
        await asyncio.sleep(0.01)
    print((await store.create("0" * 64, Record(1, b"", 1, 2, "ada"), now=1)).name)
    print(await store.load("0" * 64), await store.load_many(["0" * 64] * 20))
    print(len(await store.find("ada")), len((await store.scan(None, 10))[0]), await store.count())
    print((await store.delete("0" * 64)).name)
    await store.close()

threading.Thread(target=lambda: asyncio.run(serve())).start()
"""


@pytest.mark.parametrize("before", ["used before", "new"])
@pytest.mark.parametrize("url", ["file:{}", "sqlite:///{}/sessions.db"])
def test_a_server_whose_main_thread_has_ended(tmp_path: Path, url: str, before: str) -> None:
    """Each call is carried out, on the thread of the event loop."""
    command = [sys.executable, "-c", _PROGRAM, url.format(tmp_path), before]
    environment = {"PYTHONPATH": str(Path(limpet.errors.__file__).parents[1])}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    record = "<Record of 0 bytes>"
    done = f"DONE\n{record} [{', '.join([record] * 20)}]\n1 1 1\nDONE\n"
    assert (ended.stdout, ended.stderr) == (done, "")
