"""PostgreSQL is promoted, demoted, locked, half migrated, or one of several hosts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from limpet._core.protocols import ABSENT, DONE
from limpet._core.record import Record
from limpet.errors import StoreUnavailable
from limpet.stores.postgres import PostgresStore
from tests.faults.records import NOW, a_key, a_record, every_call, fails_within, tries_again
from tests.servers.postgres import PostgresServer
from tests.servers.proxies import TcpProxy, pooler_proxy, tcp_proxy

pytestmark = pytest.mark.xdist_group("postgres-faults")

READ_ONLY = ("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
WRITABLE = ("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
def second_postgres(clean_temp_root: None) -> Iterator[PostgresServer]:
    """Return another server, which may be treated as the first one may."""
    with PostgresServer() as server:
        yield server


@contextlib.asynccontextmanager
async def administrator(server: PostgresServer, user: str = "postgres") -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(server.url.replace("postgres@", f"{user}@"))
    try:
        yield connection
    finally:
        await connection.close()


async def say(server: PostgresServer, *statements: str) -> None:
    async with administrator(server) as connection:
        for statement in statements:
            await connection.execute(statement)


def behind(proxy: TcpProxy, schema: str, options: str = "", **settings: float) -> PostgresStore:
    url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres{options}"
    return PostgresStore(url, schema=schema, **settings)  # type: ignore[arg-type]


async def ready(store: PostgresStore, *others: PostgresStore) -> tuple[str, Record]:
    """Create a record; others have their tables too."""
    for other in others:
        await tries_again(other.open, 10)
        await other.close()
    key, record = a_key(), a_record()
    assert await tries_again(lambda: store.create(key, record, now=NOW), 10) is DONE
    return key, record


# --- failover -------------------------------------------------------------------------------


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
        stop, failed = asyncio.Event(), [0]

        async def visit() -> None:
            while not stop.is_set():
                try:
                    assert await store.create(a_key(), a_record(), now=NOW) is DONE
                except StoreUnavailable:
                    failed[0] += 1
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
            found = await tries_again(lambda: store.update(key, a_record(b"new"), after.version, now=NOW), 5)
            took = time.monotonic() - begun
            assert found is DONE
            assert took < (2.5 if end == "frozen" else 1), f"the store wrote again after {took:.2f} s"
            failures = failed[0]
            await asyncio.sleep(0.3)
            assert failed[0] == failures or end == "frozen", "calls fail although writing works again"
            assert (await store.load(key)) is not None
            assert (await direct.load(key)) == (await store.load(key))
        finally:
            stop.set()
            await asyncio.gather(*visitors)
            own_postgres.thaw()
            if not own_postgres.process.running:
                await asyncio.to_thread(own_postgres.start)
            await say(own_postgres, "BEGIN READ WRITE; COMMIT", *WRITABLE)
        await store.close()
        await direct.close()


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


# --- several hosts --------------------------------------------------------------------------


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


# --- locks, and what is given up ------------------------------------------------------------


COUNT = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'limited' AND backend_type = 'client backend'"
ACTIVE = f"{COUNT} AND state = 'active'"


@contextlib.asynccontextmanager
async def locked(server: PostgresServer, store: PostgresStore) -> AsyncIterator[None]:
    """Hold the lock that ``ALTER TABLE`` or ``VACUUM FULL`` would."""
    async with administrator(server) as connection:
        await connection.execute(f"BEGIN; LOCK TABLE {store._table.name} IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.fixture
async def limited(own_postgres: PostgresServer) -> str:
    """Return the URL of a user whose backends nobody else has."""
    await say(
        own_postgres,
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'limited') "
        "THEN CREATE ROLE limited LOGIN SUPERUSER; END IF; END $$",
    )
    return own_postgres.url.replace("postgres@", "limited@")


@pytest.mark.parametrize("options", ["", "?statement_timeout=0&lock_timeout=0"], ids=["limits", "no limits"])
async def test_a_locked_table(own_postgres: PostgresServer, limited: str, postgres_schema: str, options: str) -> None:
    """Every caller is told in time, backends stay within the store's maximum, and when the lock is gone all is well.

    With the time limits of the server, and where the URL turns them off: then what was given up is cancelled there.
    """
    store = PostgresStore(limited + options, schema=postgres_schema, max_connections=3, timeout=0.4)
    key, record = await ready(store)
    said: set[str] = set()
    async with administrator(own_postgres) as watcher:
        async with locked(own_postgres, store):
            most = 0

            async def ask() -> None:
                async with fails_within(0.5) as caught:
                    await store.load(key)
                said.add(str(caught[0]))

            asking = []
            for _ in range(100):
                asking.append(asyncio.create_task(ask()))
                await asyncio.sleep(0.02)
                most = max(most, await watcher.fetchval(COUNT))
            await asyncio.gather(*asking)
            assert most <= 3, f"one worker had {most} backends, and 3 are its maximum"
            async with asyncio.timeout(1):
                while await watcher.fetchval(ACTIVE):
                    await asyncio.sleep(0.02)
        begun = time.monotonic()
        assert await store.load(key) == record
        assert time.monotonic() - begun < 0.4
        assert any("another session holds a lock" in one for one in said) is not bool(options)
    await store.close()


async def test_a_locked_row_costs_no_connection(
    own_postgres: PostgresServer, limited: str, postgres_schema: str
) -> None:
    """A write that waits for a row is refused by the server before its caller gives up: the connection stays."""
    async with tcp_proxy(own_postgres.port) as proxy:
        store = PostgresStore(
            limited.replace(str(own_postgres.port), str(proxy.port)), schema=postgres_schema, max_connections=1
        )
        key, record = await ready(store)
        async with administrator(own_postgres) as connection, connection.transaction():
            await connection.execute(f"SELECT 1 FROM {store._table.name} WHERE key = $1 FOR UPDATE", bytes.fromhex(key))  # noqa: S608
            async with fails_within(1):
                await store.update(key, a_record(), record.version, now=NOW)
        pid = f"SELECT min(pid) FROM pg_stat_activity WHERE usename = 'limited'"  # noqa: F541
        async with administrator(own_postgres) as connection:
            before = await connection.fetchval(pid)
            assert await store.update(key, a_record(), record.version, now=NOW) is DONE
            assert await connection.fetchval(pid) == before
        await store.close()


async def test_a_pool_of_ones_own_under_a_lock(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """Connections of a pool that was given come back to it, in order, when the lock is gone."""
    async with asyncpg.create_pool(own_postgres.url, min_size=2, max_size=2) as pool:
        store = PostgresStore(pool=pool, schema=postgres_schema, timeout=0.3)
        key, record = await ready(store)
        async with locked(own_postgres, store):
            for _ in range(5):
                async with fails_within(0.5):
                    await store.load(key)
        assert await tries_again(lambda: store.load(key), 2) == record
        await store.close()
        async with asyncio.timeout(2):
            while pool.get_idle_size() != pool.get_size():
                await asyncio.sleep(0.02)
        async with pool.acquire() as connection:
            assert not connection.is_in_transaction()


async def test_the_servers_own_limits(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """The server is given the store's time for each statement; a URL that says otherwise is followed."""
    show = "SELECT current_setting('statement_timeout') || ' ' || current_setting('lock_timeout') AS said"
    for options, wanted in (
        ("", "2s 1500ms"),
        ("?statement_timeout=7s", "7s 1500ms"),
        ("?options=-c%20lock_timeout%3D9s", "2s 9s"),
    ):
        store = PostgresStore(own_postgres.url + options, schema=postgres_schema, timeout=2)
        assert (await store._ask("alone", "fetchval", show)) == wanted
        await store.close()


