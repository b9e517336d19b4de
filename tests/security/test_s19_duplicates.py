"""S19: a subdomain tosses a second cookie of the same name."""

from __future__ import annotations

from itertools import permutations

import pytest

from limpet._wire.tokens import encode_id, new_id
from limpet.events import AmbiguousCookie
from tests.security.site import ANONYMOUS, NAME, SECRET, WatchedSite


def ways(*values: str) -> list[list[bytes]]:
    """Return the cookies in every order, in one header and in one header each."""
    found: list[list[bytes]] = []
    for order in permutations(f"{NAME}={value}".encode() for value in values):
        found += [[b"; ".join(order)], list(order), [b"a=b; " + b";".join(order) + b"; c=d"]]
    return found


@pytest.mark.parametrize("store", [None, "cookie:"], ids=["server", "cookie"])
async def test_the_one_that_authenticates_wins(store: str | None) -> None:
    """Beside junk, in either order, in one header or two: the valid one counts."""
    site = WatchedSite(store=store, secret=SECRET)
    good = (await site.ask("/write")).given
    for evil in ("attacker", encode_id(new_id()), "A" * len(good)):
        for cookies in ways(good, evil):
            assert (await site.ask("/read", cookies=cookies)).text == "1"


@pytest.mark.parametrize("store", [None, "cookie:"], ids=["server", "cookie"])
async def test_two_valid_ones_are_none(store: str | None) -> None:
    """Two different valid sessions: anonymous, with an event, the same in every order."""
    site = WatchedSite(store=store, secret=SECRET)
    one, other = [(await site.ask(path)).given for path in ("/write", "/login")]
    for cookies in ways(one, other):
        site.heard.clear()
        answer = await site.ask("/dump", cookies=cookies)
        assert (answer.status, answer.text, answer.cookies) == (200, ANONYMOUS, [])
        assert site.said(AmbiguousCookie) == 1


async def test_the_same_one_twice_is_one(signed: WatchedSite) -> None:
    """A browser may send the very same cookie twice."""
    token = (await signed.ask("/write")).given
    for cookies in ways(token, token):
        assert (await signed.ask("/read", cookies=cookies)).text == "1"


async def test_nine_valid_ones_are_none(signed: WatchedSite) -> None:
    """They would cost a call of the store each: anonymous without one, in any order, and a login is one session."""
    tokens = [(await signed.ask("/write")).given for _ in range(9)]
    for order in (tokens, tokens[::-1]):
        signed.watched.calls.clear()
        answer = await signed.ask("/read", cookies=["; ".join(f"{NAME}={each}" for each in order).encode()])
        assert (answer.status, answer.text, answer.cookies, signed.watched.calls) == (200, "null", [], {})
