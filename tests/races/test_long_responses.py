"""What handlers write after the response has started: streams, background tasks, WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from limpet import ConfigurationError, Session, SessionClosed, StoreUnavailable
from limpet.asgi import Message, Receive, Scope, Send, SessionMiddleware
from limpet.contract import Store
from limpet.stores.memory import MemoryStore
from limpet.testing.machine import FailingStore
from tests.races.counted import CountedSite
from tests.site import Answer, Handler, nothing

Stream = Callable[[Session, Send], Awaitable[None]]


def chunk(more: bool = True) -> Message:
    return {"type": "http.response.body", "body": b".", "more_body": more}


async def stream(
    site: CountedSite, token: str | None, before: Handler, during: Stream, after: Handler = nothing
) -> Answer:
    """Run one streaming request: ``before`` the response, ``during`` it, ``after`` its last byte."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = scope["session"]
        before(session)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await during(session, send)
        await send(chunk(more=False))
        after(session)

    return await site.ask(nothing, token, app=SessionMiddleware(app, site.manager))


async def still(session: Session, send: Send) -> None:
    await send(chunk())


async def test_f21_a_late_write_is_saved_when_the_response_ends(store: Store) -> None:
    """What a stream writes into a stored session is saved before its last byte is sent."""
    site = CountedSite(store)
    token = await site.session()
    seen: list[Any] = []

    async def write(session: Session, send: Send) -> None:
        await send(chunk())
        session["late"] = 1
        seen.append(await site.read(token))

    await stream(site, token, nothing, write, lambda session: None)
    assert seen == [{"begun": True}]
    assert await site.read(token) == {"begun": True, "late": 1}


async def test_f21_background_tasks_are_saved_too(store: Store) -> None:
    """What is written after the last byte is saved when the application returns."""
    site = CountedSite(store)
    token = await site.session()
    await stream(site, token, nothing, still, lambda session: session.update(background=1))
    assert await site.read(token) == {"begun": True, "background": 1}


async def test_f21_a_late_write_meets_other_requests(store: Store) -> None:
    """A long stream and others write one session: both count, at ``save()`` and in the end."""
    site = CountedSite(store)
    token = await site.session(n=0)

    async def count(session: Session, send: Send) -> None:
        for _ in range(3):
            session.increment("n")
            await site.ask(lambda other: other.increment("n", 10), token)
            await session.save()
        session.increment("n")
        await site.ask(lambda other: other.increment("n", 10), token)

    await stream(site, token, nothing, count)
    assert await site.read(token) == {"n": 44}


async def test_f21_a_first_write_is_refused_once_the_headers_are_out(store: Store) -> None:
    """Without an id a late write raises `SessionClosed`; one that was written before the first byte has one."""
    site = CountedSite(store)

    async def write(session: Session, send: Send) -> None:
        session["late"] = 1

    with pytest.raises(SessionClosed, match="Write before the first byte"):
        await stream(site, None, nothing, write)
    assert await site.rows() == []
    reply = await stream(site, None, lambda session: session.update(early=1), write)
    assert await site.read(reply.token) == {"early": 1, "late": 1}


async def test_a_late_logout_ends_the_session(store: Store) -> None:
    """A stream may log out; the cookie stays, and is worth nothing."""
    site = CountedSite(store)
    token = await site.session()

    async def logout(session: Session, send: Send) -> None:
        session.logout()

    assert (await stream(site, token, nothing, logout)).token is None
    assert await site.read(token) is None


async def test_a_late_save_that_fails_is_not_silent() -> None:
    """A save that fails after the headers are out breaks the response off."""
    failing = FailingStore(MemoryStore())
    site = CountedSite(failing)
    token = await site.session()

    async def write(session: Session, send: Send) -> None:
        session["late"] = 1
        failing.down = True

    with pytest.raises(StoreUnavailable):
        await stream(site, token, nothing, write)


