"""RedisStore on one server."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio as client_library
import trustme
from redis.cluster import LoadBalancingStrategy

from limpet.contract import ABSENT, DONE, NEVER, Checks, Finds, Record, Scans, Store
from limpet.errors import ConfigurationError, StoreUnavailable
from limpet.stores import open_store
from limpet.stores.redis import RedisStore
from limpet.testing.suite_store import StoreSuite
from tests.servers.proxies import tcp_proxy
from tests.servers.valkey import ValkeyServer

NOW = 1_700_000_000_000
HOUR = 3_600_000


def a_key() -> str:
    return secrets.token_hex(32)


def a_record(payload: bytes = b"payload", *, subject: str | None = None, life: int = HOUR) -> Record:
    return Record(secrets.randbits(63), payload, NOW, NOW + life, subject)


class TestRedisStore(StoreSuite):
    """The whole conformance suite."""

    @pytest.fixture
    def store(self, redis_url: str, redis_prefix: str) -> RedisStore:
        self.place = redis_url, redis_prefix
        return RedisStore(redis_url, prefix=redis_prefix)

    def reopen(self, store: Store) -> RedisStore:
        return RedisStore(self.place[0], prefix=self.place[1])


@pytest.fixture
async def store(redis_url: str, redis_prefix: str) -> AsyncIterator[RedisStore]:
    store = RedisStore(redis_url, prefix=redis_prefix)
    yield store
    await store.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[client_library.Redis]:
    client = client_library.Redis.from_url(redis_url, protocol=2)
    yield client
    await client.aclose()


def test_powers(store: RedisStore) -> None:
    """It finds, scans and checks; it does not sweep, because the server forgets by itself."""
    assert isinstance(store, Store)
    assert isinstance(store, Finds)
    assert isinstance(store, Scans)
    assert isinstance(store, Checks)
    assert not hasattr(store, "sweep")


async def test_round_trips(redis_url: str, redis_prefix: str) -> None:
    """A load is one round trip, and so is every write, also one that meets a conflict."""
    async with tcp_proxy(int(redis_url.rsplit(":", 1)[1].partition("/")[0])) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}", prefix=redis_prefix)
        key, record = a_key(), a_record(subject="ada")
        await store.create(key, record, now=NOW)
        await store.update(a_key(), record, 1, now=NOW)
        await store.touch(key, NOW, NOW, now=NOW)
        await store.delete(key, 1)  # every script is known to the server now
        for call in (
            lambda: store.load(key),
            lambda: store.create(key, record, now=NOW),
            lambda: store.update(key, record._replace(version=5), record.version, now=NOW),
            lambda: store.update(key, record, record.version, now=NOW),
            lambda: store.touch(key, NOW + 1, NOW + HOUR + 1, now=NOW),
            lambda: store.delete(key, 4),
            lambda: store.delete(key, 5),
        ):
            before = proxy.requests
            await call()
            assert proxy.requests == before + 1
        await store.close()


async def test_concurrent_commands_travel_together(redis_url: str, redis_prefix: str) -> None:
    """A hundred loads of one loop turn are one round trip, and each caller gets its own record."""
    async with tcp_proxy(int(redis_url.rsplit(":", 1)[1].partition("/")[0])) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}", prefix=redis_prefix)
        keys = [a_key() for _ in range(100)]
        await asyncio.gather(*(store.create(key, a_record(key.encode()), now=NOW) for key in keys))
        before = proxy.requests
        found = await asyncio.gather(*(store.load(key) for key in keys))
        assert [record.payload for record in found if record] == [key.encode() for key in keys]
        assert proxy.requests - before == 1
        await store.close()


async def test_server_forgets_after_the_relative_life(
    store: RedisStore, redis: client_library.Redis, redis_prefix: str
) -> None:
    """The life given to the server counts from the caller's time, so hosts whose clocks differ agree."""
    key = a_key()
    await store.create(key, a_record(life=60_000), now=NOW)
    assert 59_000 < await redis.pttl(redis_prefix + key) <= 60_000
    await store.touch(key, NOW, NOW + 90_000, now=NOW)
    assert 89_000 < await redis.pttl(redis_prefix + key) <= 90_000
    await store.touch(key, NOW, NOW + 10_000, now=NOW)
    assert await redis.pttl(redis_prefix + key) > 80_000, "a touch shortened the life"
    await store.touch(key, NOW, NEVER, now=NOW)
    assert await redis.pttl(redis_prefix + key) == -1
    await store.create(short := a_key(), a_record(life=20), now=NOW)
    await asyncio.sleep(0.05)  # the server's clock, which cannot be turned
    assert await store.load(short) is None


