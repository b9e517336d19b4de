"""The example on BlackSheep, served by a real server."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.servers.process import ServerProcess, free_port, scratch_folder, wait_until

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def url() -> Iterator[str]:
    """Return where the example is served."""
    port, folder = free_port(), scratch_folder("example")
    clean = [f"-u{name}" for name in os.environ if name.startswith("LIMPET_")]
    serve = ["-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", str(port), "blacksheep_app:app"]
    server = ServerProcess(["/usr/bin/env", *clean, sys.executable, *serve], folder)
    server.start()
    try:
        wait_until(lambda: "running on" in server.log.read_text(), "the start of the example", 30)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def test_note_board(url: str) -> None:
    """Notes stay with the visitor, a login changes the id and keeps them, and a logout ends both."""
    with httpx.Client(base_url=url, follow_redirects=True) as browser:
        assert "Nobody: 1 visits" in browser.get("/").text
        page = browser.post("/notes", data={"text": "buy <milk>"}).text
        assert "<li>buy &lt;milk&gt;" in page
        before = browser.cookies["session"]
        page = browser.post("/login", data={"text": "ann"}).text
        assert "ann: 3 visits" in page
        assert "milk" in page
        assert browser.cookies["session"] != before
        page = browser.post("/logout").text
        assert "Nobody: 1 visits" in page
        assert "milk" not in page
        stolen = httpx.get(url, headers={"Cookie": f"session={before}"})
        assert "milk" not in stolen.text
