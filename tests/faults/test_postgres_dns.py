"""A failover by DNS: the database's name leads to another server; the old one goes on, refuses, hangs or is gone."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from limpet.errors import StoreUnavailable
from limpet.stores.postgres import PostgresStore
from tests.faults.postgres import READ_ONLY, WRITABLE, say
from tests.faults.records import tries_again
from tests.faults.service import add, answered, read, refused
from tests.races.counted import CountedSite
from tests.servers.postgres import PostgresServer
from tests.servers.proxies import tcp_proxy

pytestmark = pytest.mark.xdist_group("postgres-faults")

NAME = "primary.failover.test"
OLD, NEW = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the addresses that names lead to: a process cannot have a name server of its own, so that the answer to
    a look-up is all that is not real here."""
    known = {NAME: OLD}
    look_up = socket.getaddrinfo

    def answer(host: Any, *words: Any, **more: Any) -> Any:
        return look_up(known.get(host, host), *words, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return known


@pytest.mark.parametrize("old", ["demoted", "stopped", "frozen", "gone"])
async def test_the_name_moves(
    own_postgres: PostgresServer, second_postgres: PostgresServer, postgres_schema: str, names: dict[str, str], old: str
) -> None:
    """A visitor's requests are answered again within a second of the change of the name (two and a half where the old
    server hangs), on the new server, without a restart; nothing is answered 200 that the new server does not have."""
    direct = PostgresStore(second_postgres.url, schema=postgres_schema)
    await tries_again(direct.open, 10)
    async with (
        tcp_proxy(own_postgres.port, host=OLD) as before,
        tcp_proxy(second_postgres.port, host=NEW, port=before.port),
    ):
        store = PostgresStore(f"postgresql://postgres@{NAME}:{before.port}/postgres", schema=postgres_schema)
        site = CountedSite(store)
        await answered(lambda: site.ask(lambda session: session.update(warm=1)))
        token = await site.session(n=1)
        await asyncio.gather(*(site.ask(read, token) for _ in range(20)))  # all connections are open
        stop = asyncio.Event()
        visits: list[tuple[float, int]] = []  # when each began, and its status

        async def visit() -> None:
            while not stop.is_set():
                at = time.monotonic()
                reply = await site.ask(lambda session: session.update(mine=1))
                if reply.status != 200:
                    assert refused(reply)
                visits.append((at, reply.status))
                await asyncio.sleep(0.02)

        visitors = [asyncio.create_task(visit()) for _ in range(4)]
        await asyncio.sleep(0.1)
        try:
            if old == "demoted":
                await say(own_postgres, *READ_ONLY)
            elif old == "stopped":
                await asyncio.to_thread(own_postgres.stop, "fast")
            elif old == "frozen":
                own_postgres.freeze()
            else:
                await before.refuse()
            names[NAME] = NEW
            begun = time.monotonic()
            reply = await answered(lambda: site.ask(add), 5)
            took = time.monotonic() - begun
            assert reply.status == 200
            assert took < (2.5 if old == "frozen" else 1), f"a write was answered after {took:.2f} s"
            assert reply.token
            again = await site.ask(read, reply.token)
            assert again.result == {"n": 1}
            assert (await site.ask(read, token)).result == {}, "what only the old server has was shown"
            await asyncio.sleep(0.3)
            since = [status for at, status in visits if at > begun + took]
            assert 200 in since
            assert 503 not in since or old == "frozen", "requests fail although writing works again"
        finally:
            stop.set()
            await asyncio.gather(*visitors)
            own_postgres.thaw()
            if not own_postgres.process.running:
                await asyncio.to_thread(own_postgres.start)
            await say(own_postgres, "BEGIN READ WRITE; COMMIT", *WRITABLE)
        await store.close()
    await direct.close()


async def test_a_name_that_leads_nowhere(postgres_schema: str, names: dict[str, str]) -> None:
    """While the name has no address the error says so at once, and the first call after that works."""
    store = PostgresStore(f"postgresql://postgres@{NAME}:1/postgres", schema=postgres_schema)
    names[NAME] = "nowhere.invalid"
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match=NAME):
        await store.load("0" * 64)
    assert time.monotonic() - begun < 2
    await store.close()
