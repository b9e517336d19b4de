"""A handler that asks a store that hangs again, itself and for the same request, is not made to wait again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from limpet.asgi import SessionMiddleware
from limpet.errors import StoreUnavailable
from limpet.stores import SQLiteStore
from tests.faults.local import running
from tests.faults.service import Service, add, refused
from tests.races.counted import CountedSite

LIMIT = 1.0  # seconds, the policy's store_timeout
ALLOWANCE = 0.6  # far below a second limit, and room for a busy machine


async def load_and_write(session: Any) -> None:
    await session.load()
    session["n"] = 2


async def alone(session: Any) -> None:
    async with session.exclusive("token"):
        session["n"] = 2


def again(step: Callable[[Any], Awaitable[object]]) -> Callable[[Any], Awaitable[None]]:
    """Return a handler that tries a step three times, and goes on when all have failed."""

    async def handler(session: Any) -> None:
        for _ in range(3):
            try:
                await step(session)
            except StoreUnavailable:
                continue

    return handler


async def write_and_save(session: Any) -> None:
    session["n"] = 2
    await session.save()


BEFORE = {
    "load": lambda session: session.load(),
    "load and write": load_and_write,
    "exclusive": alone,
    "refresh": lambda session: session.refresh(),
    "is live": lambda session: session.is_live(),
    "save": write_and_save,
    "load again": again(lambda session: session.load()),
    "save again": again(write_and_save),
}


async def timed(site: CountedSite, handler: Callable[[Any], Any], token: str | None) -> tuple[float, int]:
    begun = time.monotonic()
    reply = await site.ask(handler, token)
    return time.monotonic() - begun, reply.status


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
async def test_what_the_middleware_waited_for_is_not_waited_for_again(service: Service, lazy: bool) -> None:
    """The middleware's attempt to load, or with a lazy one the handler's first, is all that the request waits for."""
    site = await service.site(counted=False)
    tokens = [await site.session(n=1) for _ in BEFORE]
    asked = CountedSite(site.manager.store, lazy=True, counted=False) if lazy else site
    kinds = {kind: handler for kind, handler in BEFORE.items() if not lazy or "load" in kind}
    await asyncio.gather(*(asked.ask(load_and_write, token) for token in tokens))  # a connection is open for each
    service.server.freeze()
    try:
        found = await asyncio.gather(
            *(timed(asked, handler, token) for handler, token in zip(kinds.values(), tokens, strict=False))
        )
    finally:
        service.server.thaw()
    for kind, (seconds, status) in zip(kinds, found, strict=True):
        assert seconds < LIMIT + ALLOWANCE, f"{kind} took {seconds:.2f} s"
        assert status == (200 if "again" in kind else 503), kind


STEPS: dict[str, Callable[[Any], Awaitable[object]]] = {
    "save": write_and_save,
    "refresh": lambda session: session.refresh(),
    "is live": lambda session: session.is_live(),
    "exclusive": alone,
}


async def refused_within_the_limit(service: Service, site: Any, handler: Any, token: Any) -> None:
    """Check that a request in which the server begins to hang is refused after one time limit; wake the server."""
    begun = time.monotonic()
    try:
        assert refused(await site.ask(handler, token))
        seconds = time.monotonic() - begun
    finally:
        service.server.thaw()
    assert seconds < LIMIT + ALLOWANCE


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_what_the_handler_waited_for_is_not_waited_for_again(service: Service, step: Any) -> None:
    """The handler goes on after an error, and something is to be saved when the response starts: a 503, at once."""
    site = await service.site(counted=False)
    token = await site.session(n=1)

    async def handler(session: Any) -> None:
        add(session)
        service.server.freeze()
        await again(step)(session)

    await refused_within_the_limit(service, site, handler, token)


async def test_a_lock_that_cannot_be_given_back_is_not_waited_for(service: Service) -> None:
    """The server hangs while a handler holds a lock: saving is waited for, and giving the lock back then is not."""
    site = await service.site(counted=False)
    token = await site.session(n=1)

    async def handler(session: Any) -> None:
        async with session.exclusive("token"):
            session["n"] = 2
            service.server.freeze()

    await refused_within_the_limit(service, site, handler, token)
    assert await site.run(alone, token) == token, "the lock is free again"


@pytest.mark.parametrize("service", ["redis", "postgres"], indirect=True)
async def test_a_stream_asks_again(service: Service) -> None:
    """What goes on after its response has started, as a stream does for hours, finds the session when the server is
    well again."""
    site = await service.site(counted=False)
    token = await site.session(n=1)
    found: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        with pytest.raises(StoreUnavailable):
            await session.load()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        service.server.thaw()
        async with asyncio.timeout(10):
            while not found:
                try:
                    await session.load()
                except StoreUnavailable:
                    await asyncio.sleep(0.05)
                else:
                    found.append(session["n"])
        await send({"type": "http.response.body", "body": b""})

    service.server.freeze()
    try:
        await site.ask(token=token, app=SessionMiddleware(app, site.manager))
    finally:
        service.server.thaw()
    assert found == [1]


async def test_a_lock_that_was_waited_for_stays_the_reason(tmp_path: Path) -> None:
    """A second attempt, for which no time is left, does not hide what the first one has waited for."""
    store = SQLiteStore(tmp_path / "sessions.db", busy_timeout=0.2)
    site = CountedSite(store, store_timeout=0.3)
    token = await site.session(n=0)
    with running("hold-database", store.path, "60") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreUnavailable, match=r"kept it locked for more than 0\.2 s"):
            await site.run(add, token)
    await store.close()
