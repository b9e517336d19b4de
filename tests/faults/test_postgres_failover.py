"""Another PostgreSQL server takes the place of the first, or is one of several hosts."""

from __future__ import annotations

import asyncio
import time

import asyncpg
import pytest

from limpet._blocking import drive
from limpet.contract import DONE
from limpet.errors import StoreUnavailable
from limpet.stores.postgres import PostgresStore
from limpet.stores.postgres.blocking import BlockingConnections, BlockingConnector
from limpet.stores.postgres.connections import Connections
from limpet.stores.postgres.dsn import read
from tests.faults.postgres import READ_ONLY, WRITABLE, behind, ready, say
from tests.faults.records import NOW, a_key, a_record, every_call, fails_within, tries_again
from tests.servers.postgres import PostgresServer
from tests.servers.proxies import tcp_proxy

pytestmark = pytest.mark.xdist_group("postgres-faults")


@pytest.mark.parametrize("end", ["demoted", "stopped", "crashed", "frozen", "gone"])
async def test_a_moving_endpoint(
    own_postgres: PostgresServer, second_postgres: PostgresServer, postgres_schema: str, end: str
) -> None:
    """The old primary is demoted, stopped, crashes, hangs or is gone, and the address leads to the new one: the store
    writes there within seconds, under load, without a restart, and no reader is shown what the old one has."""
    direct = PostgresStore(second_postgres.url, schema=postgres_schema)
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy, postgres_schema)
        key, _ = await ready(store, direct)
        after = a_record(b"after the failover")
        assert await direct.create(key, after, now=NOW) is DONE
        await asyncio.gather(*(store.load(a_key()) for _ in range(20)))
        stop, failed = asyncio.Event(), list[float]()

        async def visit() -> None:
            while not stop.is_set():
                begun = time.monotonic()
                try:
                    assert await store.create(a_key(), a_record(), now=NOW) is DONE
                except StoreUnavailable:
                    failed.append(begun)
                await asyncio.sleep(0.01)

        visitors = [asyncio.create_task(visit()) for _ in range(6)]
        await asyncio.sleep(0.1)
        try:
            if end == "demoted":
                await say(own_postgres, *READ_ONLY)
            elif end == "frozen":
                own_postgres.freeze()
            elif end != "gone":
                await asyncio.to_thread(own_postgres.stop, "fast" if end == "stopped" else "immediate")
            proxy.target = second_postgres.port
            if end == "gone":
                await proxy.refuse()
                await proxy.start()
            begun = time.monotonic()
            found: object = None
            while found is not DONE and time.monotonic() < begun + 5:  # a backend that has no signal yet is a primary
                found = await tries_again(lambda: store.update(key, a_record(b"new"), after.version, now=NOW), 5)
            took = time.monotonic() - begun
            assert found is DONE
            assert took < (2.5 if end == "frozen" else 1), f"the store wrote again after {took:.2f} s"
            again = time.monotonic()
            await asyncio.sleep(0.3)
            late = [call for call in failed if call > again]
            assert not late or end == "frozen", "calls that began after writing worked again have failed"
            # A connection to a server that hangs costs the call that meets it its time limit, once each.
            seen = await (tries_again(lambda: store.load(key), 5) if end == "frozen" else store.load(key))
            assert seen is not None
            assert seen == await direct.load(key)
        finally:
            stop.set()
            await asyncio.gather(*visitors)
            own_postgres.thaw()
            if not own_postgres.process.running:
                await asyncio.to_thread(own_postgres.start)
            await say(own_postgres, "BEGIN READ WRITE; COMMIT", *WRITABLE)
        await store.close()
        await direct.close()


async def test_a_connection_lent_when_others_were_forgotten_is_not_lent_again(own_postgres: PostgresServer) -> None:
    """What one connection has learned of its server is true of those under way as well, and of those being opened."""
    connections = Connections(lambda: asyncpg.connect(own_postgres.url), None, most=3, linger=1)
    async with connections.one() as before:
        connections.forget()
    async with connections.one() as after:
        assert after is not before
    async with connections.one() as again:
        assert again is after
    opening = asyncio.create_task(connections._open_another())
    await asyncio.sleep(0)
    connections.forget()
    await connections._give_back(opened := await opening)
    async with connections.one() as new:
        assert new is not opened
    await connections.close()


