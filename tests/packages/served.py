"""Serves an application of these tests in a process of its own: what its package changes in others stays there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.servers.process import ServerProcess, free_port, wait_until

__all__ = ["served"]

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def served(name: str, folder: Path, **environment: str) -> Iterator[str]:
    """Run ``tests.packages.<name>:app`` under uvicorn, and give its address; it ends with the block."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"  # which the application finds in ADDRESS
    serve = ["-m", "uvicorn", "--app-dir", str(ROOT), f"tests.packages.{name}:app", "--port", str(port)]
    server = ServerProcess([sys.executable, *serve], folder)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in {"ADDRESS": address, **environment}.items():
            patch.setenv(variable, value)
        server.start()

    def answers() -> bool:
        assert server.running, server.log.read_text()
        try:
            return httpx.get(f"{address}/data").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, f"the start of {name}", 60)
        yield address
    finally:
        server.stop()
