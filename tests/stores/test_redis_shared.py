"""The connection that all commands of an event loop share."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from hiredis import Reader
from redis.asyncio import Connection as TCPConnection
from redis.asyncio import ConnectionPool

from limpet.contract import DONE
from limpet.errors import StoreUnavailable
from limpet.stores.redis import RedisStore
from limpet.stores.redis.direct import packer
from limpet.stores.redis.layout import UPDATE
from limpet.stores.redis.shared import SharedConnection
from tests.faults.records import NOW, a_key, a_record
from tests.servers.proxies import TcpProxy, tcp_proxy
from tests.servers.valkey import ValkeyServer
from tests.stores.there_and_back import command

BUSY = (  # Redis 7.0 gives scripts no `os`, and Valkey 9.1 tells them one time only
    "local there, now = pcall(function() return os.clock end) "
    "if not there then now = function() local time = redis.call('TIME') return time[1] + time[2] / 1e6 end end "
    "local began = now() repeat until now() - began > {seconds}"
)


@pytest.fixture
async def proxy(own_valkey: ValkeyServer) -> AsyncIterator[TcpProxy]:
    async with tcp_proxy(own_valkey.port) as proxy:
        yield proxy


Make = Callable[..., SharedConnection]


@pytest.fixture
async def shared_of(proxy: TcpProxy) -> AsyncIterator[Make]:
    made: list[tuple[SharedConnection, ConnectionPool]] = []

    def make(*, timeout: float = 5, most: int = 512, port: int | None = None) -> SharedConnection:
        pack = packer()
        assert pack is not None
        pool = ConnectionPool(connection_class=TCPConnection, host="127.0.0.1", port=port or proxy.port, protocol=2)
        shared = SharedConnection(pool, pack, where="the test", timeout=timeout, most=most)
        made.append((shared, pool))
        return shared

    yield make
    for shared, pool in made:
        await shared.close()
        await pool.aclose()


def ask(shared: SharedConnection, *words: str | bytes | int) -> asyncio.Future[object]:
    return shared.ask(words)


async def test_replies_are_those_who_asked(shared_of: Make, proxy: TcpProxy) -> None:
    """Commands of any number of tasks go over one connection, and each gets its own reply, or its own error."""
    shared = shared_of()

    async def one(number: int) -> None:
        for turn in range(5):
            value = f"{number}:{turn}".encode() * (1 + number * 50)
            await ask(shared, "SET", f"k{number}", value)
            assert await ask(shared, "GET", f"k{number}") == value
            with pytest.raises(StoreUnavailable, match="wrong number of arguments"):
                await ask(shared, "GET")
            assert await shared.load_all([("GET", f"k{number}"), ("GET", "no")]) == [value, None]

    await asyncio.gather(*(one(number) for number in range(40)))
    assert proxy.most == 1


async def test_a_crowd_is_one_write(shared_of: Make, proxy: TcpProxy) -> None:
    """What is asked in one turn of the loop goes out together, also while other replies are still to come."""
    shared = shared_of()
    await asyncio.gather(*(ask(shared, "GET", "k") for _ in range(3)))
    proxy.delay = 0.1
    before = proxy.requests
    crowds = []
    for _ in range(4):
        crowds.append(asyncio.gather(*(ask(shared, "GET", "k") for _ in range(50))))
        await asyncio.sleep(0.01)
    assert proxy.requests - before == 4, "a crowd waited for the replies to the one before, or was torn apart"
    await asyncio.gather(*crowds)


async def test_no_more_than_so_many_are_under_way(shared_of: Make, own_valkey: ValkeyServer) -> None:
    """What is asked beyond the bound waits for replies, and goes then."""
    shared = shared_of(most=4, port=own_valkey.port)
    assert await ask(shared, "INCR", "n") == 1
    own_valkey.say("CLIENT", "PAUSE", 300, "ALL")
    answers = [ask(shared, "INCR", "n") for _ in range(50)]
    await asyncio.sleep(0.1)
    line = shared._line
    assert line is not None
    assert len(line._asked) == 4
    assert await asyncio.gather(*answers) == list(range(2, 52))


async def test_who_goes_away_takes_nobody_along(shared_of: Make, proxy: TcpProxy) -> None:
    """A call that is cancelled before it is sent never is; one that was sent is carried out, and its reply dropped."""
    shared = shared_of()
    await asyncio.gather(ask(shared, "SET", "n", 0), ask(shared, "GET", "k"))
    unsent = [ask(shared, "INCR", "n") for _ in range(4)]
    unsent[1].cancel()
    assert [await unsent[at] for at in (0, 2, 3)] == [1, 2, 3]
    proxy.delay = 0.05
    sent = [ask(shared, "INCR", "n") for _ in range(4)]
    await asyncio.sleep(0.01)
    sent[0].cancel()
    sent[2].cancel()
    assert (await sent[1], await sent[3]) == (5, 7)
    assert await ask(shared, "GET", "n") == b"7"
    assert proxy.most == 1


async def test_a_slow_script_holds_up_and_fails_nobody(shared_of: Make, own_valkey: ValkeyServer) -> None:
    """While the server is busy with one script everybody waits, and then everybody is answered."""
    shared = shared_of(port=own_valkey.port, timeout=3)
    await ask(shared, "SET", "k", "v")
    slow = ask(shared, "EVAL", BUSY.format(seconds=0.3), 0)
    assert await asyncio.gather(*(ask(shared, "GET", "k") for _ in range(20))) == [b"v"] * 20
    assert await slow is None


async def test_too_late_is_no_reason_to_hang_up_while_others_are_answered(shared_of: Make) -> None:
    """Only those whose time is up fail when a server is slow but speaks; its connection is kept."""
    pause, made = 0.0, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal made
        made += 1
        commands = Reader()
        while data := await reader.read(65_536):
            commands.feed(data)
            while (words := commands.gets()) is not False:
                await asyncio.sleep(pause)
                writer.write(b"$%d\r\n%s\r\n" % (len(words[-1]), words[-1]))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        shared = shared_of(port=server.sockets[0].getsockname()[1], timeout=1)
        assert await ask(shared, "ECHO", "first") == b"first"
        pause = 0.25
        found = await asyncio.gather(*(ask(shared, "ECHO", number) for number in range(8)), return_exceptions=True)
        assert found[:2] == [b"0", b"1"]
        assert all(isinstance(one, StoreUnavailable) and one.waited for one in found[4:])
        await shared.drain()
        pause = 0
        assert await ask(shared, "ECHO", "last") == b"last"
        assert made == 1
        await shared.close()


async def test_a_frozen_connection_is_given_up(shared_of: Make, proxy: TcpProxy) -> None:
    """The one whose time is up fails, within its time; a load that was asked after it is asked anew, and answered."""
    shared = shared_of(timeout=1)
    await ask(shared, "SET", "k", "v")
    await asyncio.sleep(0.006)  # the timer of that one rings just before the next one's time is up
    proxy.delay = 60
    loop = asyncio.get_running_loop()
    begun, answers = loop.time(), proxy.answers
    first = ask(shared, "GET", "k")
    while proxy.answers == answers:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    second, write = ask(shared, "GET", "k"), shared.ask(("EVALSHA", UPDATE.sha, 0), UPDATE)
    proxy.delay = 0  # what has been answered stays where it is, other connections are served
    with pytest.raises(StoreUnavailable, match="did not answer within 1 s") as caught:
        await first
    assert caught.value.waited
    assert 0.99 < loop.time() - begun < 1.3
    assert await second == b"v"
    with pytest.raises(StoreUnavailable, match="no reply came in time"):  # it may have happened
        await write
    assert loop.time() - begun < 1.45, "nobody waits twice"


async def test_a_call_that_is_sent_again_keeps_its_time(shared_of: Make, proxy: TcpProxy) -> None:
    """Also where the connection is given up just when another call was asked, whose time is up much later."""
    shared = shared_of(timeout=0.4)
    await ask(shared, "SET", "k", "v")
    await asyncio.sleep(0.05)
    proxy.delay = 60
    loop = asyncio.get_running_loop()
    begun = loop.time()
    calls = [ask(shared, "GET", "k")]
    loop.call_at(begun + 0.4 - 1e-6, lambda: calls.append(ask(shared, "GET", "k")))
    await asyncio.sleep(0.05)
    second = ask(shared, "GET", "k")
    with pytest.raises(StoreUnavailable):
        await second
    assert loop.time() - begun < 0.65
    told = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in told] == [StoreUnavailable] * 2


async def test_an_answer_without_anybody_who_waits_frees_the_line(shared_of: Make, proxy: TcpProxy) -> None:
    """A connection is given up for its silence also if everybody who waited has gone."""
    shared = shared_of(timeout=0.2)
    await ask(shared, "SET", "k", "v")
    line = shared._line
    proxy.delay = 60
    gone = ask(shared, "GET", "k")
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait_for(shared.drain(), 1)
    assert shared._line is not line
    proxy.delay = 0
    assert await ask(shared, "GET", "k") == b"v"


@asynccontextmanager
async def scripted(answered: Callable[[int], int]) -> AsyncIterator[tuple[int, list[list[bytes]]]]:
    """A server that answers each command with its last word; so many of each connection, and then it hangs up."""
    connections: list[list[bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, heard, commands = len(connections), list[bytes](), Reader()
        connections.append(heard)
        while data := await reader.read(65_536):
            commands.feed(data)
            while (words := commands.gets()) is not False:
                heard.append(words[-1])
                if words[0] != b"CLIENT" and len(heard) > answered(number):
                    writer.close()
                    return
                writer.write(b"$%d\r\n%s\r\n" % (len(words[-1]), words[-1]))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], connections


async def test_what_all_need_is_read_once_and_last(shared_of: Make) -> None:
    """Loads of one turn that have their second key in common read it once, after all that is their own."""
    async with scripted(lambda _: 1000) as (port, connections):
        shared = shared_of(port=port)
        await asyncio.gather(*(ask(shared, "GET", "first") for _ in range(2)))
        loads = [shared.load_all([("GET", f"k{number}"), ("GET", "common")]) for number in range(5)]
        loads += [shared.load_all([("GET", f"k{number}"), ("GET", "other")]) for number in range(5, 7)]
        loads[1].cancel()
        found = await asyncio.gather(*loads, return_exceptions=True)
        expected = [[b"k%d" % number, b"common" if number < 5 else b"other"] for number in range(7)]
        assert [one for at, one in enumerate(found) if at != 1] == [one for at, one in enumerate(expected) if at != 1]
        assert connections[0][-8:] == [b"k0", b"k2", b"k3", b"k4", b"k5", b"k6", b"common", b"other"]
        assert await shared.load_all([("GET", "alone"), ("GET", "common")]) == [b"alone", b"common"]
        await shared.close()


@pytest.mark.parametrize("replies", range(7))
async def test_a_connection_ends_between_the_replies_of_a_call(shared_of: Make, replies: int) -> None:
    """Wherever it ends, loads whose last reply is missing are asked anew, as a whole, and each gets its own."""
    setinfo = 2
    async with scripted(lambda number: setinfo + 2 + replies if number == 0 else 1000) as (port, connections):
        shared = shared_of(port=port)
        await asyncio.gather(*(ask(shared, "GET", "first") for _ in range(2)))
        loads = [shared.load_all([("GET", f"k{number}"), ("GET", "common")]) for number in range(4)]
        single = ask(shared, "GET", "single")
        assert await asyncio.gather(*loads) == [[b"k%d" % number, b"common"] for number in range(4)]
        assert await single == b"single"
        again = connections[1][setinfo:] if len(connections) > 1 else []
        assert len(again) == {6: 0, 5: 5}.get(replies, 6), again
        await shared.close()


async def test_a_script_that_the_server_does_not_know(shared_of: Make, own_valkey: ValkeyServer) -> None:
    """A crowd whose script was forgotten is carried out, each once."""
    store = RedisStore(own_valkey.url)
    keys = [a_key() for _ in range(30)]
    records = [a_record(b"%d" % number) for number in range(30)]
    for key, record in zip(keys, records, strict=True):
        assert await store.create(key, record, now=NOW) is DONE
    own_valkey.say("SCRIPT", "FLUSH")
    following = [record._replace(version=record.version + 1, payload=b"after") for record in records]
    assert (
        await asyncio.gather(
            *(
                store.update(key, after, before.version, now=NOW)
                for key, before, after in zip(keys, records, following, strict=True)
            )
        )
        == [DONE] * 30
    )
    found = await store.load_many(keys)
    assert [record.payload for record in found if record is not None] == [b"after"] * 30
    await store.close()


async def test_what_is_no_reply_ends_the_connection(shared_of: Make, proxy: TcpProxy) -> None:
    """A peer that does not speak the protocol is hung up on; the next command finds the server again."""
    shared = shared_of()
    await ask(shared, "SET", "k", "v")
    proxy.forge = lambda data: b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(ask(shared, "GET", "k"), 3)
    proxy.forge = None
    assert await ask(shared, "GET", "k") == b"v"
    proxy.forge = lambda data: data + b":1\r\n"  # one reply more than was asked for
    with suppress(StoreUnavailable):
        assert await ask(shared, "GET", "k") == b"v"
    proxy.forge = None
    for _ in range(3):
        assert await ask(shared, "GET", "k") == b"v"


async def test_large_and_many(shared_of: Make, own_valkey: ValkeyServer) -> None:
    """More than the buffers of the sockets hold goes both ways, in order."""
    shared = shared_of(port=own_valkey.port)
    values = [bytes([number]) * 1_000_000 for number in range(16)]
    await asyncio.gather(*(ask(shared, "SET", f"k{number}", value) for number, value in enumerate(values)))
    assert await asyncio.gather(*(ask(shared, "GET", f"k{number}") for number in range(16))) == values


async def test_closing_waits_for_what_is_under_way(proxy: TcpProxy) -> None:
    """A store that is closed has finished what was asked, and has no connection left."""
    store = RedisStore(f"redis://127.0.0.1:{proxy.port}")
    key = a_key()
    await store.create(key, a_record(b"mine"), now=NOW)
    proxy.delay = 0.05
    loads = [asyncio.ensure_future(store.load(key)) for _ in range(20)]
    await asyncio.sleep(0.01)
    await store.close()
    assert all(task.done() for task in loads)
    assert all([(await task) is not None for task in loads])
    await proxy.all_closed()


async def test_nobody_listens(shared_of: Make) -> None:
    """Whoever asks while there is no server fails with what is wrong; nothing stays behind."""
    shared = shared_of(port=1, timeout=2)
    found = await asyncio.gather(*(ask(shared, "GET", "k") for _ in range(5)), return_exceptions=True)
    assert all(isinstance(one, StoreUnavailable) and "failed" in str(one) for one in found)
    await asyncio.wait_for(shared.drain(), 1)


def test_on_uvloop(own_valkey: ValkeyServer) -> None:
    """The transport of another event loop takes the protocol as well."""
    pytest.importorskip("uvloop")
    words = command(own_valkey.url, first="import uvloop", run="uvloop.run", at_once=50)
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