async def test_a_pooler_that_refuses_settings(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """A pooler that does not know the time limits, as PgBouncer by default, is used without them."""
    async with pooler_proxy(own_postgres.port, refuses=b"statement_timeout") as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        store = PostgresStore(url, schema=postgres_schema, max_connections=1)
        assert (await store._ask("alone", "fetchval", "SELECT current_setting('statement_timeout')")) == "0"
        await store.close()


# --- migrations -----------------------------------------------------------------------------


async def test_a_failed_migration(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """A user who may not create the table says so; once an administrator has, the same store works."""
    role = f"role_{a_key()[:8]}"
    await say(own_postgres, f"CREATE ROLE {role} LOGIN; REVOKE CREATE ON DATABASE postgres FROM PUBLIC")
    store = PostgresStore(own_postgres.url.replace("postgres@", f"{role}@"), schema=postgres_schema, max_connections=1)
    for _ in range(3):
        async with fails_within(1) as caught:
            await store.load(a_key())
        assert "permission denied" in str(caught[0])
        assert "limpet migrate --sql" in str(caught[0])
    quoted = '"' + postgres_schema.replace('"', '""') + '"'
    grants = f"GRANT USAGE ON SCHEMA {quoted} TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA {quoted} TO {role}"
    await say(own_postgres, store.migrations_sql(), grants)
    for _ in range(3):
        assert await store.load(a_key()) is None
        assert await store.create(a_key(), a_record(), now=NOW) is DONE
    await store.close()
    await say(own_postgres, f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_migration_may_take_longer_than_a_request(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """A migration waits for a lock for longer than the time limit of a statement, and its callers ask again."""
    store = PostgresStore(own_postgres.url, schema=postgres_schema, timeout=0.3)
    script = store.migrations_sql()
    lock = script[script.index("SELECT pg_advisory_xact_lock") :].partition(";")[0]
    async with administrator(own_postgres) as connection:
        await connection.execute(f"BEGIN; {lock}")
        for _ in range(3):
            async with fails_within(0.5):
                await store.load(a_key())
        await connection.execute("COMMIT")
    assert await tries_again(lambda: store.load(a_key()), 2) is None
    assert (await store._ask("alone", "fetchval", "SELECT current_setting('lock_timeout')")) == "225ms"
    await store.close()


# --- replies that were lost -----------------------------------------------------------------


class Once:
    """Lets a proxy cut the connection of the first chunk that carries a statement out, and of no other."""

    def __init__(self) -> None:
        self.cut = False

    def __call__(self, data: bytes) -> bool:
        if self.cut or data[:1] != b"B":  # Bind, and with it Execute and Sync
            return False
        self.cut = True
        return True


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
            proxy.cut = once = Once()
            assert await call() is DONE
            assert once.cut
            proxy.cut = None
            assert await store.load(key) == wanted
        proxy.cut = Once()
        many = {a_key(): a_record() for _ in range(30)}
        outcomes = await asyncio.gather(*(store.create(name, one, now=NOW) for name, one in many.items()))
        assert outcomes == [DONE] * 30
        proxy.cut = once = Once()
        assert await store.load_many(list(many)) == list(many.values())
        assert once.cut
        await store.close()


async def test_writes_of_one_row_in_one_batch(own_postgres: PostgresServer, postgres_schema: str) -> None:
    """Of ten writers of one version one is done and nine are told, also when the first reply is lost."""
    async with tcp_proxy(own_postgres.port) as proxy:
        store = behind(proxy, postgres_schema, max_connections=1)
        key, record = await ready(store)
        await asyncio.gather(*(store.update(key, a_record(), 1, now=NOW) for _ in range(3)))
        proxy.cut = once = Once()
        writers = [a_record(b"%d" % number) for number in range(10)]
        outcomes = await asyncio.gather(*(store.update(key, one, record.version, now=NOW) for one in writers))
        assert once.cut
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

        def cut(data: bytes) -> bool:
            if writing or data[:1] != b"B":
                return False
            writing.append(asyncio.create_task(overtake()))
            return True

        proxy.cut = cut
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
        proxy.cut = Once()
        async with fails_within(0.5):
            await store.delete(key, record.version)
        proxy.cut = None
        assert await store.delete(key, record.version) is ABSENT
        await store.close()
