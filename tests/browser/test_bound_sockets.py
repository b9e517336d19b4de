"""A real Chromium proves its device before it opens a WebSocket, so that one that was closed for that comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from limpet import events
from limpet.adapters.starlette import get_session
from tests.browser.test_bound import PROOF, World, bound_page, profiles, shown
from tests.security.web import served

__all__ = ["profiles"]

pytestmark = pytest.mark.browser

_TALK = """() => {
    window.said = [];
    const open = () => {
        const socket = new WebSocket(`wss://${location.host}/talk`);
        socket.onmessage = message => said.push(message.data);
        socket.onclose = closed => { said.push(`${closed.code} ${closed.reason}`); setTimeout(open, 50); };
    };
    open();
}"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return an application that runs, with a socket."""
    found = World(tmp_path, WebSocketRoute("/talk", talk), close_sockets=0.1)
    with served(found.app, **found.tls) as found.port:
        yield found


async def talk(socket: WebSocket) -> None:
    """Say whose session it is, and wait until the client or the server hangs up."""
    await socket.accept()
    await socket.send_text(str(get_session(socket).subject))
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def said(page: Page, count: int) -> Any:
    """Return what a page's sockets were told, once it is so much."""
    await page.wait_for_function(f"said.length >= {count}")
    return await page.evaluate("said")


async def test_a_socket_that_was_closed_comes_back_with_a_proof(world: World, profiles: Any) -> None:
    page = await bound_page(world, profiles)
    assert await shown(page, world.url("/me")) == '"ann"'
    await page.evaluate(_TALK)
    assert await said(page, 1) == ["ann"]
    await page.context.clear_cookies(name=PROOF)  # as its time is over in the browser before it is on the server
    world.clock.advance(700)
    assert (await said(page, 3))[:3] == ["ann", "1008 its device is to be proven again", "ann"]
    assert world.count(events.DeviceProven) == 1
    assert world.count(events.DeviceUnproven) == 0