async def test_scripts_that_the_server_forgot(store: RedisStore, redis: client_library.Redis) -> None:
    """A server that was restarted or flushed knows no scripts: the write is carried out all the same, once."""
    key, record = a_key(), a_record()
    await redis.script_flush()
    assert await store.create(key, record, now=NOW) is DONE
    await redis.script_flush()
    outcomes = await asyncio.gather(
        *(store.update(key, a_record(b"%d" % number), record.version, now=NOW) for number in range(20))
    )
    assert outcomes.count(DONE) == 1


@pytest.mark.parametrize(
    "junk",
    [b"", b"garbage", b"\x01short", b"\x01" + b"\xff" * 40, b"\x01" + b"\x7f" * 60, b'{"a": 1}', b"\x80" * 200],
)
async def test_a_foreign_value_is_a_corrupt_record(
    store: RedisStore, redis: client_library.Redis, redis_prefix: str, junk: bytes
) -> None:
    """Bytes that something else wrote are a corrupt record, with a version that deletes just these bytes."""
    key = a_key()
    await redis.set(redis_prefix + key, junk)
    found = await store.load(key)
    assert isinstance(found, Record)
    assert found == await store.load(key)
    assert await store.create(key, a_record(), now=NOW) == found
    await redis.set(redis_prefix + key, junk + b"changed")
    if found.version != (await store.load(key) or found).version:
        assert isinstance(await store.delete(key, found.version), Record)
        found = await store.load(key) or found
    assert await store.delete(key, found.version) is DONE
    assert await store.load(key) is None


async def test_a_list_in_the_place_of_a_record(
    store: RedisStore, redis: client_library.Redis, redis_prefix: str
) -> None:
    """A key that holds no string at all is a corrupt record too, for every call, and can be deleted."""
    key = a_key()
    await redis.lpush(redis_prefix + key, "x")
    found = await store.load(key)
    assert isinstance(found, Record)
    assert found.payload == b""
    assert await store.create(key, a_record(), now=NOW) == found
    assert await store.update(key, a_record(), 1, now=NOW) == found
    assert await store.delete(key, 1) == found
    assert await store.delete(key, found.version) is DONE
    assert await store.delete(key) is ABSENT


async def test_index_keeps_no_entry_too_many(store: RedisStore, redis: client_library.Redis, redis_prefix: str) -> None:
    """A subject's index names exactly its records: after delete, after a change of subject, after expiry and a find."""
    first, second, third = a_key(), a_key(), a_key()
    for key, life in ((first, HOUR), (second, HOUR), (third, 20)):
        await store.create(key, a_record(subject="ada", life=life), now=NOW)
    index = next(iter([name async for name in redis.scan_iter(f"{redis_prefix}subject:*")]))
    assert b"ada" not in index
    assert await redis.zcard(index) == 3
    await asyncio.sleep(0.05)  # the server's clock, which cannot be turned
    assert {key for key, _ in await store.find("ada")} == {first, second}
    assert await redis.zcard(index) == 2
    current = await store.load(second)
    assert current is not None
    await store.update(second, a_record(subject="eve"), current.version, now=NOW)
    assert await redis.zrange(index, 0, -1) == [first.encode()]
    await store.delete(first)
    assert not await redis.exists(index)


async def test_index_lives_as_long_as_its_records(
    store: RedisStore, redis: client_library.Redis, redis_prefix: str
) -> None:
    """An index has a deadline of its own, later than that of any of its records, so an unused one does not stay."""
    key = a_key()
    await store.create(key, a_record(subject="ada", life=10_000), now=NOW)
    index = next(iter([name async for name in redis.scan_iter(f"{redis_prefix}subject:*")]))
    assert 10_000 < await redis.pttl(index) <= 10_000 + HOUR
    await store.touch(key, NOW, NOW + 5 * HOUR, now=NOW)
    assert 5 * HOUR < await redis.pttl(index) <= 6 * HOUR
    current = await store.load(key)
    assert current is not None
    await store.update(key, a_record(subject="ada")._replace(expires=NEVER), current.version, now=NOW)
    assert await redis.pttl(index) == -1


