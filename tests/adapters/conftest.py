"""The Flask application that tests of its adapter share."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.flask_site import Site


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def browser(site: Site) -> Any:
    return site.app.test_client()
