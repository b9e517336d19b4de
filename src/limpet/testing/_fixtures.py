"""Fixtures that are coroutines, for suites that know neither their users' plugin nor its mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

__all__ = ["asyncio_fixture"]

# The decorator of pytest-asyncio, whose strict mode runs no other coroutine as a fixture. Without it there is pytest's
# own, which is enough for anyio's plugin.
if TYPE_CHECKING:
    asyncio_fixture = pytest.fixture
else:
    try:
        from pytest_asyncio import fixture as asyncio_fixture
    except ModuleNotFoundError:
        asyncio_fixture = pytest.fixture
