"""A server that hangs costs a request one time limit, at whatever point of the request it begins to hang."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from limpet.errors import StoreUnavailable
from tests.faults.service import Service, add, read, refused, unrelated
from tests.races.counted import CountedSite

LIMIT = 1.0  # seconds, the policy's store_timeout
ALLOWANCE = 0.6  # far below a second limit, and room for a busy machine


async def visit(site: CountedSite, handler: Callable[[Any], Any], token: str | None) -> tuple[float, int]:
    begun = time.monotonic()
    reply = await site.ask(handler, token)
    return time.monotonic() - begun, reply.status


def careless(session: Any) -> None:
    """Go on after an error, as an application does that treats the session as a nicety."""
    for _ in range(3):
        try:
            session["n"] = 1
        except StoreUnavailable:
            continue


async def test_before_the_request(service: Service) -> None:
    """Requests of every kind end after one limit, all at once, and a route without the session needs none where the
    middleware is lazy."""
    site = await service.site()
    kinds = {
        "read": read,
        "write": add,
        "log in": lambda session: session.login("ada"),
        "log out": lambda session: session.logout(),
        "new id": lambda session: session.regenerate(),
        "careless": careless,
    }
    tokens = [await site.session(n=1) for _ in kinds]
    other = await site.session(n=1)
    lazy = CountedSite(site.manager.store, lazy=True)
    service.server.freeze()
    try:
        found = await asyncio.gather(
            *(visit(site, handler, token) for handler, token in zip(kinds.values(), tokens, strict=True)),
            visit(lazy, unrelated, other),
        )
    finally:
        service.server.thaw()
    took = dict(zip([*kinds, "lazy"], found, strict=True))
    assert took.pop("lazy")[0] < 0.3
    assert took.pop("careless")[0] < LIMIT + ALLOWANCE
    for kind, (seconds, status) in took.items():
        assert status == 503, kind
        assert seconds < LIMIT + ALLOWANCE, f"{kind} took {seconds:.2f} s"


@pytest.mark.parametrize("kind", ["write", "log in", "log out", "new id", "revoke"])
async def test_while_the_handler_runs(service: Service, kind: str) -> None:
    """What is to be saved when the server hangs is a 503 after one limit, however many steps saving has."""
    site = await service.site(counted=False)
    reply = await site.ask(lambda session: session.login("ada"))
    spare = await site.ask(lambda session: session.login("ada"))

    async def revoke(session: Any) -> None:
        await site.manager.revoke_all("ada", except_=session)

    steps: dict[str, Callable[[Any], Any]] = {
        "write": add,
        "log in": lambda session: session.login("eve"),
        "log out": lambda session: session.logout(),
        "new id": lambda session: session.regenerate(),
        "revoke": revoke,
    }

    async def handler(session: Any) -> None:
        service.server.freeze()
        done = steps[kind](session)
        if done is not None:
            await done

    begun = time.monotonic()
    try:
        found = await site.ask(handler, reply.token)
        seconds = time.monotonic() - begun
        assert refused(found)
    finally:
        service.server.thaw()
    assert seconds < LIMIT + ALLOWANCE, f"{kind} took {seconds:.2f} s"
    assert spare.status == 200
