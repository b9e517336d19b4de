"""The workers of an application, which share a store as processes do.

::

    shop, other = site.worker(), site.worker()       # two processes over one store
    ann = await site.browser().login(shop)
    answer = await ann.ask(other, look)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from limpet.runtime import AsyncioRuntime
from limpet.testing import FakeClock
from tests.site import Browser, Site

__all__ = ["Farm", "Hurried"]


class Hurried(AsyncioRuntime):
    """Counts what it waits, and does not."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Farm:
    """A store of one kind, and the workers that were opened over it.

    Args:
        kind: Its name.
        connect: Returns one more connection to the store.
    """

    def __init__(self, kind: str, connect: Callable[[], Any]) -> None:
        self.kind = kind
        self.connect = connect
        self.clock = FakeClock()
        self.header: str | None = None
        self.settings: dict[str, Any] = {}
        self._opened: list[Site] = []

    def worker(self, *, store: Any = None, **settings: Any) -> Site:
        """Return one more worker, with a connection and a manager of its own."""
        # These tests are about order, on a machine that is busy.
        given = {"clock": self.clock, "store_timeout": 5.0, "merge_timeout": 20.0, **self.settings, **settings}
        kept = self.connect() if store is None else store
        self._opened.append(Site(kept, loads=True, answers_errors=True, **given))
        return self._opened[-1]

    def browser(self) -> Browser:
        """Return a browser without cookies."""
        return Browser(header=self.header)

    async def close(self) -> None:
        """Shut all workers down."""
        for site in self._opened:
            await site.manager.shutdown()