async def test_index_outlives_what_an_update_leaves_alone(
    store: RedisStore, redis: client_library.Redis, redis_prefix: str
) -> None:
    """A record that lives on although an update asked for less stays in the index of its new subject as long."""
    key, record = a_key(), a_record(subject="ada")._replace(expires=NEVER)
    await store.create(key, record, now=NOW)
    await store.update(key, a_record(subject="eve", life=20), record.version, now=NOW)
    await asyncio.sleep(0.05)  # the server's clock, which cannot be turned
    assert [found for found, _ in await store.find("eve")] == [key]
    index = next(iter([name async for name in redis.scan_iter(f"{redis_prefix}subject:*")]))
    assert await redis.pttl(index) == -1


async def test_a_prefix_is_no_pattern(redis_url: str, redis_prefix: str) -> None:
    """Two prefixes share nothing, also where one would match the other as a pattern."""
    stores = [RedisStore(redis_url, prefix=redis_prefix + tail) for tail in ("a*:", "ab:", "a[b]:")]
    for store in stores:
        await store.create(a_key(), a_record(repr(store).encode()), now=NOW)
    for store in stores:
        cursor: str | None = None
        found: list[tuple[str, Record]] = []
        while True:
            page, cursor = await store.scan(cursor, 1000)
            found += page
            if cursor is None:
                break
        assert [record.payload for _, record in found] == [repr(store).encode()]
        await store.close()


async def test_own_client(redis: client_library.Redis, redis_prefix: str) -> None:
    """A client that the application has is used as it is, and stays open."""
    store = RedisStore(client=redis, prefix=redis_prefix)
    key, record = a_key(), a_record()
    assert await store.create(key, record, now=NOW) is DONE
    await store.close()
    assert await redis.ping()
    assert await store.load(key) == record
    await store.close()


async def test_clients_that_do_not_fit(redis_url: str) -> None:
    """A client that decodes replies, or reads from replicas, is refused with the reason."""
    decoding = client_library.Redis.from_url(redis_url, decode_responses=True)
    with pytest.raises(ConfigurationError, match="decode_responses"):
        RedisStore(client=decoding)
    replicas = client_library.RedisCluster(
        host="127.0.0.1", port=1, load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN
    )
    with pytest.raises(ConfigurationError, match="from replicas"):
        RedisStore(client=replicas)
    with pytest.raises(ConfigurationError, match="not both"):
        RedisStore(redis_url, client=decoding)


async def test_tls(own_valkey: ValkeyServer, tmp_path: Path) -> None:
    """``rediss://`` verifies the server's certificate: against the authority it was given, and by name."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with tcp_proxy(own_valkey.port, context) as proxy:
        store = RedisStore.from_url(
            f"rediss://127.0.0.1:{proxy.port}/0?ssl_ca_certs={tmp_path}/ca.pem&prefix=p:&timeout=5&connect_timeout=5"
        )
        key, record = a_key(), a_record()
        assert await store.create(key, record, now=NOW) is DONE
        assert await store.load(key) == record
        await store.close()
        stranger = RedisStore(f"rediss://127.0.0.1:{proxy.port}/0", timeout=5, connect_timeout=5)
        with pytest.raises(StoreUnavailable, match=r"(?i)certificate"):
            await stranger.load(key)
        await stranger.close()


async def test_unix_socket(tmp_path_factory: pytest.TempPathFactory) -> None:
    """``redis+unix://`` and its options reach a server over a socket."""
    path = tmp_path_factory.mktemp("s") / "socket"
    with ValkeyServer("--unixsocket", str(path)):
        store = open_store(f"redis+unix://{path}?db=3&prefix=p:&timeout=2")
        assert isinstance(store, RedisStore)
        key, record = a_key(), a_record()
        assert await store.create(key, record, now=NOW) is DONE
        assert await store.load(key) == record
        await store.close()


