"""Applications whose sessions are bound to devices."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.bound.sites import SITES, Site
from tests.races.conftest import STORES

Build = Callable[..., Site]


@pytest.fixture(params=SITES)
def anywhere(request: pytest.FixtureRequest) -> Iterator[Build]:
    """Return what runs an application, in each framework."""
    with ExitStack() as stack:
        yield lambda **settings: Site(*stack.enter_context(SITES[request.param](**{"bound": True, **settings})))


@pytest.fixture
def build() -> Iterator[Build]:
    """Return what runs an application without a framework."""
    with ExitStack() as stack:
        yield lambda **settings: Site(*stack.enter_context(SITES["asgi"](**{"bound": True, **settings})))


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Return an empty store of each kind."""
    opened = STORES[request.param](request)
    yield opened
    await opened.close()
