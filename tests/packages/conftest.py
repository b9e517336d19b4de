"""Managers of every kind for the packages to run over, and a browser that follows redirects between hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limpet import SessionManager
from limpet.asgi import ASGIApp
from tests.packages.provider import ISSUER, SECRET, provider


@pytest.fixture(params=["memory", "sqlite", "cookie"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> SessionManager:
    """Return a manager over a store on the server, one over a file, and one over the cookie alone."""
    url = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/sessions.db", "cookie": "cookie:"}[request.param]
    return SessionManager(url, secret=SECRET)


@pytest.fixture
async def browse() -> AsyncIterator[Callable[..., Any]]:
    """Return what opens a browser that knows an application and the provider, each under its own host."""
    opened: list[httpx2.AsyncClient] = []

    def browse(app: ASGIApp, at: ASGIApp | None = None, **options: Any) -> httpx2.AsyncClient:
        mounts = {ISSUER: httpx2.ASGITransport(at or provider())}
        browser = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), mounts=mounts, base_url="https://testserver", **options
        )
        opened.append(browser)
        return browser

    yield browse
    for browser in opened:
        await browser.aclose()
