"""F05: a record that cannot be read is an anonymous session and an event, and its owner can log in again."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from limpet import Session
from limpet.contract import Store
from limpet.stores import FileStore, MemoryStore, PostgresStore, RedisStore, SQLiteStore
from tests.faults.service import read, session_key
from tests.races.counted import CountedSite

KINDS = ("memory", "file", "sqlite", "redis", "postgres")


@pytest.fixture
async def store(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    def given(name: str) -> Any:
        return request.getfixturevalue(name)

    made: Store
    if kind == "memory":
        made = MemoryStore()
    elif kind == "file":
        made = FileStore(tmp_path / "sessions", durable=False)
    elif kind == "sqlite":
        made = SQLiteStore(tmp_path / "sessions.db", synchronous="OFF")
    elif kind == "redis":
        made = RedisStore(given("redis_url"), prefix=given("redis_prefix"))
    else:
        made = PostgresStore(given("postgres_url"), schema=given("postgres_schema"))
    yield made
    await made.close()


def log_in(session: Session) -> None:
    session.login("ada")


async def is_anonymous_and_well_again(site: CountedSite, token: str, key: str) -> None:
    """The visitor is anonymous, is told nothing, the record is gone, and a login works with the same cookie."""
    reply = await site.ask(read, token)
    assert (reply.status, reply.result, reply.token) == (200, {}, None)
    assert site.names() == ["CorruptRecord"]
    assert site.counting is not None
    assert await site.counting.load(key) is None
    reply = await site.ask(log_in, token)
    assert reply.status == 200
    assert reply.token not in (None, "", token)
    assert (await site.ask(read, reply.token)).status == 200
    site.names()


def broken(good: bytes) -> Iterator[bytes]:
    """Yield the payload cut at every byte, with every bit turned, and what never was one.

    All but the first byte, which names the format: with another one, it is a whole record of another serializer.
    """
    turned = ((at, 1 << bit) for at in range(1, len(good)) for bit in range(8))
    yield from (good[:length] for length in range(len(good)))
    yield from (good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :] for at, bit in turned)
    yield from (b"[]", b"7", b"null", b'{"data": 1}', b"\xff\xfe\xff", b"\x80\x04K\x01.", bytes(100))


@pytest.mark.parametrize("kind", KINDS)
async def test_f05_a_damaged_payload(store: Any) -> None:
    """Cut at any byte or with any bit turned it is never data, never a 500, and the row goes by its version."""
    site = CountedSite(store)
    token = await site.session(u="ada")
    key = await session_key(site, token)
    good = await store.load(key)
    assert good is not None
    await store.delete(key)
    for version, payload in enumerate(broken(good.payload)):
        await store.create(key, good._replace(payload=payload, version=version), now=site.clock())
        reply = await site.ask(read, token)
        assert (reply.status, reply.result, reply.token) == (200, {}, None), payload
        assert await store.load(key) is None, payload
    assert set(site.names()) == {"SessionCreated", "CorruptRecord"}
    await store.create(key, good._replace(payload=b"junk"), now=site.clock())
    await is_anonymous_and_well_again(site, token, key)


@pytest.mark.parametrize("kind", KINDS)
async def test_f05_a_record_of_another_serializer(store: Any) -> None:
    """Whole, and in a format that this worker does not read: anonymous here, and left to those that do."""
    site = CountedSite(store)
    token = await site.session(u="ada")
    key = await session_key(site, token)
    good = await store.load(key)
    foreign = good._replace(payload=bytes([good.payload[0] ^ 1]) + good.payload[1:], version=1)
    await store.update(key, foreign, good.version, now=site.clock())
    site.names()
    for handler in (read, log_in, Session.logout):
        reply = await site.ask(handler, token)
        assert reply.status == 200
        assert await store.load(key) == foreign
    assert "CorruptRecord" in site.names()


@pytest.mark.parametrize("kind", KINDS)
async def test_f05_a_record_that_was_mended_meanwhile_stays(store: Any) -> None:
    """Between reading a corrupt row and deleting it, somebody writes a good one: that stays."""
    site = CountedSite(store)
    token = await site.session(u="ada")
    key = await session_key(site, token)
    good = await store.load(key)
    damaged = good._replace(payload=b"junk", version=1)
    await store.update(key, damaged, good.version, now=site.clock())
    assert site.counting is not None
    delete = site.counting.delete

    async def late(key: str, version: int | None = None) -> Any:
        await store.update(key, good, 1, now=site.clock())
        return await delete(key, version)

    site.counting.delete = late  # type: ignore[method-assign]
    assert (await site.ask(read, token)).result == {}
    assert (await site.ask(read, token)).result == {"u": "ada"}


REDIS = (("SET", "junk"), ("SET", ""), ("SET", b"\x01\xff"), ("LPUSH", "a"), ("SADD", "a"), ("HSET", "a", "b"))


@pytest.mark.parametrize("command", REDIS, ids=lambda command: f"{command[0]}-{command[-1]!r}")
@pytest.mark.parametrize("kind", ["redis"])
async def test_f05_something_else_wrote_to_the_key(
    store: RedisStore, command: tuple[Any, ...], redis_url: str, redis_prefix: str
) -> None:
    """A string that is no record, a list, a set, a hash in its place."""
    site = CountedSite(store)
    token = await site.session(u="ada")
    key = await session_key(site, token)
    site.names()
    name, *words = command
    with redis.Redis.from_url(redis_url) as client:
        client.delete(redis_prefix + key)
        client.execute_command(name, redis_prefix + key, *words)
    await is_anonymous_and_well_again(site, token, key)


TEXTS = (b"", b"[]", b"7", b"null", b"{", b"\xff\xfe", b'{"version": "x"}', b'{"payload": 1}\n', b"[" * 20_000)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:20]))
@pytest.mark.parametrize("kind", ["file"])
async def test_f05_something_else_wrote_to_the_file(store: FileStore, text: bytes, tmp_path: Path) -> None:
    """A list, a number, nothing, bytes that are no UTF-8, a bracket bomb in the file."""
    site = CountedSite(store)
    token = await site.session(u="ada")
    key = await session_key(site, token)
    site.names()
    (path,) = [path for path in (tmp_path / "sessions").iterdir() if key in path.name]
    path.write_bytes(text)
    await is_anonymous_and_well_again(site, token, key)


@pytest.mark.parametrize("column", ["version", "payload", "accessed", "expires"])
@pytest.mark.parametrize("kind", ["sqlite"])
async def test_f05_a_value_of_the_wrong_type(store: SQLiteStore, column: str, tmp_path: Path) -> None:
    """Text where a column of SQLite holds a number or bytes, which it lets anybody write."""
    site = CountedSite(store)
    token = await site.session(u="ada")
    key = await session_key(site, token)
    site.names()
    await store.close()
    database = sqlite3.connect(tmp_path / "sessions.db")
    database.execute(f"UPDATE sessions SET {column} = 'soon'")  # noqa: S608
    database.commit()
    database.close()
    await is_anonymous_and_well_again(site, token, key)


@pytest.mark.parametrize("payload", [b"", b"junk", b"\xff" * 1000])
@pytest.mark.parametrize("kind", ["postgres"])
async def test_f05_something_else_wrote_to_the_row(
    store: PostgresStore, payload: bytes, postgres_url: str, postgres_schema: str
) -> None:
    """PostgreSQL keeps the types; what is in the bytes can still be anything."""
    site = CountedSite(store)
    token = await site.session(u="ada")
    key = await session_key(site, token)
    site.names()
    connection = await asyncpg.connect(postgres_url)
    schema = postgres_schema.replace('"', '""')
    await connection.execute(f'UPDATE "{schema}".sessions SET payload = $1', payload)  # noqa: S608
    await connection.close()
    await is_anonymous_and_well_again(site, token, key)
