"""``encrypt=True``: who has only the store can read nothing in it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from limpet import ConfigurationError, Key, Keyring, Session, SessionEnded, SessionManager, SessionPolicy
from limpet._wire.marks import is_mark
from limpet._wire.record import SEALED
from limpet.contract import Record
from limpet.events import CorruptRecord, SessionMerged
from limpet.sealers.at_rest import AtRestSealer
from limpet.stores import MemoryStore, SQLiteStore, Store
from limpet.stores.encrypted import EncryptedStore
from limpet.testing import FakeClock, StoreSuite
from tests.security.site import ANONYMOUS, OLDER, OTHER, SECRET, WatchedSite

VALUE = "a value that nobody may read"


def over(store: Store, **more: Any) -> EncryptedStore:
    """Return an encrypting store over another one."""
    clock = FakeClock()
    sealer = AtRestSealer(Keyring(SECRET), name="test", clock=clock)
    return EncryptedStore(store, sealer, clock=clock, **more)


class TestOverMemory(StoreSuite):
    """Every promise of a store, over a memory store."""

    @pytest.fixture
    def store(self) -> EncryptedStore:
        return over(MemoryStore())


class TestOverSQLite(StoreSuite):
    """Every promise of a store, over SQLite."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> EncryptedStore:
        return over(SQLiteStore(tmp_path / "sessions.db"))


def encrypted(**settings: Any) -> WatchedSite:
    """Return an application that encrypts at rest."""
    return WatchedSite(
        {"/secret": lambda session: session.update(card=VALUE), "/who": lambda session: session.subject},
        secret=settings.pop("secret", SECRET),
        encrypt=True,
        **settings,
    )


async def test_nothing_can_be_read_in_the_store() -> None:
    """Neither keys nor values, in every payload; the session reads them as ever."""
    site = encrypted()
    token = (await site.ask("/secret")).given
    token = (await site.ask("/login", token)).given
    for record in site.rows.values():
        if not is_mark(record.payload):
            assert record.payload[:1] == SEALED
            assert VALUE.encode() not in record.payload
            assert b"card" not in record.payload
    assert VALUE in (await site.ask("/dump", token)).text


async def test_a_payload_is_bound_to_where_it_is() -> None:
    """Copied to another row, beside another version, or into another subject's record: corrupt, and so anonymous."""
    site = encrypted()
    ann = (await site.ask("/secret")).given
    (key, record), *_ = site.rows.items()
    eve = (await site.ask("/write")).given
    (other,) = set(site.rows) - {key}
    for place, forged in (
        (other, record),
        (other, site.rows[other]._replace(payload=record.payload)),
        (key, record._replace(version=record.version ^ 1)),
        (key, record._replace(subject="bob")),
        (key, record._replace(payload=record.payload[:-1] + bytes((record.payload[-1] ^ 1,)))),
        (key, record._replace(payload=record.payload[:20])),
    ):
        before = site.rows[place]
        site.rows[place] = forged
        if forged.subject is not None:
            site.watched.kept._index(forged.subject, place)
        site.heard.clear()
        answer = await site.ask("/dump", eve if place == other else ann)
        assert (answer.status, answer.text) == (200, ANONYMOUS)
        assert site.said(CorruptRecord) == 1
        site.rows[place] = before
    assert VALUE in (await site.ask("/dump", ann)).text


async def test_a_row_that_is_not_encrypted_is_corrupt() -> None:
    """With the right key and format: whoever can write to the store cannot slip a session in."""
    plain = WatchedSite(secret=SECRET)
    token = (await plain.ask("/write")).given
    site = WatchedSite(store=plain.watched, secret=SECRET, encrypt=True)
    assert (await site.ask("/dump", token)).text == ANONYMOUS
    assert site.said(CorruptRecord) == 1


@pytest.mark.parametrize("settings", [{}, {"encrypt": True, "secret": OTHER}], ids=["plain", "another secret"])
async def test_who_has_not_the_key_leaves_the_record_alone(settings: dict[str, Any]) -> None:
    """A worker of before `encrypt`, or with another secret, sees nobody's session, and deletes none."""
    site = encrypted()
    token = (await site.ask("/secret")).given
    (key,) = site.rows
    before = dict(site.rows)
    other = WatchedSite(store=site.watched, **settings)
    with pytest.raises(SessionEnded):
        async with other.manager.open(key):
            pass
    assert other.said(CorruptRecord) == 1
    assert site.rows == before
    assert VALUE in (await site.ask("/dump", token)).text


