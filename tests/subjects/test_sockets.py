"""A revocation reaches requests under way and open WebSockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from limpet.asgi import SessionMiddleware, session_in
from tests.site import Site, opened


async def test_request_under_way(tmp_path: Path) -> None:
    """What a request writes into a session that was revoked meanwhile is not stored, and it can ask."""
    async with opened("sqlite", tmp_path) as site:
        cookie = await site.login("ann")
        session = site.begin(cookie)
        await site.manager.load(session)
        assert await session.is_live()
        await site.manager.revoke_all("ann")
        assert not await session.is_live()
        session["late"] = True
        await site.manager.commit(session)
        assert site.manager.header(session) is None
        assert "WriteAfterEnd" in site.names()
        assert await site.whose(cookie) is None


@pytest.mark.parametrize("how", ["public id", "subject", "tag", "everyone"])
async def test_open_socket_is_closed(how: str, tmp_path: Path) -> None:
    """An open WebSocket of a middleware with ``close_sockets`` is closed with code 1008 however it was revoked."""
    async with opened("memory", tmp_path) as site:
        cookie = await site.login("ann", tags={"sid": "s1"})
        [info] = await site.manager.sessions_of("ann")
        sent: list[dict[str, Any]] = []
        accepted = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert session_in(scope).subject == "ann"
            await receive()
            await send({"type": "websocket.accept"})
            accepted.set()
            assert (await receive())["type"] == "websocket.disconnect"

        async def send(message: Any) -> None:
            sent.append(dict(message))

        first = [{"type": "websocket.connect"}]

        async def receive() -> Any:
            if first:
                return first.pop()
            await asyncio.Event().wait()

        name = site.manager.cookie_name
        headers = [(b"cookie", f"{name}={cookie}".encode())]
        scope = {"type": "websocket", "path": "/", "headers": headers, "state": {}}
        middleware = SessionMiddleware(app, site.manager, close_sockets=0.01)
        socket = asyncio.create_task(middleware(scope, receive, send))
        await accepted.wait()
        await revoke(site, how, info.public_id)
        await asyncio.wait_for(socket, 10)
        assert [message.get("code") for message in sent][-1] == 1008


async def revoke(site: Site, how: str, public_id: str) -> None:
    """End the session in one of the ways there are."""
    manager = site.manager
    if how == "public id":
        assert await manager.revoke(public_id) == 1
    elif how == "subject":
        assert await manager.revoke_all("ann") == 1
    elif how == "tag":
        assert await manager.revoke(tag=("sid", "s1")) == 1
    else:
        assert await manager.revoke_everyone() == 1
