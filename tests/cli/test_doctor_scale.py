"""``limpet doctor --pods --workers`` adds up connections, and looks at whether so many workers share a store."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from limpet import StoreUnavailable
from limpet.cli._scale import Scale, judged
from limpet.contract import Record
from limpet.stores._connections import Connections
from limpet.stores.redis import RedisStore
from tests.cli.running import Shell
from tests.servers.valkey import ValkeyServer


def test_a_redis_server_with_room(shell: Shell, own_valkey: ValkeyServer) -> None:
    """The sum, its parts and the limit are printed, and nothing is to be fixed because of them."""
    own_valkey.say("CONFIG", "SET", "maxclients", "1000")
    found = shell.diagnose("--store", own_valkey.url, "--pods", "3", "--workers", "4")
    said = found.says("fine", "scale")
    assert "3 pods x 4 workers x 1 connection = 12, and maxclients leaves 1,000 to applications" in said
    assert said.endswith("without an event loop, each worker opens one for each thread, up to 50")


def test_a_redis_server_that_is_too_small(shell: Shell, own_valkey: ValkeyServer) -> None:
    """Over the limit: exit code 1. Each worker needs its connection, so that fewer of them are what is left."""
    own_valkey.say("CONFIG", "SET", "maxclients", "100")
    found = shell.diagnose("--store", own_valkey.url, "--pods", "40", "--workers", "4")
    assert found.code == 1
    said = found.says("fix", "scale")
    assert "40 pods x 4 workers x 1 connection = 160" in said
    assert said.endswith("raise maxclients, or run fewer workers")
    assert "= 80," in shell.diagnose("--store", own_valkey.url, "--pods", "20", "--workers", "4").says("fine", "scale")


def test_the_largest_number_that_fits() -> None:
    found = judged(Connections(pool=4, limit=97, used=1, setting="max_connections"), Scale(pods=10, workers=4))
    assert (found.level, found.about) == ("fix", "scale")
    assert "put ?max_connections=2 into" in found.says


@pytest.mark.parametrize(
    ("options", "count"), [("", 1), ("?wait_replicas=1", 2), ("?wait_replicas=1&max_connections=1", 1)]
)
async def test_what_is_counted_is_what_is_opened(own_valkey: ValkeyServer, options: str, count: int) -> None:
    """By two hundred logins and loads at once."""
    store = RedisStore.from_url(f"{own_valkey.url}{options}")

    async def visit(number: int) -> None:
        await store.load(key := f"{number:064x}")
        with suppress(StoreUnavailable):  # there is no replica that could confirm it
            await store.create(key, Record(1, b"x", 1, 10**15, "ann"), now=1)

    await asyncio.gather(*(visit(number) for number in range(200)))
    opened = own_valkey.say("CLIENT", "LIST").count(" addr=") - 1  # this question's own
    assert opened == (await store.connections()).pool == count
    await store.close()


def test_a_postgresql_server(shell: Shell, postgres_url: str) -> None:
    """What is reserved for superusers is no room for applications."""
    store = f"{postgres_url}?schema=doctor_scale"
    found = shell.diagnose("--store", store, "--workers", "2")
    assert "1 pod x 2 workers x 4 connections = 8, and max_connections leaves " in found.says("fine", "scale")
    found = shell.diagnose("--store", store, "--pods", "50", "--workers", "8")
    assert "PgBouncer" in found.says("fix", "scale")


def test_nobody_asked(shell: Shell, own_valkey: ValkeyServer) -> None:
    """Without the options nothing is said of it."""
    found = shell.diagnose("--store", own_valkey.url)
    assert not [finding for finding in found.findings if finding["about"] == "scale"]


def test_room_that_may_be_taken() -> None:
    """Enough if the connections of now are this application's, too little if not: a note."""
    found = judged(Connections(pool=4, limit=97, used=60, setting="max_connections"), Scale(pods=2, workers=8))
    assert (found.level, found.about) == ("note", "scale")
    assert "60 in use now" in found.says


@pytest.mark.parametrize(
    ("store", "options", "word"),
    [
        ("memory:", ("--workers", "2"), "sessions of their own in memory"),
        ("sqlite:///data/s.db", ("--pods", "2"), "2 pods do not share a file"),
        ("file:sessions", ("--pods", "2"), "2 pods do not share a file"),
    ],
)
def test_stores_that_are_not_shared(shell: Shell, store: str, options: tuple[str, str], word: str) -> None:
    """Memory has one worker and a file one machine, be it there already or not."""
    assert word in shell.diagnose("--store", store, *options).says("fix", "scale")