async def test_after_the_application_returned_everything_is_refused(store: Store) -> None:
    """A task that outlives its request cannot write any more."""
    site = CountedSite(store)
    token = await site.session()
    kept: list[Session] = []
    await site.ask(kept.append, token)
    with pytest.raises(SessionClosed, match="nothing saves it any more"):
        kept[0]["x"] = 1


async def test_an_application_that_answers_nothing_saves_nothing(store: Store) -> None:
    """Without a response nobody could be given an id: nothing is created and no id is changed; a logout counts."""
    site = CountedSite(store)

    def silent(handler: Handler) -> SessionMiddleware:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            handler(scope["session"])

        return SessionMiddleware(app, site.manager)

    token = await site.session()
    await site.ask(app=silent(lambda session: session.update(x=1)))
    await site.ask(app=silent(lambda session: session.regenerate()), token=token)
    assert await site.read(token) == {"begun": True}
    assert len(await site.rows()) == 1
    await site.ask(app=silent(lambda session: session.logout()), token=token)
    assert await site.rows() == []


class Socket:
    """A WebSocket of a client: the application under test on the other side."""

    def __init__(
        self, site: CountedSite, handler: Callable[[Session, Receive, Send], Awaitable[None]], **options: Any
    ) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await handler(scope["session"], receive, send)

        self._site = site
        self._app = SessionMiddleware(app, site.manager, **options)
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []

    async def run(self, token: str | None) -> None:
        """Connect with this id, and go on until the application is done."""
        cookie = f"{self._site.manager.cookie_name}={token}".encode()
        scope = {"type": "websocket", "path": "/", "headers": [(b"cookie", cookie)] if token else [], "scheme": "wss"}

        async def send(message: Message) -> None:
            self.sent.append(message)

        self.incoming._queue.appendleft({"type": "websocket.connect"})  # type: ignore[attr-defined]
        await self._app(scope, self.incoming.get, send)

    def says(self, text: str) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", "text": text})

    def hangs_up(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})


async def echo(session: Session, receive: Receive, send: Send) -> None:
    """Write down what comes, until the client goes."""
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        session.setdefault("said", []).append(message["text"])


async def test_s34_a_socket_saves_in_the_end(store: Store) -> None:
    """What a WebSocket wrote is saved when it is over, also when the client just hangs up."""
    site = CountedSite(store)
    token = await site.session()
    socket = Socket(site, echo)
    socket.says("a")
    socket.says("b")
    socket.hangs_up()
    await socket.run(token)
    assert await site.read(token) == {"begun": True, "said": ["a", "b"]}


