"""The demo as a child process, as ``limpet demo`` starts it."""

from __future__ import annotations

import os
import shutil
import sys
from types import TracebackType
from typing import Self

from tests.servers.process import ServerProcess, free_port, scratch_folder, wait_until

__all__ = ["DemoServer"]


class DemoServer:
    """One server on a port and in a folder of its own, which outlive `kill` and `start`."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.folder = scratch_folder("demo")
        command = [sys.executable, "-m", "limpet", "demo", "--port", str(self.port), *options]
        clean = [f"-u{name}" for name in os.environ if name.startswith("LIMPET_")]
        self.process = ServerProcess(["/usr/bin/env", *clean, *command], self.folder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def output(self) -> str:
        """What it has printed since it was started."""
        return self.process.log.read_text()

    def start(self) -> Self:
        """Start it and wait until it says where it is."""
        self.process.start()
        wait_until(self._ready, "the start of the demo", 30)
        return self

    def _ready(self) -> bool:
        assert self.process.running, f"the demo ended while it started:\n{self.output}"
        return "The demo is at" in self.output

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
