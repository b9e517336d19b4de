"""S13: huge cookies, and huge numbers of them, cost time."""

from __future__ import annotations

import time

import pytest

from tests.security.site import NAME, SECRET, WatchedSite


async def fastest(site: WatchedSite, header: bytes) -> float:
    """Return the seconds that the quickest of several requests took."""
    best = float("inf")
    for _ in range(7):
        begun = time.perf_counter()
        answer = await site.ask("/read", cookies=[header])
        best = min(best, time.perf_counter() - begun)
        assert (answer.status, answer.text) == (200, "null")
    return best


@pytest.mark.parametrize("store", [None, "cookie:"], ids=["server", "cookie"])
async def test_a_megabyte_is_no_cookie(store: str | None) -> None:
    """Over 4,096 bytes it counts as absent before anything is decoded: hardly any time, no store call."""
    site = WatchedSite(store=store, secret=SECRET)
    await site.ask("/read")
    plain = await fastest(site, b"other=1")
    assert await fastest(site, NAME.encode() + b"=" + b"A" * (1 << 20)) - plain < 0.005
    assert site.watched.calls == {}


async def test_ten_thousand_cookies_take_linear_time(signed: WatchedSite) -> None:
    """Ten thousand pairs, our name among them many times: under 20 ms, and ten times the pairs at most take as much."""
    few = await fastest(signed, b"; ".join(b"c%d=v" % number for number in range(1_000)))
    many = await fastest(signed, b"; ".join(b"c%d=v" % number for number in range(10_000)))
    ours = await fastest(signed, b"; ".join(NAME.encode() + b"=v%d" % number for number in range(10_000)))
    assert max(few, many, ours) < 0.02


async def test_a_header_of_64_kilobytes(signed: WatchedSite) -> None:
    """It is looked through once, and the real cookie behind it still counts."""
    token = (await signed.ask("/write")).given
    header = b"x=" + b"y" * 65_000 + b"; " + NAME.encode() + b"=" + token.encode()
    assert (await signed.ask("/read", cookies=[header])).text == "1"
