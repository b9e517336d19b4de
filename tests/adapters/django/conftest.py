"""What the tests of the Django adapter begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from limpet.manager import SessionManager
from limpet.testing import FakeClock
from tests.django_site import migrated

migrated()

from django.contrib.auth import get_user_model  # noqa: E402 - after the settings
from django.test import override_settings  # noqa: E402

from limpet.adapters.django import manager  # noqa: E402
from tests.adapters.django.begun import Browser, Configure, visitor  # noqa: E402
from tests.django_site.views import AHOOKS, HOOKS  # noqa: E402


@pytest.fixture(params=["memory", "sqlite"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a new store."""
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'sessions.db'}"


@pytest.fixture
def configure() -> Iterator[Configure]:
    """Return what sets ``LIMPET`` and other settings for this test, and gives the manager."""
    entered: list[Any] = []

    def set_(limpet: dict[str, Any] | None = None, **settings: Any) -> SessionManager:
        changed = override_settings(LIMPET={"store": "memory:", **(limpet or {})}, **settings)
        changed.enable()
        entered.append(changed)
        return manager()

    yield set_
    for changed in reversed(entered):
        changed.disable()


@pytest.fixture
def engine(configure: Configure) -> SessionManager:
    """Return a manager over a store of its own, in memory."""
    return configure()


@pytest.fixture
def clock(engine: SessionManager) -> FakeClock:
    """Return the clock of the manager, which the test turns."""
    clock = FakeClock()
    engine.clock = clock
    return clock


@pytest.fixture
def hook() -> Iterator[Callable[..., None]]:
    """Return what puts a function into a view: ``/do/<name>`` if it blocks, ``/ado/<name>`` if not."""
    before = dict(HOOKS), dict(AHOOKS)

    def put(name: str, work: Any, *, blocks: bool = True) -> None:
        (HOOKS if blocks else AHOOKS)[name] = work

    yield put
    for hooks, old in zip((HOOKS, AHOOKS), before, strict=True):
        hooks.clear()
        hooks.update(old)


@pytest.fixture
def browser() -> Browser:
    """Return a browser that has been nowhere yet."""
    return visitor()


def _user(name: str) -> Iterator[Any]:
    user = get_user_model().objects.create_user(name, password="a long password")
    yield user
    user.delete()


@pytest.fixture
def ann() -> Iterator[Any]:
    """Return a user."""
    yield from _user("ann")


@pytest.fixture
def bob() -> Iterator[Any]:
    """Return another user."""
    yield from _user("bob")
