"""What pytest loads where limpet is installed; ``-p no:limpet`` leaves it out.

* The coroutines of a `StoreSuite` or an `AdapterSuite` run under pytest-asyncio in any of its modes, unless the class
  is marked for anyio.
* Failures in the suites show the values that were compared.
* `limpet_clock` and `limpet_client` are fixtures.

A run that uses none of this pays for the import of `limpet`, which loads no event loop, no driver and no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from limpet.testing import FakeClock, SessionClient

__all__ = ["limpet_client", "limpet_clock", "pytest_pycollect_makeitem"]

_MODULE: Final = "pytest_asyncio"  # its name where it was loaded with -p

pytest.register_assert_rewrite(
    "limpet.testing.machine",
    "limpet.testing.suite_adapter",
    "limpet.testing.suite_store",
    "limpet.testing.suite_store_powers",
    "limpet.testing.suite_store_steps",
)


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> Generator[None, Any, Any]:
    """Mark a class that inherits from a suite, so that pytest-asyncio runs it without being told to."""
    made = yield
    plugins = collector.config.pluginmanager
    if isinstance(obj, type) and _is_suite(obj) and (plugins.has_plugin("asyncio") or plugins.has_plugin(_MODULE)):
        for node in made if isinstance(made, list) else [made]:
            if node is not None and not node.get_closest_marker("anyio"):
                node.add_marker(pytest.mark.asyncio)
    return made


def _is_suite(cls: type) -> bool:
    """Tell it by where its bases come from: importing the suites themselves would load what only their users need."""
    suites = ("limpet.testing.suite_store", "limpet.testing.suite_adapter")
    return any(base.__module__ in suites for base in cls.__mro__)


@pytest.fixture
def limpet_clock() -> FakeClock:
    """A clock that a test turns by hand, for ``SessionManager(..., clock=limpet_clock)``."""
    from limpet.testing import FakeClock

    return FakeClock()


@pytest.fixture
def limpet_client() -> Iterator[Callable[..., SessionClient]]:
    """Start applications: ``limpet_client(app)`` is `limpet.testing.client`, shut down after the test."""
    from limpet.testing import client

    with ExitStack() as running:
        yield lambda *arguments, **options: running.enter_context(client(*arguments, **options))
