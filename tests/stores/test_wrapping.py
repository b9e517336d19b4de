"""Stores in front of another store keep its optional powers, however they hand calls on."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from limpet import Keyring, SessionManager
from limpet.contract import (
    DONE,
    Checks,
    Counts,
    Finds,
    Immediate,
    LoadsMany,
    Outcome,
    Pages,
    Record,
    Replaces,
    Scans,
    Settles,
    Store,
    Sweeps,
    SweepsInParts,
    Urgent,
    members,
    supports,
)
from limpet.sealers.at_rest import AtRestSealer
from limpet.stores import FileStore, MemoryStore, PostgresStore, RedisStore, SQLiteStore, WrappingStore
from limpet.stores._connections import Clocked, Pooled
from limpet.stores.encrypted import EncryptedStore
from limpet.testing import FakeClock, StoreSuite
from tests.security.site import SECRET, Watched

POWERS: Sequence[type[Any]] = (
    *(Store, Checks, Clocked, Counts, Finds, Immediate, LoadsMany, Pages, Pooled),
    *(Replaces, Scans, Settles, Sweeps, SweepsInParts, Urgent),
)


class HandsOn:
    """A store as people write one who wrap another: it counts loads, and hands everything else on."""

    def __init__(self, behind: Any) -> None:
        self.behind = behind
        self.loads = 0

    async def load(self, key: str) -> Record | None:
        self.loads += 1
        found: Record | None = await self.behind.load(key)
        return found

    def __getattr__(self, name: str) -> Any:
        if name == "behind":
            raise AttributeError(name)
        return getattr(self.behind, name)


class Upside(WrappingStore):
    """A store that keeps payloads backwards, on the way in and on the way out."""

    def to_store(self, key: str, record: Record) -> Record:
        return record._replace(payload=record.payload[::-1])

    from_store = to_store


def encrypted(store: Store) -> EncryptedStore:
    clock = FakeClock()
    return EncryptedStore(store, AtRestSealer(Keyring(SECRET), name="test", clock=clock), clock=clock)


WRAPPERS: Sequence[Callable[[Any], Any]] = (WrappingStore, Upside, encrypted, HandsOn)


class TestOverMemory(StoreSuite):
    """Every promise of a store, through a wrapper that changes records."""

    @pytest.fixture
    def store(self) -> Upside:
        return Upside(MemoryStore())


class TestOverSQLite(StoreSuite):
    """Every promise of a store, through two wrappers."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Upside:
        handing_on: Any = HandsOn(SQLiteStore(tmp_path / "sessions.db"))
        return Upside(handing_on)


def stores(folder: Path) -> Sequence[Any]:
    """Return one store of each kind; none of them is opened."""
    return (
        MemoryStore(),
        FileStore(folder / "files"),
        SQLiteStore(folder / "sessions.db"),
        RedisStore("redis://127.0.0.1:1"),
        RedisStore("redis+cluster://127.0.0.1:1"),
        PostgresStore("postgresql://127.0.0.1:1/none"),
        Watched(),
    )


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_powers_are_those_of_the_store_behind(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    """No more and no less, with one wrapper in front or two."""
    for store in stores(tmp_path):
        for outer in (wrap(store), wrap(wrap(store))):
            for power in POWERS:
                assert supports(outer, power) is supports(store, power), (outer, power)


def test_every_power_is_known(tmp_path: Path) -> None:
    """Each power that a store of ours has is in the list above, and a wrapper hands on the value of an attribute."""
    known = {name for power in POWERS for name in members(power)}
    public = {
        name
        for store in stores(tmp_path)
        for name in dir(type(store))
        if not name.startswith("_") and callable(getattr(store, name))
    }
    assert public - known == {"from_url", "migrate", "migrations_sql", "to_store", "from_store"}
    redis = RedisStore("redis://127.0.0.1:1", timeout=0.25)
    for wrap in WRAPPERS:
        assert wrap(redis).settles_within == 0.25
        assert wrap(MemoryStore()).immediate is True


def test_other_attributes_are_those_of_the_store_behind(tmp_path: Path) -> None:
    """The path for `limpet doctor` and the script for `limpet migrate` are found, private names are not."""
    outer = encrypted(SQLiteStore(tmp_path / "sessions.db"))
    assert outer.path == str(tmp_path / "sessions.db")
    assert "CREATE TABLE" in encrypted(PostgresStore("postgresql://127.0.0.1:1/none")).migrations_sql()
    with pytest.raises(AttributeError, match="'EncryptedStore' object has no attribute '_database'"):
        outer._database  # noqa: B018
    with pytest.raises(AttributeError, match="nothing"):
        outer.nothing  # noqa: B018
    assert repr(outer).startswith("EncryptedStore(<limpet.stores.sqlite")


def test_it_can_be_copied() -> None:
    """A wrapper without its attributes, as copying makes one, asks nobody for them without end."""
    outer = copy.copy(Upside(MemoryStore()))
    assert supports(outer, Finds)
    with pytest.raises(TypeError, match="pickle"):  # the store behind says that it cannot be, not the wrapper
        pickle.dumps(outer)


class Noted(WrappingStore):
    """A wrapper that overrides one call."""

    noted = 0

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self.noted += 1
        return await super().update(key, record, expected, now=now)


async def test_one_call_can_be_overridden() -> None:
    """The other calls go through as they were."""
    store = Noted(MemoryStore())
    record = Record(1, b"payload", 0)
    assert await store.create("0" * 64, record, now=0) is DONE
    assert await store.update("0" * 64, record._replace(version=2), 1, now=0) is DONE
    assert store.noted == 1
    assert await store.load_many(["0" * 64]) == [record._replace(version=2)]


@pytest.mark.parametrize("wrap", WRAPPERS)
async def test_a_manager_uses_the_powers_behind(wrap: Callable[[Any], Any]) -> None:
    """Sessions are listed, ended and swept through a wrapper."""
    clock = FakeClock()
    manager = SessionManager(wrap(MemoryStore()), clock=clock)
    for _ in range(3):
        session = manager.begin([])
        session.login("ann")
        await manager.commit(session)
    assert len(await manager.sessions_of("ann")) == 3
    assert await manager.revoke_all("ann") == 3
    assert await manager.sessions_of("ann") == []
    clock.advance(30 * 86_400)
    await manager.sweep()
    assert await manager.check() == []
    await manager.shutdown()
