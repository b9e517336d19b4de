"""F25: two versions of the library share a store, as during a rolling deploy."""

from __future__ import annotations

import datetime
import sqlite3
import zlib
from pathlib import Path
from typing import Any

import pytest

from limpet import SessionManager
from limpet._wire.record import unpack
from limpet.serializers.json import JSONSerializer
from limpet.serializers.msgpack import MsgpackSerializer
from limpet.stores import SQLiteStore
from tests.faults.service import Service, add, count, read, refused, session_key
from tests.races.counted import CountedSite
from tests.site import Site

WRITTEN = {
    "msgpack": (
        "4d237b584483ad61757468656e74696361746564cf000001977420dc01a763726561746564cf000001977420dc00a4646174"
        "6183a46361727492a374656102a573696e6365c70a02323032352d30362d3135a475736572a3616461"
    ),
    "json": (
        "4a0abb88d67b2261757468656e74696361746564223a313735303030303030303030312c2263726561746564223a31373530"
        "3030303030303030302c2264617461223a7b2263617274223a5b22746561222c325d2c2273696e6365223a7b222464617465"
        "223a22323032352d30362d3135227d2c2275736572223a22616461227d7d"
    ),
}


@pytest.mark.parametrize("serializer", [MsgpackSerializer(), JSONSerializer()], ids=["msgpack", "json"])
def test_f25_what_is_stored_today_is_read_by_every_later_version(serializer: Any) -> None:
    """These bytes lie in stores; a change that cannot read them logs people out."""
    name = "msgpack" if isinstance(serializer, MsgpackSerializer) else "json"
    contents = unpack(bytes.fromhex(WRITTEN[name]), serializer)
    assert contents.created == 1_750_000_000_000
    assert contents.authenticated == 1_750_000_000_001
    assert contents.data == {"user": "ada", "cart": ["tea", 2], "since": datetime.date(2025, 6, 15)}


def of_the_next_version(payload: bytes) -> bytes:
    """Return the payload as a version would write it that knows a fact more."""
    serializer = MsgpackSerializer()
    document = serializer.decode(payload[5:])
    body = serializer.encode({**document, "reserved": "of a later version"})
    return payload[:1] + zlib.crc32(body).to_bytes(4, "big") + body


async def test_f25_older_workers_leave_newer_records_alone(service: Service) -> None:
    """What the newer version wrote is no session to the older one, which neither fails nor deletes or changes it."""
    site = await service.site()
    store = service.stores[0]
    token = await site.session(n=1)
    key = await session_key(site, token)
    record = await store.load(key)
    assert record is not None
    newer = record._replace(version=1, payload=of_the_next_version(record.payload))
    await store.update(key, newer, record.version, now=site.clock())
    for _ in range(count(50, 10_000)):
        reply = await site.ask(read, token)
        assert (reply.status, reply.result, reply.token) == (200, {}, None)
    reply = await site.ask(add, token)
    assert reply.token not in (None, "", token), "a login on an older worker begins a session of its own"
    assert await store.load(key) == newer


async def test_f25_two_deployments_with_different_serializers(service: Service) -> None:
    """Half of the workers write JSON already: each half serves its own sessions and spoils none of the other's."""
    old = await service.site()
    new = Site(service.store(), serializer=JSONSerializer())
    ours, theirs = await old.session(n=0), await new.session(n=0)
    for number in range(1, count(20, 1_000)):
        assert (await old.ask(add, ours)).status == 200
        assert (await new.ask(add, theirs)).status == 200
        assert (await old.ask(read, theirs)).result == {}
        assert (await new.ask(read, ours)).result == {}
        assert await old.read(ours) == await new.read(theirs) == {"n": number}


async def test_f25_a_database_of_a_later_version(tmp_path: Path) -> None:
    """A file whose schema a later version migrated is a 503 to the older one, and is not touched."""
    store = SQLiteStore(tmp_path / "sessions.db")
    token = await CountedSite(store).session(n=1)
    await store.close()
    database = sqlite3.connect(tmp_path / "sessions.db")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    database.execute(f"PRAGMA user_version = {version + 1}")
    database.close()
    site = CountedSite(SQLiteStore(tmp_path / "sessions.db"))
    assert refused(await site.ask(read, token))
    database = sqlite3.connect(tmp_path / "sessions.db")
    database.execute(f"PRAGMA user_version = {version}")
    database.close()
    assert (await site.ask(read, token)).result == {"n": 1}
    await site.manager.shutdown()


@pytest.mark.parametrize("service", ["postgres"], indirect=True)
async def test_f25_a_table_of_a_later_version(service: Service) -> None:
    """Migrations only add, so older workers go on beside a migrated table; the check says that they are older."""
    site = await service.site()
    token = await site.session(n=1)
    await service.administer(
        f"ALTER TABLE {service.corner}.sessions ADD COLUMN later text",
        f"INSERT INTO {service.corner}.sessions_migrations (version) VALUES (99)",  # noqa: S608
    )
    older = CountedSite(service.store())
    assert (await older.ask(add, token)).status == 200
    assert await older.read(token) == {"n": 2}
    assert "upgrade the workers that run this one" in " ".join(await SessionManager(service.store()).check())
