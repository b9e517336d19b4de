"""What the tests of `AdapterSuite` are run against: one application, its store, its clock, its browsers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpet.asgi import ASGIApp, SessionMiddleware
from limpet.contract import ClientStore, Outcome, Record, Store
from limpet.csrf import CSRFMiddleware
from limpet.errors import StoreUnavailable
from limpet.keyring import generate_secret
from limpet.manager import SessionManager
from limpet.policy import CookiePolicy, SessionPolicy
from limpet.protocols import Transport
from limpet.stores.wrapping import WrappingStore
from limpet.testing._asgi import Lifespan
from limpet.testing.adapter_app import AppSpec, Gate
from limpet.testing.clients import AsyncSessionClient
from limpet.testing.clock import FakeClock

if TYPE_CHECKING:
    import httpx2 as httpx

__all__ = ["Site", "WatchedStore", "make_store", "set_cookies"]


class WatchedStore(WrappingStore):
    """A store that notes its calls and can be made to fail. It has the powers of the store behind.

    Attributes:
        calls: The names of the calls so far; to read several records is one ``load``.
        down: Every call raises `StoreUnavailable`.
        writes_down: Every call that writes does.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.calls: list[str] = []
        self.down = False
        self.writes_down = False

    def _note(self, call: str, *, writes: bool = True) -> None:
        self.calls.append(call)
        if self.down or (self.writes_down and writes):
            raise StoreUnavailable("switched off by the test")

    async def load(self, key: str) -> Record | None:
        self._note("load", writes=False)
        return await super().load(key)

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        self._note("load", writes=False)
        return await super().load_many(keys)

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        self._note("find", writes=False)
        return await super().find(subject)

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        self._note("find", writes=False)
        return await super().find_page(subject, cursor, limit)

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        self._note("create")
        return await super().create(key, record, now=now)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self._note("update")
        return await super().update(key, record, expected, now=now)

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self._note("replace")
        return await super().replace(key, record, expected, now=now)

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        self._note("touch")
        return await super().touch(key, accessed, expires, now=now)

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        self._note("delete")
        return await super().delete(key, version)


def make_store(kind: str, folder: Path) -> WatchedStore | ClientStore:
    """Return a new store: ``memory``, ``sqlite`` or ``cookie``."""
    if kind == "memory":
        from limpet.stores.memory import MemoryStore

        return WatchedStore(MemoryStore())
    if kind == "sqlite":
        from limpet.stores.sqlite import SQLiteStore

        return WatchedStore(SQLiteStore(folder / "sessions.db", synchronous="OFF"))
    from limpet.stores.cookie import CookieStore

    return CookieStore()


class Site:
    """One application under test.

    Attributes:
        kind: Of which store.
        clock: The manager's.
        manager: The application's.
        spec: What it was built from.
        app: The application.
        first: A browser.
    """

    def __init__(
        self,
        kind: str,
        store: WatchedStore | ClientStore,
        *,
        policy: SessionPolicy | None = None,
        cookie: CookiePolicy | None = None,
        transport: Transport | None = None,
        signed: bool = False,
        unsigned_until: date | None = None,
        lazy: bool = False,
        guarded: bool = False,
    ) -> None:
        self.kind = kind
        self._guarded = guarded
        self.clock: FakeClock = FakeClock()
        self._store = store
        self.manager: SessionManager = SessionManager(
            store,
            policy=policy,
            cookie=cookie,
            transport=transport,
            secret=generate_secret() if signed or kind == "cookie" else None,
            unsigned_until=unsigned_until,
            clock=self.clock,
            dev=False,
        )
        self.spec: AppSpec = AppSpec(manager=self.manager, lazy=lazy)
        self._stack = AsyncExitStack()

    async def start(self, app: ASGIApp) -> None:
        """Start the application up, behind a `CSRFMiddleware` if the site is guarded."""
        self.app: ASGIApp = (
            SessionMiddleware(CSRFMiddleware(app, manager=self.manager), self.manager) if self._guarded else app
        )
        self._lifespan = await self._stack.enter_async_context(Lifespan(self.app))
        self.first: AsyncSessionClient = self.browser()

    async def stop(self) -> None:
        """Shut it down."""
        await self._stack.aclose()

    def browser(self, *, token: str | None = None) -> AsyncSessionClient:
        """Return another browser, with nothing in it or with a cookie that it got somewhere."""
        browser = AsyncSessionClient(self.app, self.manager, raise_server_exceptions=False)
        browser.lifespan_state = self._lifespan.state
        if token is not None:
            browser.headers["cookie"] = f"{self.name}={token}"
        return browser

    @property
    def name(self) -> str:
        """The cookie's name."""
        return self.manager.cookie_name

    @property
    def store(self) -> WatchedStore:
        """The store, where it is one on the server."""
        assert isinstance(self._store, WatchedStore)
        return self._store

    def token(self, browser: AsyncSessionClient | None = None) -> str:
        """Return the cookie's value that a browser holds."""
        token = (browser or self.first).cookies.get(self.name)
        assert token is not None, "the browser holds no session cookie"
        return token

    async def get(self, path: str, **query: Any) -> Any:
        """Send a request from the first browser; return the value of a good answer."""
        return await self.ask(self.first, path, **query)

    async def ask(self, browser: AsyncSessionClient, path: str, **query: Any) -> Any:
        """Send a request; return the value of a good answer."""
        response = await browser.get(path, params=query)
        assert response.status_code == 200, f"{response.request.url} answered {response.status_code}: {response.text}"
        return response.json()

    async def replay(self, token: str, path: str = "/keys", **query: Any) -> Any:
        """Return what somebody else is answered who sends a token as a cookie."""
        return await self.ask(self.browser(token=token), path, **query)

    def meet(self, parties: int) -> None:
        """Let requests with ``gate=1`` wait until so many of them have read and changed their session."""
        self.spec.gate = Gate(parties)

    @asynccontextmanager
    async def slow(
        self, browser: AsyncSessionClient, path: str, **query: Any
    ) -> AsyncIterator[asyncio.Task[httpx.Response]]:
        """Run the block while a request has read and changed its session, and has not saved it."""
        gate = self.spec.gate = Gate(2)
        request = asyncio.create_task(browser.get(path, params={**query, "gate": "1"}))
        async with asyncio.timeout(5):
            await gate.reached.wait()
        yield request
        await gate.wait()
        await request

    def cookies(self, response: httpx.Response) -> list[str]:
        """Return the ``Set-Cookie`` lines of the session's cookie."""
        return set_cookies(response, self.name)

    def calls(self) -> list[str]:
        """Return the names of the store's calls since the last time; none for cookie sessions."""
        if not isinstance(self._store, WatchedStore):
            return []
        calls, self._store.calls = self._store.calls, []
        return calls


def set_cookies(response: httpx.Response, name: str) -> list[str]:
    """Return the ``Set-Cookie`` lines for one cookie."""
    return [line for line in response.headers.get_list("set-cookie") if line.startswith(f"{name}=")]
