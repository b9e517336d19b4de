"""A store's service behind a proxy, as an application meets it: ``site`` asks it through the real middleware."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg

from limpet.contract import Store
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from limpet.testing.driven import driven
from tests.counts import LONG, count
from tests.races.counted import CountedSite
from tests.servers.postgres import PostgresServer
from tests.servers.proxies import TcpProxy
from tests.servers.valkey import ValkeyServer
from tests.site import Answer, Handler, nothing

__all__ = [
    "LONG",
    "Server",
    "Service",
    "add",
    "answered",
    "count",
    "read",
    "refused",
    "session_key",
    "timed",
    "unrelated",
]

Server: TypeAlias = ValkeyServer | PostgresServer


def read(session: Any) -> Any:
    """Return all that the session holds; for the store, a mere read."""
    return dict(session)


def add(session: Any) -> None:
    """Count one more."""
    session.increment("n")


def unrelated(session: Any) -> str:
    """Do what has nothing to do with the session."""
    return "fine"


class Service:
    """One durable server, the proxy before it, and a corner of its own there.

    Attributes:
        kind: ``redis`` or ``postgres``.
        server: The process; this test may stop, freeze and kill it, and leaves it running.
        proxy: What stores connect to.
        stores: The stores that were made, to be closed.
        corner: Prefix or schema.
        threads: Stores are used as a blocking application does, through the clients that block.
    """

    def __init__(self, kind: str, server: Server, proxy: TcpProxy, *, threads: bool = False) -> None:
        self.threads = threads
        self.kind = kind
        self.server = server
        self.proxy = proxy
        self.stores: list[Store] = []
        self.corner = f"test_{secrets.token_hex(6)}"

    def store(self, *, direct: bool = False, **settings: Any) -> Store:
        """Return a store over the proxy, or straight to the server."""
        if self.threads:
            settings.setdefault("max_connections", 50)  # these tests send as many requests at once
        store = self._make(self.server.port if direct else self.proxy.port, settings)
        if self.threads:
            store = driven(store)
        self.stores.append(store)
        return store

    def _make(self, port: int, settings: dict[str, Any]) -> Store:
        if self.kind == "redis":
            return RedisStore(f"redis://127.0.0.1:{port}", prefix=f"{self.corner}:", **settings)
        return PostgresStore(f"postgresql://postgres@127.0.0.1:{port}/postgres", schema=self.corner, **settings)

    def url(self) -> str:
        """Return the URL of a store without the proxy, for other processes."""
        if self.kind == "redis":
            return f"redis://127.0.0.1:{self.server.port}?prefix={self.corner}:"
        return f"{self.server.url}?schema={self.corner}"

    async def site(
        self, *, lazy: bool = False, direct: bool = False, counted: bool = True, **policy: Any
    ) -> CountedSite:
        """Return a site whose store is ready and whose statements the server knows."""
        site = CountedSite(self.store(direct=direct), lazy=lazy, counted=counted, **policy)
        await answered(lambda: site.ask(lambda session: session.update(warm=1)))
        token = await site.session(warm=1)
        for handler in (add, read, lambda session: session.logout()):
            assert (await site.ask(handler, token)).status == 200
        if counted:
            site.take()
        return site

    def crash(self) -> None:
        """Kill -9 of the server and all its children."""
        self.server.kill()

    def revive(self) -> None:
        """Start it again."""
        self.server.start()

    async def administer(self, *statements: str) -> None:
        """Run statements as PostgreSQL's administrator."""
        connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{self.server.port}/postgres")
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def until(self, ask: Callable[[], Awaitable[Answer]], status: int, seconds: float = 10.0) -> Answer:
        """Ask until there is this status; a server needs a moment to change its mind."""
        async with asyncio.timeout(seconds):
            while (reply := await ask()).status != status:
                await asyncio.sleep(0.02)
        return reply

    async def close(self) -> None:
        for store in self.stores:
            await store.close()


async def answered(ask: Callable[[], Awaitable[Answer]], seconds: float = 10.0) -> Answer:
    """Return the first reply that is no 503, as a client gets it that heeds Retry-After; at most after so long."""
    async with asyncio.timeout(seconds):
        while True:
            reply = await ask()
            if reply.status != 503:
                return reply
            assert refused(reply)
            await asyncio.sleep(0.02)


def refused(reply: Answer) -> bool:
    """Tell whether a reply is what an outage has to be: 503, Retry-After, not to be kept, and no cookie."""
    headers = dict(reply.headers)
    assert reply.status == 503, f"{reply.status} in the place of a 503"
    assert headers.get("retry-after") == "1"
    assert headers.get("cache-control") == "no-store"
    assert reply.token is None, "an outage must leave the visitor's cookie alone"
    return True


async def timed(site: CountedSite, handler: Handler = nothing, token: str | None = None) -> tuple[float, Answer]:
    """Return how many seconds a request took, and its reply."""
    begun = time.monotonic()
    reply = await site.ask(handler, token)
    return time.monotonic() - begun, reply


async def session_key(site: CountedSite, token: str) -> str:
    """Return the store key of a session."""
    session = site.begin(token)
    await site.manager.load(session)
    assert session.public_id is not None
    return session.public_id
