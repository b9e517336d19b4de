"""S07: requests without a session fill the store (CVE-2015-5143, CVE-2015-5963, CVE-2015-5964)."""

from __future__ import annotations

import asyncio
import gc
import resource
from pathlib import Path

import pytest

from limpet._wire.tokens import encode_id, new_id
from tests.counts import count
from tests.security.site import WatchedSite


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def visit(site: WatchedSite) -> None:
    """Make a request with a made-up cookie, and let the event loop turn as it does between two requests."""
    await site.ask("/read", encode_id(new_id()))
    await asyncio.sleep(0)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("path", ["/touch", "/read", "/logout"])
async def test_requests_that_write_nothing_leave_nothing(site: WatchedSite, path: str) -> None:
    """Without a cookie and with made-up ones: no row, no cookie, and without a cookie not even a look at the store."""
    for _ in range(count(1_000, 350_000)):
        assert (await site.ask(path)).cookies == []
    assert site.watched.calls == {}
    for _ in range(count(1_000, 350_000)):
        assert (await site.ask(path, encode_id(new_id()))).cookies == []
    assert site.rows == {}


@pytest.mark.timeout(3600)
async def test_a_flood_does_not_grow_the_process(site: WatchedSite) -> None:
    """The memory of the process stays where it is, within 2 MB."""
    for _ in range(3_000):
        await visit(site)
    gc.collect()
    before = resident()
    for _ in range(count(10_000, 1_000_000)):
        await visit(site)
    gc.collect()
    assert resident() - before < 2 << 20


async def test_junk_never_reaches_the_store_when_ids_are_signed(signed: WatchedSite) -> None:
    """With a secret, a made-up id costs no store call at all."""
    for _ in range(1_000):
        await signed.ask("/read", encode_id(new_id()))
    assert signed.watched.calls == {}
