"""What the tests of the threats share."""

from __future__ import annotations

import pytest

from tests.security.site import SECRET, Site


@pytest.fixture
def site() -> Site:
    """Return an application over a server-side store, without a secret, as it is by default."""
    return Site()


@pytest.fixture
def signed() -> Site:
    """Return an application over a server-side store whose ids are signed."""
    return Site(secret=SECRET)


@pytest.fixture(params=["cookie:", "cookie:signed"])
def in_cookie(request: pytest.FixtureRequest) -> Site:
    """Return an application whose sessions live in the cookie, encrypted and signed."""
    return Site(store=request.param, secret=SECRET)
