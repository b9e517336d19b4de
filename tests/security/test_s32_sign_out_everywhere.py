"""S32: a stolen or forgotten session that its owner cannot see and cannot end (ASVS 7.4.2, 7.4.3, 7.4.5, 7.5.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from limpet import SessionManager
from limpet.asgi import Receive, Scope, Send, SessionMiddleware, session_in
from limpet.testing import async_client


async def whoami(scope: Scope, receive: Receive, send: Send) -> None:
    session = session_in(scope)
    if scope["path"] == "/login":
        session.login("ann")
    body = (session.subject or "nobody").encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("kind", ["memory", "sqlite", "file"])
async def test_s32_all_but_this_one_are_ended(kind: str, tmp_path: Path) -> None:
    """Of five logins the owner sees five, ends the other four, and keeps the one in hand."""
    url = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/s.db", "file": f"file:{tmp_path}/sessions"}[kind]
    manager = SessionManager(url, dev=False)
    app = SessionMiddleware(whoami, manager)
    browsers = [async_client(app, manager) for _ in range(5)]
    for browser in browsers:
        assert (await browser.get("/login")).text == "ann"
    async with browsers[0].session() as session:
        mine = session.public_id
    assert mine in {info.public_id for info in await manager.sessions_of("ann")}
    assert len(await manager.sessions_of("ann")) == 5
    await manager.revoke_all("ann", except_=mine)
    assert [(await browser.get("/")).text for browser in browsers] == ["ann", *["nobody"] * 4]
    assert [info.public_id for info in await manager.sessions_of("ann")] == [mine]
    await manager.shutdown()
