"""Replies of PostgreSQL are lost: what can be asked again is, and what cannot be told is an outage."""

from __future__ import annotations

import asyncio

import pytest

from limpet.contract import ABSENT, DONE
from limpet.errors import StoreUnavailable
from limpet.stores.postgres import PostgresStore
from tests.faults.postgres import behind, ready
from tests.faults.records import NOW, a_key, a_record, every_call, fails_within
from tests.servers.postgres import PostgresServer
from tests.servers.proxies import tcp_proxy

pytestmark = pytest.mark.xdist_group("postgres-faults")


class Once:
    """Makes a proxy answer the first statement as a server does that is shut down, once it has carried that out."""

    def __init__(self, code: bytes = b"57P01") -> None:
        fields = b"SFATAL\0VFATAL\0C" + code + b"\0Mterminating connection due to administrator command\0\0"
        self._error = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
        self.done = False

    def __call__(self, data: bytes) -> bytes | None:
        if self.done or data[:1] != b"2":  # BindComplete, and with it rows and CommandComplete
            return None
        self.done = True
        return self._error


async def test_a_write_asked_again_knows_its_own_version(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """A reply that is lost once costs no caller an error, and no write happens twice."""
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy, postgres_schema)
        key, record = await ready(store)
        warm = a_key()
        for call in every_call(store, warm, record).values():
            await call()
        await store.replace(warm, record, 1, now=NOW)
        await store.delete(key)
        changed, ended = a_record(b"changed"), a_record(b"ended")
        for call, wanted in (
            (lambda: store.create(key, record, now=NOW), record),
            (lambda: store.update(key, changed, record.version, now=NOW), changed),
            (lambda: store.touch(key, NOW + 1, NOW, now=NOW), changed._replace(accessed=NOW + 1)),
            (lambda: store.replace(key, ended, changed.version, now=NOW), ended),
        ):
            proxy.forge = once = Once()
            assert await call() is DONE
            assert once.done
            proxy.forge = None
            assert await store.load(key) == wanted
        proxy.forge = Once()
        many = {a_key(): a_record() for _ in range(30)}
        outcomes = await asyncio.gather(*(store.create(name, one, now=NOW) for name, one in many.items()))
        assert outcomes == [DONE] * 30
        proxy.forge = once = Once()
        assert await store.load_many(list(many)) == list(many.values())
        assert once.done
        await store.close()


async def test_writes_of_one_row_in_one_batch(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """Of ten writers of one version one is done and nine are told, also when the first reply is lost."""
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy, postgres_schema, max_connections=1)
        key, record = await ready(store)
        await asyncio.gather(*(store.update(key, a_record(), 1, now=NOW) for _ in range(3)))
        proxy.forge = once = Once()
        writers = [a_record(b"%d" % number) for number in range(10)]
        outcomes = await asyncio.gather(*(store.update(key, one, record.version, now=NOW) for one in writers))
        assert once.done
        assert outcomes == [DONE, *[writers[0]] * 9]
        await store.close()


async def test_a_lost_reply_and_another_writer(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """Where somebody else has written since, nobody can tell what became of the first attempt: that is an outage."""
    direct = PostgresStore(own_postgres.url, schema=postgres_schema)
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy, postgres_schema)
        key, record = await ready(store)
        await store.update(a_key(), record, 1, now=NOW)
        await direct.load(key)
        mine, theirs = a_record(b"mine"), a_record(b"theirs")
        writing: list[asyncio.Task[object]] = []

        async def overtake() -> None:
            async with asyncio.timeout(1):
                while await direct.update(key, theirs, mine.version, now=NOW) is not DONE:
                    await asyncio.sleep(0)

        once = Once()

        def forge(data: bytes) -> bytes | None:
            answer = once(data)
            if answer is not None:
                writing.append(asyncio.create_task(overtake()))
                proxy.delay = 0.1
            return answer

        proxy.forge = forge
        with pytest.raises(StoreUnavailable, match="another request has written since"):
            await store.update(key, mine, record.version, now=NOW)
        await asyncio.gather(*writing)
        assert await store.load(key) == theirs
        await store.close()
    await direct.close()


async def test_a_deletion_is_not_asked_again(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """A deletion whose reply is lost leaves nothing to know it by, so its caller hears of the outage."""
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy, postgres_schema)
        key, record = await ready(store)
        await store.delete(a_key(), 1)
        proxy.forge = Once()
        async with fails_within(0.5):
            await store.delete(key, record.version)
        proxy.forge = None
        assert await store.delete(key, record.version) is ABSENT
        await store.close()


async def test_a_connection_that_breaks_without_a_word(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """A read is asked again; a write is not, because the engine does that with the same version, for every store."""
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy, postgres_schema)
        key, record = await ready(store)
        await store.update(a_key(), record, 1, now=NOW)
        await store.load(key)
        cuts: list[bytes] = []

        def cut(data: bytes) -> bool:
            if cuts or data[:1] != b"B":
                return False
            cuts.append(data)
            return True

        proxy.cut = cut
        assert await store.load(key) == record
        assert cuts.pop()
        changed = a_record(b"changed")
        async with fails_within(0.5):
            await store.update(key, changed, record.version, now=NOW)
        assert await store.update(key, changed, record.version, now=NOW) == changed
        await store.close()