def test_a_blocking_connection_lent_when_others_were_forgotten_is_not_lent_again(own_postgres: PostgresServer) -> None:
    """The same where threads wait."""
    url = own_postgres.url
    connector = BlockingConnector(url, read(url), timeout=1, connect_timeout=2, pgbouncer=False)
    connections = BlockingConnections(connector, None, most=3, timeout=1, where="PostgreSQL")

    def lent(*, forgets: bool = False) -> object:
        async def take() -> object:
            async with connections.one() as statement:
                if forgets:
                    connections.forget()
                return statement.connection

        return drive(take())

    before = lent(forgets=True)
    after = lent()
    assert after is not before
    assert lent() is after
    connections.close()


async def test_a_reader_notices_that_its_server_was_demoted(
    own_postgres: PostgresServer, second_postgres: PostgresServer, postgres_schema: str
) -> None:
    """Where nobody writes, a read that the demoted server answers is asked again, so that nothing old is shown."""
    direct = PostgresStore(second_postgres.url, schema=postgres_schema)
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy, postgres_schema, max_connections=2)
        key, record = await ready(store, direct)
        assert await store.load(key) == record
        try:
            await say(own_postgres, *READ_ONLY)
            proxy.target = second_postgres.port
            await asyncio.sleep(0.1)  # a signal has to reach the backends
            assert await store.load(key) is None, "the reader was shown what only the old primary has"
        finally:
            await say(own_postgres, *WRITABLE)
        await store.close()
    await direct.close()


async def test_a_read_only_server_can_be_read(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """Where the only server there is became read-only, reading goes on and each write is an outage that says why."""
    store = PostgresStore(own_postgres.url, schema=postgres_schema)
    key, record = await ready(store)
    try:
        await say(own_postgres, *READ_ONLY)
        await asyncio.sleep(0.1)
        for name, call in every_call(store, key, record).items():
            if name == "load":
                assert await call() == record
                continue
            async with fails_within(0.5, name) as caught:
                await call()
            assert "the server is read-only: name the primary" in str(caught[0])
    finally:
        await say(own_postgres, *WRITABLE)
    await asyncio.sleep(0.1)
    assert await store.update(key, a_record(), record.version, now=NOW) is DONE
    await store.close()


@pytest.mark.parametrize("first", ["refuses", "hangs", "read-only", "starting"])
async def test_several_hosts(
    own_postgres: PostgresServer, second_postgres: PostgresServer, postgres_schema: str, first: str
) -> None:
    """Of several hosts the one that takes writes is found, whatever is wrong with the others, and stays the first."""
    async with tcp_proxy(own_postgres.port) as one, tcp_proxy(second_postgres.port) as two:
        url = f"postgresql://postgres@127.0.0.1:{one.port},127.0.0.1:{two.port}/postgres"
        store = PostgresStore(url, schema=postgres_schema)
        try:
            if first == "refuses":
                await one.refuse()
            elif first == "hangs":
                own_postgres.freeze()
            elif first == "read-only":
                await say(own_postgres, *READ_ONLY)
            else:
                own_postgres.kill()
                await asyncio.to_thread(own_postgres.start)
            begun = time.monotonic()
            key, record = await ready(store)
            took = time.monotonic() - begun
            assert took < 3, f"the first write took {took:.2f} s"
            if first != "starting":
                assert one.open == 0, "a connection to the wrong host stayed open"
            assert f"127.0.0.1:{one.port},127.0.0.1:{two.port}/postgres" in repr(store)
        finally:
            own_postgres.thaw()
            await say(own_postgres, "BEGIN READ WRITE; COMMIT", *WRITABLE)
        if first == "hangs":
            before = two.requests
            await store.close()
            begun = time.monotonic()
            own_postgres.freeze()
            try:
                assert await store.load(key) == record
            finally:
                own_postgres.thaw()
            assert time.monotonic() - begun < 0.4, "the host that hangs is asked first each time"
            assert two.requests > before
        if first == "refuses":  # and back again
            await one.start()
            other = PostgresStore(own_postgres.url, schema=postgres_schema)
            await other.open()
            await two.refuse()
            assert await tries_again(lambda: store.create(a_key(), a_record(), now=NOW), 2) is DONE
            await two.start()
            await other.close()
        await store.close()


async def test_no_host_answers(postgres_schema: str) -> None:
    """The error names them all, and comes at once where nobody listens."""
    store = PostgresStore("postgresql://postgres@127.0.0.1:1,127.0.0.1:2/postgres", schema=postgres_schema)
    async with fails_within(0.3) as caught:
        await store.load(a_key())
    assert "PostgreSQL at 127.0.0.1:1,127.0.0.1:2/postgres failed" in str(caught[0])
    await store.close()