async def test_s34_a_socket_whose_client_is_gone_saves(store: Store) -> None:
    """A handler that raises because the client hung up has not failed: what it wrote is saved."""
    site = CountedSite(store)
    token = await site.session()

    async def handler(session: Session, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        session["said"] = (await receive())["text"]
        await receive()
        raise ConnectionError("gone")

    socket = Socket(site, handler)
    socket.says("a")
    socket.hangs_up()
    with pytest.raises(ConnectionError):
        await socket.run(token)
    assert await site.read(token) == {"begun": True, "said": "a"}


async def test_s34_a_socket_that_fails_drops_its_writes(store: Store) -> None:
    """A handler that raises of itself has failed: its writes are dropped."""
    site = CountedSite(store)
    token = await site.session()

    async def handler(session: Session, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        session["x"] = 1
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        await Socket(site, handler).run(token)
    assert await site.read(token) == {"begun": True}


async def test_s34_a_socket_sets_its_cookie_with_the_acceptance(store: Store) -> None:
    """What is written before ``websocket.accept`` can begin a session; after it, nothing can."""
    site = CountedSite(store)

    async def handler(session: Session, receive: Receive, send: Send) -> None:
        session["early"] = 1
        await send({"type": "websocket.accept"})
        session["late"] = 1
        with pytest.raises(SessionClosed):
            session.regenerate()

    socket = Socket(site, handler)
    await socket.run(None)
    assert any(name == b"set-cookie" for name, _ in socket.sent[0]["headers"])
    assert len(await site.rows()) == 1

    async def late(session: Session, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        session["late"] = 1

    with pytest.raises(SessionClosed):
        await Socket(site, late).run(None)


async def test_s34_a_refused_socket_hands_out_nothing(store: Store) -> None:
    """Closing before the acceptance: a stored session is saved, a new one is reported as dropped and leaves no row."""
    site = CountedSite(store)
    token = await site.session()

    async def refuse(session: Session, receive: Receive, send: Send) -> None:
        session["refused"] = True
        await send({"type": "websocket.close", "code": 1008})

    await Socket(site, refuse).run(token)
    assert await site.read(token) == {"begun": True, "refused": True}
    site.names()
    await Socket(site, refuse).run(None)
    assert site.names() == ["WriteDropped"]
    assert len(await site.rows()) == 1


@pytest.mark.parametrize("how", ["logout", "regenerate", "expiry"])
async def test_s34_a_socket_is_closed_when_its_session_ends(store: Store, how: str) -> None:
    """With ``close_sockets`` a handler that waits for its client gets a disconnect, and the client code 1008."""
    site = CountedSite(store, idle_timeout=3600)
    token = await site.session()
    socket = Socket(site, echo, close_sockets=0.01)
    running = asyncio.create_task(socket.run(token))
    socket.says("a")
    while not socket.sent or socket.incoming.qsize():  # until it is accepted, and has said that
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert not running.done()
    if how == "expiry":
        site.clock.advance(3600)
    else:
        await site.ask(lambda session: getattr(session, how)(), token)
    async with asyncio.timeout(5):
        await running
    assert socket.sent[-1]["type"] == "websocket.close"
    assert socket.sent[-1]["code"] == 1008
    assert await site.read(token) is None


async def test_s34_a_socket_that_only_sends_is_closed(store: Store) -> None:
    """A handler that never receives finds out when it sends: `ConnectionAbortedError`, an `OSError` as ASGI asks."""
    site = CountedSite(store)
    token = await site.session()

    async def ticker(session: Session, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await site.ask(lambda other: other.logout(), token)
        while True:
            await asyncio.sleep(0.01)
            await send({"type": "websocket.send", "text": "tick"})

    socket = Socket(site, ticker, close_sockets=0.01)
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionAbortedError, match="session has ended"):
            await socket.run(token)
    assert [message["type"] for message in socket.sent].count("websocket.close") == 1


async def test_s34_an_outage_or_a_renewal_closes_no_socket() -> None:
    """A store that does not answer, and an id that is renewed, are not the end of a session; no message is lost."""
    failing = FailingStore(MemoryStore())
    site = CountedSite(failing, renewal_interval=60, renewal_grace=1)
    token: str | None = await site.session()
    socket = Socket(site, echo, close_sockets=0.01)
    running = asyncio.create_task(socket.run(token))
    await asyncio.sleep(0.03)
    failing.down = True
    await asyncio.sleep(0.03)
    failing.down = False
    for _ in range(3):
        site.clock.advance(60)
        token = (await site.ask(nothing, token)).token
        await asyncio.sleep(0.03)
    assert not running.done()
    socket.says("still here")
    socket.hangs_up()
    async with asyncio.timeout(5):
        await running
    assert await site.read(token) == {"begun": True, "said": ["still here"]}


async def test_s34_a_message_is_not_lost_to_a_handler_that_gave_up_waiting(store: Store) -> None:
    """A handler that waits for a message with a time limit of its own gets it the next time it asks."""
    site = CountedSite(store)
    token = await site.session()
    heard: list[str] = []

    async def handler(session: Session, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.02)
        socket.says("a")
        heard.append((await receive())["text"])

    socket = Socket(site, handler, close_sockets=10)
    await socket.run(token)
    assert heard == ["a"]


@pytest.mark.parametrize("seconds", [0, -1, float("inf")])
def test_close_sockets_is_a_time(seconds: float) -> None:
    """A time that cannot be is refused at construction."""
    with pytest.raises(ConfigurationError, match="close_sockets"):
        SessionMiddleware(CountedSite(MemoryStore()).app, CountedSite(MemoryStore()).manager, close_sockets=seconds)
