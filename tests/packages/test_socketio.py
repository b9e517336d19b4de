"""python-socketio: who connects is known by our session, which events read, change and save."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
import pytest
import socketio
import socketio.exceptions as socketio_exceptions

from tests.packages.served import served


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server."""
    with served("socketio_site", tmp_path_factory.mktemp("socketio")) as at:
        yield at


@asynccontextmanager
async def connected(address: str, browser: httpx.Client, transport: str) -> AsyncIterator[Any]:
    """Connect as a browser does, with its cookies; all of it is closed with the block, also after a refusal."""
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    async with aiohttp.ClientSession() as http:
        client = socketio.AsyncClient(reconnection=False, http_session=http)
        try:
            await client.connect(address, headers=headers, transports=[transport])
            yield client
        finally:
            await client.shutdown()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_connection_has_the_session(address: str, transport: str) -> None:
    """Events know the user and count in the session of the pages; after a logout there is none any more."""
    with httpx.Client(base_url=address) as browser:
        browser.get("/login/ann")
        async with connected(address, browser, transport) as client:
            assert await client.call("whoami") == "ann"
            assert await client.call("say", "hello") == 1
            assert await client.call("say", "again") == 2
            assert browser.get("/data").json() == {"said": 2, "last": "again"}
            browser.get("/logout")
            assert await client.call("say", "too late") is None


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_an_anonymous_connection_is_refused(address: str, transport: str) -> None:
    """Without a login nobody connects."""
    with httpx.Client(base_url=address) as browser:
        with pytest.raises(socketio_exceptions.ConnectionError):
            async with connected(address, browser, transport):
                pass
