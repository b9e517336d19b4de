"""python-socketio: who connects is known by our session, which events read, change and save."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import socketio

from tests.servers.process import ServerProcess, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server."""
    port = free_port()
    serve = ["-m", "uvicorn", "--app-dir", str(ROOT), "tests.packages.socketio_site:app", "--port", str(port)]
    server = ServerProcess([sys.executable, *serve], tmp_path_factory.mktemp("socketio"))
    server.start()
    at = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert server.running, server.log.read_text()
        try:
            return httpx.get(f"{at}/data").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, "the start of Socket.IO", 60)
        yield at
    finally:
        server.stop()


async def _connected(address: str, browser: httpx.Client, transport: str) -> Any:
    client = socketio.AsyncClient(reconnection=False)
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    await client.connect(address, headers=headers, transports=[transport])
    return client


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_connection_has_the_session(address: str, transport: str) -> None:
    """Events know the user and count in the session of the pages; after a logout there is none any more."""
    with httpx.Client(base_url=address) as browser:
        browser.get("/login/ann")
        client = await _connected(address, browser, transport)
        try:
            assert await client.call("whoami") == "ann"
            assert await client.call("say", "hello") == 1
            assert await client.call("say", "again") == 2
            assert browser.get("/data").json() == {"said": 2, "last": "again"}
            browser.get("/logout")
            assert await client.call("say", "too late") is None
            assert browser.get("/data").json() == {}
        finally:
            await client.disconnect()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_an_anonymous_connection_is_refused(address: str, transport: str) -> None:
    """Without a login nobody connects."""
    with httpx.Client(base_url=address) as browser:
        with pytest.raises(socketio.exceptions.ConnectionError):
            await _connected(address, browser, transport)
