"""F21: writes that come when the response is on its way."""

from __future__ import annotations

from typing import Any

import pytest

from limpet import Session, SessionClosed, StoreUnavailable
from limpet.asgi import Message, Receive, Scope, Send, SessionMiddleware
from tests.faults.service import Service, answered, read, refused
from tests.races.counted import CountedSite


async def stream(site: CountedSite, token: str | None, within: Any, afterwards: Any = None) -> list[str]:
    """Send two chunks, call ``within(session)`` between them and ``afterwards`` behind; return the messages."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await within(scope["session"])
        await send({"type": "http.response.body", "body": b"two"})
        if afterwards is not None:
            await afterwards(scope["session"])

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        seen.append(f"{message['type'].rpartition('.')[2]} {message.get('status', message.get('body', b'').decode())}")

    headers = [(b"cookie", f"{site.manager.cookie_name}={token}".encode())] if token else []
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "scheme": "https"}
    await SessionMiddleware(app, site.manager)(scope, receive, send)
    return seen


async def add(session: Session) -> None:
    session.increment("n")


async def test_f21_a_session_that_exists_is_saved_at_the_end(service: Service) -> None:
    """What the stream wrote is saved with its last chunk, and what a background task wrote after that."""
    site = await service.site()
    token = await site.session(n=0)
    assert await stream(site, token, add, add) == ["start 200", "body one", "body two"]
    assert await site.read(token) == {"n": 2}


async def test_f21_a_new_session_is_refused_aloud(service: Service) -> None:
    """Without an id the cookie cannot be set any more: `SessionClosed`, and nothing is stored."""
    site = await service.site()
    site.take()
    with pytest.raises(SessionClosed):
        await stream(site, None, add)
    assert "create" not in site.take()


async def test_f21_saving_on_purpose_meets_an_outage(service: Service) -> None:
    """``await session.save()`` in a stream raises where the store is down, and the stream can go on."""
    site = await service.site()
    token = await site.session(n=0)

    async def write(session: Session) -> None:
        await service.proxy.refuse()
        session.increment("n")
        with pytest.raises(StoreUnavailable):
            await session.save()
        await service.proxy.start()
        await session.save()

    assert await stream(site, token, write) == ["start 200", "body one", "body two"]
    assert await site.read(token) == {"n": 1}


async def test_f21_a_store_that_is_down_at_the_end_is_not_hidden(service: Service) -> None:
    """The save at the end of a stream fails: the stream breaks off instead of ending as if all were well."""
    site = await service.site()
    token = await site.session(n=0)

    async def write(session: Session) -> None:
        session.increment("n")
        await service.proxy.refuse()

    try:
        seen = await stream(site, token, write)
    except StoreUnavailable:
        seen = ["broken off"]
    assert "body two" not in seen
    assert refused(await site.ask(read, token))
    await service.proxy.start()
    assert (await answered(lambda: site.ask(read, token))).result == {"n": 0}
