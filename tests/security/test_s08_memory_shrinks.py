"""S08: the memory store never gets rid of what has expired."""

from __future__ import annotations

from limpet import SessionPolicy
from limpet.asgi import SessionMiddleware
from limpet.stores import MemoryStore
from tests.security.site import WatchedSite
from tests.site import send


async def test_the_next_request_after_the_deadline_sweeps() -> None:
    """Two thousand logins of one second each; once they are over, one more request leaves a single row."""
    store = MemoryStore()
    policy = SessionPolicy(idle_timeout=1, anonymous_timeout=1)
    site = WatchedSite(store=store, policy=policy)
    for _ in range(2_000):
        await site.ask("/login")
    assert len(store._records) == 2_000
    app = SessionMiddleware(site.page, site.manager, sweep_interval=1)
    site.clock.advance(301.2)
    await send(app, "/login", [])
    await app.manager.runtime.drain(10)  # type: ignore[attr-defined]
    assert len(store._records) == 1
