"""S16: a setting or a value spills into another attribute or another header."""

from __future__ import annotations

from typing import Any

import pytest

from limpet import ConfigurationError, CookiePolicy, SessionManager
from tests.security.hostile import CORPUS
from tests.security.site import WatchedSite

SPILLS: list[dict[str, Any]] = [
    {"domain": "a\r\nSet-Cookie: x=y"},
    {"domain": "example.com; HttpOnly=0"},
    {"domain": "example.com\x00"},
    {"path": "/; HttpOnly=0"},
    {"path": "/\r\nX: y"},
    {"path": "/\x7f"},
    {"name": "sid\r"},
    {"name": "s id"},
    {"name": "sid;x"},
    {"name": "sid=x"},
    {"name": ""},
    {"name": "sïd"},
    {"same_site": "lax; domain=evil"},
    {"same_site": "lax\r\n"},
    {"same_site": 7},
    {"secure": "yes; x"},
]


@pytest.mark.parametrize("setting", SPILLS, ids=repr)
def test_it_is_refused_at_construction(setting: dict[str, Any]) -> None:
    """A value that would leave its place is a `ConfigurationError` where it is given."""
    with pytest.raises(ConfigurationError):
        SessionManager("memory:", cookie=CookiePolicy(**setting))


async def test_nothing_that_was_sent_comes_back_in_a_header(site: WatchedSite) -> None:
    """Whatever a client presents, the id that it is given is ours: 43 characters of base64url."""
    for value in CORPUS:
        token = (await site.ask("/write", value)).given
        assert len(token) == 43
        assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