async def test_wrong_password_is_not_shown(own_valkey: ValkeyServer) -> None:
    """A wrong or missing password is an outage that says so, and neither error nor repr shows what was tried."""
    own_valkey.say("CONFIG", "SET", "requirepass", "right")
    for login in (":hunter2secret@", "user:hunter2secret@", ""):
        store = RedisStore(f"redis://{login}127.0.0.1:{own_valkey.port}/0")
        with pytest.raises(StoreUnavailable, match="password") as caught:
            await store.load(a_key())
        assert "hunter2secret" not in f"{caught.value!r} {store!r}"
        await store.close()
    store = RedisStore(f"redis://:right@127.0.0.1:{own_valkey.port}/0")
    assert await store.load(a_key()) is None
    await store.close()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("mysql://h", "redis://host"),
        ("redis://h/zero", "not a database"),
        ("redis://h:port/0", "not a host with a port"),
        ("redis://a,b/0", r"redis\+sentinel"),
        ("redis+sentinel://a,b", "service's name"),
        ("redis+cluster://a,b/2", "only one"),
        ("redis://h/0?nonsense=1", "nonsense"),
        ("redis://h/0?timeout=soon", "timeout"),
        ("redis://h/0?timeout=0", "timeout=0.0: give seconds, more than 0"),
        ("redis://h/0?max_connections=0", "max_connections=0: give a whole number of connections, 1 or more"),
        ("rediss://h/0?ssl_ca_certs=/no/such.pem", "ssl_ca_certs names '/no/such.pem'"),
    ],
)
def test_urls_that_cannot_work(url: str, complaint: str) -> None:
    """A URL that cannot work is refused where it is given, in words."""
    with pytest.raises(ConfigurationError, match=complaint):
        RedisStore.from_url(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://", "Redis at localhost:6379"),
        ("valkey://h", "Redis at h:6379"),
        ("redis://user:se%40cret@h:7/3", "Redis at h:7"),
        ("rediss://[::1]:7", "Redis at ::1:7"),
        ("valkey+sentinel://:pw@a,b:7/svc/1", "Redis sentinel at a:26379,b:7"),
        ("rediss+cluster://a,b:7", "Redis cluster at a:6379,b:7"),
        ("unix:///run/redis.sock?db=1", "Redis at /run/redis.sock"),
    ],
)
def test_urls(url: str, shown: str) -> None:
    """All forms of a URL are understood, and no password is ever shown."""
    store = RedisStore.from_url(url)
    assert repr(store) == f"RedisStore({shown!r}, prefix='limpet:')"


POLICIES = [
    *(f"allkeys-{way}" for way in ("lru", "lfu", "random")),
    *(f"volatile-{way}" for way in ("lru", "lfu", "random", "ttl")),
]


async def test_every_eviction_policy_is_judged(own_valkey: ValkeyServer) -> None:
    """Of all policies that the server knows only noeviction is nothing to mend, whatever maxmemory is."""
    store = RedisStore(own_valkey.url)
    own_valkey.say("CONFIG", "SET", "appendonly", "yes")
    for most in ("0", "100mb"):
        own_valkey.say("CONFIG", "SET", "maxmemory", most)
        for policy in POLICIES:
            assert own_valkey.say("CONFIG", "SET", "maxmemory-policy", policy) == "+OK\r\n"
            (said,) = [sentence for sentence in await store.check() if "maxmemory-policy" in sentence]
            assert said.startswith(f"maxmemory-policy is {policy}: ")
            assert "what was revoked is valid again; set noeviction" in said
    assert "argument must be one of" not in own_valkey.say("CONFIG", "SET", "maxmemory-policy", "noeviction")
    known = own_valkey.say("CONFIG", "SET", "maxmemory-policy", "none-such")
    assert len(POLICIES) + 1 == known.count("-lru") + known.count("-lfu") + known.count("-random") + 2, known
    assert await store.check() == []
    await store.close()


async def test_check_names_what_is_dangerous(own_valkey: ValkeyServer) -> None:
    """A server that would lose or forget sessions is complained about; one that is set up well is not."""
    store = RedisStore(own_valkey.url, wait_replicas=1)
    own_valkey.say("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    own_valkey.say("CONFIG", "SET", "maxclients", "2")
    text = "\n".join(await store.check())
    for word in ("allkeys-lru", "maxmemory is 0", "appendonly", "wait_replicas is 1", "maxclients is 2"):
        assert word in text
    await store.close()
    for name, value in (
        ("maxmemory-policy", "noeviction"),
        ("maxmemory", "100mb"),
        ("appendonly", "yes"),
        ("maxclients", "1000"),
    ):
        own_valkey.say("CONFIG", "SET", name, value)
    store = RedisStore(own_valkey.url)
    assert await store.check() == []
    own_valkey.say("CONFIG", "SET", "maxmemory", "1000000")
    assert "bytes of maxmemory are used: no session can be saved; " in "\n".join(await store.check())
    own_valkey.say("REPLICAOF", "127.0.0.1", "1")
    assert "read-only replica" in "\n".join(await store.check())
    await store.close()
