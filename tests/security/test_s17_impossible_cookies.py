"""S17: attributes that make a browser drop the cookie, so that every login is lost."""

from __future__ import annotations

from typing import Any

import pytest

from limpet import ConfigurationError, CookiePolicy, SessionManager, SessionPolicy
from tests.security.site import WatchedSite

DROPPED: list[dict[str, Any]] = [
    {"same_site": "none", "secure": False},
    {"partitioned": True, "secure": False},
    {"name": "__Host-sid", "domain": "example.com"},
    {"name": "__Host-sid", "path": "/app"},
    {"name": "__Host-sid", "secure": False},
    {"name": "__host-sid", "secure": False},
    {"name": "__Secure-sid", "secure": False},
    {"name": "__SECURE-sid", "secure": False},
]


@pytest.mark.parametrize("settings", DROPPED, ids=repr)
def test_it_is_refused_with_a_cure(settings: dict[str, Any]) -> None:
    """Each combination is a `ConfigurationError` that says what to set."""
    with pytest.raises(ConfigurationError, match=r"set|leave|choose"):
        SessionManager("memory:", cookie=CookiePolicy(**settings))


@pytest.mark.parametrize("years", [1, 2, 50])
async def test_a_cookie_lives_at_most_400_days(years: int) -> None:
    """However long the session may live, Max-Age is over 0 and at most 34,560,000."""
    life = years * 365 * 86_400
    site = WatchedSite(
        policy=SessionPolicy(idle_timeout=None, anonymous_timeout=None, absolute_timeout=life, remember=None)
    )
    (line,) = (await site.ask("/write")).cookies
    (age,) = (int(part.removeprefix("Max-Age=")) for part in line.split("; ") if part.startswith("Max-Age="))
    assert age == min(life, 34_560_000)


@pytest.mark.parametrize("life", [0, -1, float("nan")])
def test_a_life_that_would_delete_the_cookie_is_refused(life: float) -> None:
    """A Max-Age of zero or less cannot be configured."""
    with pytest.raises(ConfigurationError):
        SessionPolicy(absolute_timeout=life)
