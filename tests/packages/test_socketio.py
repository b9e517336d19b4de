"""python-socketio: who connects is known by our session, which events read, change and save."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
import pytest
import socketio
import socketio.exceptions as socketio_exceptions

from tests.packages.served import served


class Polling:
    """A Socket.IO client that polls, each message in a request of its own; the browser brings the cookies."""

    def __init__(self, browser: httpx.Client) -> None:
        self._browser = browser
        self._sid: str | None = None

    def connect(self) -> None:
        """Connect, or raise `PermissionError` with what the server says."""
        opened = self._browser.get("/socket.io/", params=self._where())
        self._sid = json.loads(opened.text[1:])["sid"]
        self._send("40")
        answer = self._poll()
        if answer.startswith("44"):
            raise PermissionError(json.loads(answer[2:])["message"])
        assert answer.startswith("40"), answer

    def call(self, event: str, *args: Any) -> Any:
        """Send an event, and return what its handler returned."""
        self._send(f"421{json.dumps([event, *args])}")
        answer = self._poll()
        assert answer.startswith("431"), answer
        return (json.loads(answer[3:]) or [None])[0]

    def close(self) -> None:
        self._send("1")

    def _where(self) -> dict[str, str]:
        return {"EIO": "4", "transport": "polling"} | ({} if self._sid is None else {"sid": self._sid})

    def _send(self, text: str) -> None:
        self._browser.post("/socket.io/", params=self._where(), content=text).raise_for_status()

    def _poll(self) -> str:
        """Return the next message that is no heartbeat."""
        while True:
            answer = self._browser.get("/socket.io/", params=self._where())
            answer.raise_for_status()
            for text in answer.text.split("\x1e"):
                if text != "2":
                    return text
            self._send("3")


@asynccontextmanager
async def connected(address: str, browser: httpx.Client) -> AsyncIterator[Any]:
    """Connect by WebSocket with python-socketio's own client and the cookies of a browser."""
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    async with aiohttp.ClientSession() as http:
        client = socketio.AsyncClient(reconnection=False, http_session=http)
        try:
            await client.connect(address, headers=headers, transports=["websocket"])
            yield client
        finally:
            await client.shutdown()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server."""
    with served("socketio_site", tmp_path_factory.mktemp("socketio")) as at:
        yield at


async def test_a_websocket_has_the_session(address: str) -> None:
    """Events know the user and count in the session of the pages; after a logout there is none any more."""
    with httpx.Client(base_url=address) as browser:
        browser.get("/login/ann")
        async with connected(address, browser) as client:
            assert await client.call("whoami") == "ann"
            assert [await client.call("say", text) for text in ("hello", "again")] == [1, 2]
            assert browser.get("/data").json() == {"said": 2, "last": "again"}
            browser.get("/logout")
            assert await client.call("say", "too late") is None


def test_polling_has_the_session(address: str) -> None:
    """So they do where the request that connected is over before the first event comes."""
    with httpx.Client(base_url=address) as browser:
        browser.get("/login/ann")
        client = Polling(browser)
        client.connect()
        assert client.call("whoami") == "ann"
        assert [client.call("say", text) for text in ("hello", "again")] == [1, 2]
        assert browser.get("/data").json() == {"said": 2, "last": "again"}
        browser.get("/logout")
        assert client.call("say", "too late") is None
        client.close()


async def test_an_anonymous_connection_is_refused(address: str) -> None:
    """Without a login nobody connects, by neither way."""
    with httpx.Client(base_url=address) as browser:
        with pytest.raises(socketio_exceptions.ConnectionError):
            async with connected(address, browser):
                pass
        with pytest.raises(PermissionError, match="log in"):
            Polling(browser).connect()
