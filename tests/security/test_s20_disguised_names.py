"""S20: a cookie from a subdomain passes itself off under a ``__Host-`` name."""

from __future__ import annotations

import pytest

from tests.security.site import NAME, SECRET, WatchedSite

DISGUISES = [
    b"\xa0",
    b"\x85",
    b"\x0b",
    b"\x0c",
    b"\x1c",
    b"\x1d",
    b"\x00",
    b"\xc2\xa0",
    b"\xe2\x80\x80",
    b"\xe3\x80\x80",
    b"\xef\xbb\xbf",
    b"=",
    b"x",
    b'"',
    b"$",
    b",",
]


@pytest.mark.parametrize("store", [None, "cookie:"], ids=["server", "cookie"])
@pytest.mark.parametrize("disguise", DISGUISES, ids=repr)
async def test_what_is_in_front_of_the_name_belongs_to_it(disguise: bytes, store: str | None) -> None:
    """No white space but space and tab is dropped, in front of the name or behind it."""
    site = WatchedSite(store=store, secret=None if store is None else SECRET)
    token = (await site.ask("/write")).given.encode()
    name = NAME.encode()
    for cookie in (disguise + name + b"=" + token, b"a=b; " + disguise + name + b"=" + token):
        assert (await site.ask("/read", cookies=[cookie])).text == "null"
    if disguise != b"=":
        assert (await site.ask("/read", cookies=[name + disguise + b"=" + token])).text == "null"


@pytest.mark.parametrize(
    "name", [NAME.lower(), NAME.upper(), "__Host-http-session", f"{NAME}-x", "__Host-session", "session"]
)
async def test_names_are_compared_byte_by_byte(site: WatchedSite, name: str) -> None:
    """Another case, a longer or a shorter name is another cookie."""
    token = (await site.ask("/write")).given
    assert (await site.ask("/read", token, name=name)).text == "null"


async def test_space_and_tab_do_not_count(site: WatchedSite) -> None:
    """As RFC 6265bis has it."""
    token = (await site.ask("/write")).given.encode()
    assert (await site.ask("/read", cookies=[b"a=b; \t" + NAME.encode() + b" \t= " + token + b" \t"])).text == "1"
