"""What the tests of signing out from outside begin with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from limpet import SessionManager
from limpet.signout import Issuer
from limpet.testing import FakeClock
from tests.signout.provider import NOW, Site


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that shows when the provider signs."""
    return FakeClock(NOW * 1000)


@pytest.fixture(params=["asgi", "wsgi"])
def build(request: pytest.FixtureRequest, clock: FakeClock) -> Callable[..., Site]:
    """Return what makes an application with these issuers, in each of the two worlds."""

    def make(*issuers: Issuer) -> Site:
        return Site(request.param, SessionManager("memory:", dev=False, clock=clock), *issuers)

    return make


@pytest.fixture
def site(build: Callable[..., Site]) -> Site:
    """Return an application that one issuer may sign out of, in every way."""
    return build()
