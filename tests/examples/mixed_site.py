"""``examples/mixed``, started as ``make mixed`` starts it: three applications behind a real nginx."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from tests.servers.process import MissingServer, ServerProcess, free_port, wait_until

__all__ = ["SITES", "Visitor", "base_of", "serving"]

ROOT: Final = Path(__file__).resolve().parents[2]
SITES: Final = ("django", "flask", "fastapi")


def base_of() -> int:
    """Return a port that is free, and so are the three after it."""
    for _ in range(100):
        first = free_port()
        if [free_port() for _ in range(3)] == [first + 1, first + 2, first + 3]:
            return first
    raise RuntimeError("no four free ports in a row")


@contextmanager
def serving(folder: Path, store: str) -> Iterator[str]:
    """Start the four processes over a store; give the address of nginx.

    Raises:
        MissingServer: There is no nginx.
    """
    if shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        raise MissingServer("these tests need nginx: apt-get install -y --no-install-recommends nginx-light")
    port = base_of()
    python = ["env", f"LIMPET_STORE={store}", f"PYTHONPATH={ROOT}", sys.executable]
    server = ServerProcess([*python, "-m", "examples.mixed", "--port", str(port), "--folder", str(folder)], folder)
    server.start()
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert server.running, server.log.read_text()
        try:
            return all(httpx.get(f"{url}/{site}/").status_code == 200 for site in SITES)
        except httpx.TransportError:
            return False

    try:
        wait_until(answers, "the start of the three applications", 90)
        yield url
    finally:
        server.stop()


class Visitor:
    """A browser that reads the pages and sends their forms."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, follow_redirects=True, timeout=30)

    async def __aenter__(self) -> Visitor:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.aclose()

    @property
    def key(self) -> str | None:
        """What the session's cookie holds."""
        return self._client.cookies.get("sessionid")

    async def _page(self, site: str) -> str:
        answer = await self._client.get(f"/{site}/")
        assert answer.status_code == 200, answer.text
        return answer.text

    async def see(self, site: str) -> tuple[str, int]:
        """Return who is logged in, and the count."""
        page = await self._page(site)
        who, count = re.search(r'id="who">(.*?)<', page), re.search(r'id="count">(\d+)<', page)
        assert who is not None, page
        assert count is not None, page
        return who[1], int(count[1])

    async def everywhere(self) -> dict[str, tuple[str, int]]:
        """Return what each of the three shows."""
        return {site: await self.see(site) for site in SITES}

    async def form(self, site: str) -> dict[str, str]:
        """Return the field that has the token of a page's forms."""
        token = re.search(r'name="(csrf_token|csrfmiddlewaretoken)" value="([^"]+)"', await self._page(site))
        assert token is not None
        return {token[1]: token[2]}

    async def send(self, site: str, action: str, **fields: str) -> None:
        """Send a form of a page."""
        answer = await self._client.post(f"/{site}/{action}", data={**await self.form(site), **fields})
        assert answer.status_code == 200, answer.text

    async def add_at_once(self, times: int) -> None:
        """Press "Add" so many times, on all three at once."""
        forms: dict[str, Any] = {site: await self.form(site) for site in SITES}
        sites = [SITES[number % 3] for number in range(times)]
        answers = await asyncio.gather(
            *(self._client.post(f"/{site}/add", data=forms[site], follow_redirects=False) for site in sites)
        )
        assert {answer.status_code for answer in answers} <= {302, 303}, answers