async def test_a_window_lets_plain_rows_in() -> None:
    """Until the date what was stored before is read, and sealed when it is written; after it, it is corrupt."""
    plain = WatchedSite(secret=SECRET)
    one, other = [(await plain.ask("/write")).given for _ in range(2)]
    until = datetime.fromtimestamp(plain.clock() / 1000, UTC) + timedelta(hours=1)
    site = WatchedSite(store=plain.watched, secret=SECRET, encrypt=True, plain_until=until)
    assert (await site.ask("/read", one)).text == "1"
    assert (await site.ask("/write", one)).text == "2"
    site.clock.advance(3600)
    assert (await site.ask("/read", one)).text == "2"
    assert (await site.ask("/dump", other)).text == ANONYMOUS


async def test_secrets_rotate_without_losing_a_session() -> None:
    """Rows of an older secret are read, sealed anew when written, and dead when its end date has come."""
    old = encrypted(secret=OLDER)
    one, other = [(await old.ask("/secret")).given for _ in range(2)]
    end = datetime.fromtimestamp(old.clock() / 1000, UTC) + timedelta(hours=1)
    keyring = Keyring([SECRET, Key(OLDER, until=end)])
    site = WatchedSite(store=old.watched, secret=keyring, encrypt=True)
    answer = await site.ask("/write", one)
    assert answer.text == "1"
    moved = answer.given
    assert (await site.ask("/read", other)).text == "null"
    site.clock.advance(3600)
    assert VALUE in (await site.ask("/dump", moved)).text
    assert (await site.ask("/dump", other)).text == ANONYMOUS
    keyring.replace([OTHER, SECRET])
    assert VALUE in (await site.ask("/dump", moved)).text


async def test_two_requests_at_once_are_merged() -> None:
    """Fifty writers that all loaded before anybody saved leave fifty keys, and a count is exact."""
    site = encrypted()
    token = (await site.ask("/write")).given
    everybody = asyncio.Barrier(50)

    async def together(session: Session, number: int) -> None:
        await everybody.wait()
        session[f"k{number}"] = number
        session.increment("n")

    for number in range(50):
        site.pages[f"/{number}"] = partial(together, number=number)
    await asyncio.gather(*(site.ask(f"/{number}", token) for number in range(50)))
    assert site.said(SessionMerged) > 0
    assert (await site.ask("/read", token)).text == "51"
    site.pages["/len"] = len
    assert (await site.ask("/len", token)).text == "51"


async def test_what_changed_is_judged_inside() -> None:
    """Another nonce is no change: setting an equal value writes nothing."""
    site = encrypted()
    token = (await site.ask("/secret")).given
    site.watched.calls.clear()
    await site.ask("/secret", token)
    assert site.watched.calls == {"load": 1}


async def test_renewal_logout_and_revocation_work() -> None:
    """The records that lead from an old id, and those that revoke, are found through the encryption."""
    site = WatchedSite(
        {"/who": lambda session: session.subject},
        MemoryStore(),
        secret=SECRET,
        encrypt=True,
        policy=SessionPolicy(renewal_interval=60),
    )
    old = (await site.ask("/login")).given
    site.clock.advance(61)
    new = (await site.ask("/read", old)).given
    assert (await site.ask("/who", old)).text == '"ann"'
    assert (await site.ask("/who", new)).text == '"ann"'
    assert len(await site.manager.sessions_of("ann")) == 1
    assert await site.manager.revoke_all("ann") == 1
    assert (await site.ask("/who", new)).text == "null"
    third = (await site.ask("/login")).given
    await site.ask("/logout", third)
    assert (await site.ask("/who", third)).text == "null"


def test_what_cannot_work_is_refused() -> None:
    """Without a secret, for a cookie session, a window without encryption or without a zone."""
    later = datetime(2040, 1, 1, tzinfo=UTC)
    wrong: tuple[tuple[str, dict[str, Any]], ...] = (
        ("memory:", {}),
        ("cookie:", {"secret": SECRET}),
        ("memory:", {"secret": SECRET, "encrypt": False, "plain_until": later}),
        ("memory:", {"secret": SECRET, "plain_until": later.replace(tzinfo=None)}),
    )
    for store, settings in wrong:
        with pytest.raises(ConfigurationError):
            SessionManager(store, **{"encrypt": True, **settings})


def test_the_sealer_has_its_own_keys() -> None:
    """Another name, another secret: the payload does not open; and no two payloads are alike."""
    clock, record = FakeClock(), Record(1, b"data", 0)
    sealer = AtRestSealer(Keyring(SECRET), name="one", clock=clock)
    sealed = sealer.seal("0" * 64, record)
    assert sealer.open("0" * 64, sealed) == record
    assert sealer.seal("0" * 64, record).payload != sealed.payload
    for secret, name in ((SECRET, "two"), (OTHER, "one")):
        assert AtRestSealer(Keyring(secret), name=name, clock=clock).open("0" * 64, sealed) is None
