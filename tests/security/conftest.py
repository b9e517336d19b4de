"""What the tests of the threats share."""

from __future__ import annotations

import pytest

from tests.security.site import SECRET, WatchedSite


@pytest.fixture
def site() -> WatchedSite:
    """Return an application over a server-side store, without a secret, as it is by default."""
    return WatchedSite()


@pytest.fixture
def signed() -> WatchedSite:
    """Return an application over a server-side store whose ids are signed."""
    return WatchedSite(secret=SECRET)


@pytest.fixture(params=["cookie:", "cookie:signed"])
def in_cookie(request: pytest.FixtureRequest) -> WatchedSite:
    """Return an application whose sessions live in the cookie, encrypted and signed."""
    return WatchedSite(store=request.param, secret=SECRET)
