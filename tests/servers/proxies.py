"""Proxies that stand between a store and its server, and misbehave when told to."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from tests.servers.process import free_port

__all__ = ["PoolerProxy", "TcpProxy", "pooler_proxy", "tcp_proxy"]

_CHUNK: Final = 65_536
_READY: Final = b"Z\x00\x00\x00\x05I"  # ReadyForQuery, in no transaction


async def _stop_listening(server: asyncio.Server) -> None:
    """Accept nothing more, and close once what was accepted is being served: asyncio drops what it is at, unclosed."""
    for listening in server.sockets:
        asyncio.get_running_loop().remove_reader(listening.fileno())
    for _ in range(5):  # a connection becomes a task, a transport, a call, and a task that serves it
        await asyncio.sleep(0)
    server.close()


class TcpProxy:
    """Forwards bytes both ways.

    Attributes:
        host: The address where it listens.
        port: Where it listens.
        target: The port that new connections are led to.
        delay: Seconds by which each answer of the server is late.
        cut: Called with each chunk of a client; when it returns True the chunk is forwarded, and then the client's
            connection is cut without the answer.
        swallow: Called with each chunk of a client; when it returns True the chunk is lost and the connection cut.
        forge: Called with each chunk of the server; what it returns, unless None, is sent in its place, and then the
            client's connection is closed.
        requests: Chunks that clients sent, which is their round trips as long as they wait for answers.
        answers: Chunks that the server sent, be they late or not.
        open: Connections that are open now.
        most: Connections that were open at once.
    """

    def __init__(
        self, target: int, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1", port: int | None = None
    ) -> None:
        self.host = host
        self.port = free_port() if port is None else port
        self.delay = 0.0
        self.cut: Callable[[bytes], bool] | None = None
        self.swallow: Callable[[bytes], bool] | None = None
        self.forge: Callable[[bytes], bytes | None] | None = None
        self.requests = 0
        self.answers = 0
        self.open = 0
        self.most = 0
        self.target = target
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen (again)."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self._tls)

    async def refuse(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            server, self._server = self._server, None
            await _stop_listening(server)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def all_closed(self) -> None:
        """Wait until every connection was closed by its client."""
        async with asyncio.timeout(5):
            while self.open:
                await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        self.most = max(self.most, self.open)
        server_writer: asyncio.StreamWriter | None = None
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
            answering = asyncio.ensure_future(self._answer(server_reader, writer))
            ways = [asyncio.ensure_future(self._ask(reader, server_writer, answering)), answering]
            try:
                done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                if answering in done and answering.cancelled():
                    await ways[0]  # it cuts the connection when the server has had the time to act
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # either side is gone, or the proxy was told to refuse: the other side must see that
        finally:
            self.open -= 1
            self._tasks.discard(task)
            for one in (writer, server_writer):
                if one is not None:
                    one.transport.abort()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answering: asyncio.Future[None]
    ) -> None:
        while data := await reader.read(_CHUNK):
            self.requests += 1
            if self.swallow is not None and self.swallow(data):
                return
            cut = self.cut is not None and self.cut(data)
            if cut:
                answering.cancel()
                await asyncio.wait([answering])
            writer.write(data)
            await writer.drain()
            if cut:
                await asyncio.sleep(0.05)  # the server, another process, carries it out meanwhile
                return

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Late, and still in order and in parallel: each chunk has its own hour.
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def forward() -> None:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                if not data:
                    return
                writer.write(data)
                await writer.drain()

        forwarding = asyncio.ensure_future(forward())
        try:
            while data := await reader.read(_CHUNK):
                self.answers += 1
                forged = None if self.forge is None else self.forge(data)
                queue.put_nowait((loop.time() + self.delay, data if forged is None else forged))
                if forged is not None:
                    break
            queue.put_nowait((loop.time() + self.delay, b""))
            await forwarding
        finally:
            forwarding.cancel()
            await asyncio.gather(forwarding, return_exceptions=True)


@asynccontextmanager
async def tcp_proxy(
    target: int, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1", port: int | None = None
) -> AsyncIterator[TcpProxy]:
    """Run a proxy in front of a port of this machine; with ``tls`` it speaks TLS to clients and plain to the server."""
    proxy = TcpProxy(target, tls, host=host, port=port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.refuse()


class PoolerProxy:
    """A PostgreSQL pooler in transaction mode at its worst: each transaction of a client runs on another connection.

    Clients are let in without asking. Each has two connections to the server, and after every ReadyForQuery outside a
    transaction it gets the other one, so that whatever a client left behind on a connection is not there next time.
    """

    def __init__(self, target: int, refuses: bytes | None = None) -> None:
        self.port = free_port()
        self._target = target
        self._refuses = refuses
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        servers: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        try:
            startup = await self._startup(reader, writer)
            if self._refuses is not None and self._refuses in startup:
                fields = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: " + self._refuses + b"\0\0"
                writer.write(b"E" + struct.pack(">I", len(fields) + 4) + fields)
                await writer.drain()
                return
            greeting = b""
            for _ in range(2):
                server = await asyncio.open_connection("127.0.0.1", self._target)
                servers.append(server)
                server[1].write(startup)
                greeting = b""
                while not greeting.endswith(_READY):
                    greeting += await server[0].read(_CHUNK)
            writer.write(greeting)
            turn = 0
            while True:
                turn ^= 1
                await self._transaction(reader, writer, *servers[turn])
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the client has gone, or the proxy ends
        finally:
            self._tasks.discard(task)
            for one in (writer, *(server[1] for server in servers)):
                if one.transport.get_write_buffer_size() or one is not writer:
                    one.transport.abort()
                else:
                    one.close()

    async def _startup(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        while True:
            head = await reader.readexactly(8)
            length, code = struct.unpack(">II", head)
            rest = await reader.readexactly(length - 8)
            if code != 80877103:  # a request for TLS
                return head + rest
            writer.write(b"N")

    async def _transaction(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        """Forward until the server says that it is ready and in no transaction."""

        async def ask() -> None:
            while data := await reader.read(_CHUNK):
                server_writer.write(data)

        first = await reader.read(_CHUNK)
        if not first:
            raise EOFError
        server_writer.write(first)
        asking = asyncio.ensure_future(ask())
        try:
            while answer := await server_reader.read(_CHUNK):
                writer.write(answer)
                if answer.endswith(_READY):
                    return
            raise EOFError
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def pooler_proxy(target: int, refuses: bytes | None = None) -> AsyncIterator[PoolerProxy]:
    """Run a pooler in front of a PostgreSQL server of this machine; it may refuse a parameter of the connection."""
    proxy = PoolerProxy(target, refuses)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", proxy.port)
    try:
        yield proxy
    finally:
        await _stop_listening(server)
        await proxy.stop()
