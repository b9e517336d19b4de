"""What the tests of `limpet.testing.StoreSuite` are made of."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import pytest

from limpet.contract import DONE, Record, Store
from limpet.testing._fixtures import asyncio_fixture

__all__ = ["CROWD", "HOUR", "StoreSteps", "new_key", "new_version", "same", "short", "together"]

HOUR: Final = 3_600_000
"""Milliseconds."""
CROWD: Final = 50
"""Calls at once."""


class StoreSteps:
    """The fixture, the hooks, and what several tests do."""

    @pytest.fixture
    def store(self) -> Any:
        """Return a new store over empty storage."""
        raise NotImplementedError("override the fixture `store`: return a new store over empty storage")

    @pytest.fixture(autouse=True)
    def _closed(self, request: pytest.FixtureRequest) -> None:
        # On the event loop of the test: what one plugin runs, the other one would close on a loop of its own.
        anyio = request.node.get_closest_marker("anyio") is not None
        request.getfixturevalue("_closed_under_anyio" if anyio else "_closed_under_asyncio")

    @pytest.fixture
    async def _closed_under_anyio(self, store: Store) -> AsyncIterator[None]:
        yield
        await store.close()

    @asyncio_fixture
    async def _closed_under_asyncio(self, store: Store) -> AsyncIterator[None]:
        yield
        await store.close()

    def reopen(self, store: Store) -> Store | None:
        """Return a second store over the same storage; None (the default) for storage that lives in the object."""
        return None

    def outage(self, store: Store) -> AbstractAsyncContextManager[object] | None:
        """Return a context in which every call fails, because the service is down; None (the default) skips that."""
        return None

    def now(self) -> int:
        """Return the time that the suite counts from, in milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def record(self, payload: bytes = b"payload", *, subject: str | None = None, version: int | None = None) -> Record:
        """Return a record that lives for an hour."""
        now = self.now()
        return Record(new_version() if version is None else version, payload, now, now + HOUR, subject)

    async def stored(self, store: Store, record: Record | None = None) -> tuple[str, Record]:
        """Create a record under a new key."""
        key, record = new_key(), record or self.record()
        outcome = await store.create(key, record, now=self.now())
        assert outcome is DONE, f"create under a new key returned {outcome!r} instead of DONE"
        return key, record

    async def update(self, store: Store, key: str, record: Record, accessed: int, expires: int) -> None:
        new = record._replace(version=new_version(), accessed=accessed, expires=expires)
        outcome = await store.update(key, new, record.version, now=self.now())
        assert outcome is DONE, f"update of the current version returned {outcome!r} instead of DONE"

    async def touch(self, store: Store, key: str, record: Record, accessed: int, expires: int) -> None:
        outcome = await store.touch(key, accessed, expires, now=self.now())
        assert outcome is DONE, f"touch of a stored key returned {outcome!r} instead of DONE"


def new_key() -> str:
    return secrets.token_hex(32)


def new_version() -> int:
    return int.from_bytes(secrets.token_bytes(8), "big", signed=True)


def same(found: object, wanted: Record, when: str) -> None:
    assert isinstance(found, Record), f"{when}: expected a Record, got {found!r}"
    for name in Record._fields:
        got, want = getattr(found, name), getattr(wanted, name)
        problem = f"{when}: {name} is {short(got)} and should be {short(want)}"
        assert type(got) is type(want), problem
        assert got == want, problem


def short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) < 80 else f"{shown[:60]}... ({len(shown)} characters)"


async def together(calls: Iterable[Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(*calls))
