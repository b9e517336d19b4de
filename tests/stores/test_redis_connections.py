"""The connections that RedisStore keeps at hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from limpet.contract import DONE
from limpet.errors import StoreUnavailable
from limpet.stores.redis import RedisStore
from tests.faults.records import NOW, a_key, a_record
from tests.servers.proxies import TcpProxy, tcp_proxy
from tests.servers.valkey import ValkeyServer
from tests.stores.there_and_back import command


@pytest.fixture
async def proxy(own_valkey: ValkeyServer) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(own_valkey.port) as proxy:
        yield proxy


async def ready(proxy: TcpProxy, **settings: float) -> tuple[RedisStore, str]:
    """Return a store that has just seen commands one at a time, and the key of a record."""
    store = RedisStore(f"redis://127.0.0.1:{proxy.port}", **settings)  # type: ignore[arg-type]
    key = a_key()
    assert await store.create(key, a_record(b"mine"), now=NOW) is DONE
    for _ in range(3):
        assert await store.load(key) is not None
    return store, key


async def test_one_at_a_time_is_one_connection(proxy: TcpProxy) -> None:
    """Commands that follow each other go over the same connection."""
    store, key = await ready(proxy)
    for _ in range(20):
        await store.load(key)
        await store.touch(key, NOW, NOW, now=NOW)
    assert proxy.most == 1
    await store.close()
    await proxy.all_closed()


def connections_made(server: ValkeyServer) -> int:
    """Return how many connections the server has ever accepted, this question's own included."""
    return int(server.say("INFO", "stats").partition("total_connections_received:")[2].partition("\r")[0])


async def test_a_cancelled_load_costs_no_connection(own_valkey: ValkeyServer, proxy: TcpProxy) -> None:
    """Whenever a load is cancelled, its reply is read all the same: the next one gets its own, nothing is connected."""
    store, key = await ready(proxy)
    other = a_key()
    await store.create(other, a_record(b"other"), now=NOW)
    await asyncio.gather(*(store.load(other) for _ in range(200)))  # two connections
    await store.load(other)
    before = connections_made(own_valkey)
    proxy.delay = 0.02
    for number in range(20):
        task = asyncio.ensure_future(store.load(key))
        await asyncio.sleep(number * 0.0015)
        task.cancel()
        await asyncio.wait([task])
        found = await store.load(other)
        assert found is not None
        assert found.payload == b"other"
    assert connections_made(own_valkey) == before + 1
    await store.close()


async def test_a_cancelled_write_is_carried_out(proxy: TcpProxy) -> None:
    """A write whose caller goes away after it was sent happens, once; and the store can be closed behind it."""
    store, key = await ready(proxy)
    before = await store.load(key)
    assert before is not None
    proxy.delay = 0.05
    after = a_record(b"after")
    task = asyncio.ensure_future(store.update(key, after, before.version, now=NOW))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await store.close()
    await proxy.all_closed()
    proxy.delay = 0
    assert (found := await store.load(key)) is not None
    assert found.payload == b"after"
    await store.close()


async def test_what_idles_leaves_room_for_others(proxy: TcpProxy) -> None:
    """With one connection at most, a scan and a check take their turn with commands, and nobody opens a second."""
    store, key = await ready(proxy, max_connections=1, timeout=5)

    async def commands() -> None:
        for _ in range(30):
            assert await store.load(key) is not None

    async def others() -> None:
        for _ in range(5):
            assert key in [name for name, _ in (await store.scan(None, 100))[0]]
            await store.connections()

    await asyncio.gather(commands(), others(), commands())
    assert proxy.most == 1
    await store.close()


async def test_connections_that_the_server_closed(own_valkey: ValkeyServer, proxy: TcpProxy) -> None:
    """A connection that ended while it idled is noticed before anything is sent on it: no write is asked twice."""
    store, key = await ready(proxy)
    await asyncio.gather(*(store.load(key) for _ in range(200)))  # several connections
    record = await store.load(key)
    assert record is not None
    for number in range(1, 4):
        own_valkey.say("CLIENT", "KILL", "TYPE", "normal")
        await asyncio.sleep(0.05)  # the end of a connection has to travel
        before = proxy.requests
        following = a_record(b"%d" % number)
        assert await store.update(key, following, record.version, now=NOW) is DONE
        sent = proxy.requests - before
        assert sent <= 3, "the write, and what redis-py says of itself on a new connection"
        record = following
    await store.close()


async def test_a_reply_that_never_comes(proxy: TcpProxy) -> None:
    """The connection whose reply is late is given up, and the late reply is nobody's."""
    store, key = await ready(proxy, timeout=0.1)
    other = a_key()
    proxy.delay = 0.3
    with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.1 s"):
        await store.load(key)
    proxy.delay = 0
    assert await store.load(other) is None
    await asyncio.sleep(0.3)
    assert await store.load(other) is None
    assert (await store.load(key)) is not None
    await store.close()


async def test_without_hiredis(own_valkey: ValkeyServer) -> None:
    """Where only redis-py is installed, it reads and writes the protocol: small, large, and every byte value."""
    words = command(own_valkey.url, first='import sys; sys.modules["hiredis"] = None', at_once=5)
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert (process.returncode, said.decode()) == (0, "")
