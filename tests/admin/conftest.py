"""The application with the admin page, and its operator."""

from __future__ import annotations

import pytest

from tests.admin.operator import Operator, Site


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def operator(site: Site) -> Operator:
    return Operator(site)
