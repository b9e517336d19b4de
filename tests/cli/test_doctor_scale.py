"""``limpet doctor --pods --workers`` adds up connections, and looks at whether so many workers share a store."""

from __future__ import annotations

import pytest

from limpet.cli._scale import Scale, judged
from limpet.stores._connections import Connections
from tests.cli.running import Shell
from tests.servers.valkey import ValkeyServer


def test_a_redis_server_with_room(shell: Shell, own_valkey: ValkeyServer) -> None:
    """The sum, its parts and the limit are printed, and nothing is to be mended because of them."""
    own_valkey.say("CONFIG", "SET", "maxclients", "1000")
    found = shell.diagnose("--store", own_valkey.url, "--pods", "3", "--workers", "4")
    said = found.says("fine", "scale")
    assert "3 pods x 4 workers x 4 connections = 48, and maxclients leaves 1,000 to applications" in said


def test_a_redis_server_that_is_too_small(shell: Shell, own_valkey: ValkeyServer) -> None:
    """Over the limit: exit code 1, and the largest max_connections that fits."""
    own_valkey.say("CONFIG", "SET", "maxclients", "100")
    found = shell.diagnose("--store", own_valkey.url, "--pods", "10", "--workers", "4")
    assert found.code == 1
    said = found.says("mend", "scale")
    assert "10 pods x 4 workers x 4 connections = 160" in said
    assert "?max_connections=2 " in said
    found = shell.diagnose("--store", f"{own_valkey.url}?max_connections=2", "--pods", "10", "--workers", "4")
    assert "= 80," in found.says("fine", "scale")


def test_a_postgresql_server(shell: Shell, postgres_url: str) -> None:
    """What is reserved for superusers is no room for applications."""
    store = f"{postgres_url}?schema=doctor_scale"
    found = shell.diagnose("--store", store, "--workers", "2")
    assert "1 pod x 2 workers x 4 connections = 8, and max_connections leaves " in found.says("fine", "scale")
    found = shell.diagnose("--store", store, "--pods", "50", "--workers", "8")
    assert "PgBouncer" in found.says("mend", "scale")


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
    assert word in shell.diagnose("--store", store, *options).says("mend", "scale")
