"""S11: a cookie that was tampered with is accepted."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from tests.counts import count
from tests.security.hostile import Witness, at_random, bit_flips, truncations
from tests.security.site import SECRET, WatchedSite

STORES = pytest.mark.parametrize("store", [None, "cookie:", "cookie:signed"], ids=["id", "encrypted", "signed"])


async def tried(site: WatchedSite, values: Iterable[bytes]) -> int:
    """Send every value to a reading route: none is accepted, fails, sets a cookie or takes long; return how many."""
    number, begun = 0, time.perf_counter()
    for value in values:
        number += 1
        answer = await site.ask("/read", value)
        assert (answer.status, answer.text, answer.cookies) == (200, "null", []), value
    assert time.perf_counter() - begun < 0.005 * number, "5 ms for each"
    return number


@STORES
async def test_no_flipped_bit_and_no_truncation_is_accepted(store: str | None) -> None:
    """Every single bit, every beginning and end: anonymous, no decoding, no store call."""
    witness = Witness()
    site = WatchedSite(store=store, secret=SECRET, serializer=witness)
    token = (await site.ask("/write")).given
    assert (await site.ask("/read", token)).text == "1"
    witness.decoded = 0
    site.watched.calls.clear()
    assert await tried(site, bit_flips(token)) == 8 * len(token)
    await tried(site, truncations(token))
    assert witness.decoded == 0
    assert site.watched.calls == {}


@STORES
@pytest.mark.timeout(1800)
async def test_no_random_cookie_is_accepted(store: str | None) -> None:
    """Fifty thousand of them, some pieced together from real ones: none is accepted, decoded or looked up."""
    witness = Witness()
    site = WatchedSite(store=store, secret=SECRET, serializer=witness)
    tokens = [(await site.ask("/write")).given for _ in range(8)]
    witness.decoded = 0
    site.watched.calls.clear()
    assert await tried(site, at_random(count(50_000, 1_000_000) // 3, *tokens)) > 10_000
    assert witness.decoded == 0
    assert site.watched.calls == {}
