"""What every adapter promises, as tests that anybody can run over an adapter of their own.

::

    class TestStarlette(AdapterSuite):
        def build(self, spec: AppSpec) -> ASGIApp:
            async def page(request: Request) -> Response:
                reply = await spec.run(request.path_params["name"], request.query_params, lambda: get_session(request))
                background = BackgroundTask(reply.background) if reply.background else None
                if reply.stream is not None:
                    return StreamingResponse(reply.stream)
                return Response(reply.text, reply.status, reply.headers, "application/json", background)

            async def socket(socket: WebSocket) -> None:
                await spec.converse(
                    socket.query_params, lambda: get_session(socket),
                    socket.accept, socket.receive_text, socket.send_text,
                )
                await socket.close()

            return Starlette(
                routes=[Route("/{name}", page), WebSocketRoute("/socket", socket)],
                middleware=[Middleware(SessionMiddleware, spec.manager, exclude=spec.exclude, lazy=spec.lazy)],
            )

That is all: `AppSpec` knows what the routes do. The application answers

=====================  =================================================================================
``GET /{name}``        ``await spec.run(name, query, session)`` says what to answer, see `Reply`. Requests of
                       `SESSIONLESS` names never ask for the session. What it raises goes the way that a
                       handler's errors go in the framework.
WebSocket ``/socket``  ``await spec.converse(query, session, accept, receive, send)``, then close.
all else               the framework's own 404.
=====================  =================================================================================

``session`` is a function that returns the session as users of the framework get it, or a coroutine function.

A promise that a framework makes impossible is written down, not left out: `AdapterSuite.impossible` names the test and
the reason, `AdapterSuite.documented_in` the page that says so to users. Such a test has to fail.

The tests are coroutines: they need pytest-asyncio, in any mode.
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar

import pytest

pytest.register_assert_rewrite(
    "limpet.testing._adapter_cookies",
    "limpet.testing._adapter_forms",
    "limpet.testing._adapter_lifetimes",
    "limpet.testing._adapter_responses",
    "limpet.testing._adapter_security",
    "limpet.testing._adapter_together",
)

from limpet.asgi import ASGIApp  # noqa: E402
from limpet.contract import ClientStore  # noqa: E402 - after the line above, which says how these are imported
from limpet.testing._adapter_cookies import CookieRules  # noqa: E402
from limpet.testing._adapter_forms import FormRules  # noqa: E402
from limpet.testing._adapter_lifetimes import LifetimeRules  # noqa: E402
from limpet.testing._adapter_responses import ResponseRules  # noqa: E402
from limpet.testing._adapter_security import SecurityRules  # noqa: E402
from limpet.testing._adapter_site import Site, WatchedStore, make_store  # noqa: E402
from limpet.testing._adapter_together import TogetherRules  # noqa: E402
from limpet.testing._fixtures import asyncio_fixture  # noqa: E402
from limpet.testing.adapter_app import SESSIONLESS, AppSpec, Boom, Reply  # noqa: E402

__all__ = ["SESSIONLESS", "AdapterSuite", "AppSpec", "Boom", "Reply", "Site"]

Opener = Callable[..., Awaitable[Site]]


class AdapterSuite(CookieRules, FormRules, LifetimeRules, ResponseRules, SecurityRules, TogetherRules):
    """The conformance suite of framework adapters. Subclass it and override `build`."""

    impossible: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Names of tests that this framework cannot pass, each with the reason in one sentence."""

    documented_in: ClassVar[Path | ModuleType | None] = None
    """The page, or the module with the docstring, that tells users these sentences, word for word."""

    def build(self, spec: AppSpec) -> ASGIApp:
        """Return an application of the framework under test, as the module's docstring says."""
        raise NotImplementedError("override build(spec): return an application of your framework")

    @asyncio_fixture(params=["memory", "sqlite", "cookie"])
    async def anywhere(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
        """Return a coroutine function that starts an application over a store of each kind."""
        async for opener in self.openers(request.param, lambda: make_store(request.param, tmp_path)):
            yield opener

    @asyncio_fixture(params=["memory", "sqlite"])
    async def server(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
        """Return a coroutine function that starts an application over each kind of server-side store."""
        async for opener in self.openers(request.param, lambda: make_store(request.param, tmp_path)):
            yield opener

    async def openers(self, kind: str, make: Callable[[], WatchedStore | ClientStore]) -> AsyncIterator[Opener]:
        """Yield a coroutine function that starts an application over a store; for fixtures over other stores."""
        sites: list[Site] = []

        async def open_site(**settings: Any) -> Site:
            site = Site(kind, make(), **settings)
            await site.start(self.build(site.spec))
            sites.append(site)
            return site

        try:
            yield open_site
        finally:
            for site in sites:
                await site.stop()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, reason in cls.__dict__.get("impossible", {}).items():
            test = getattr(AdapterSuite, name, None)
            if test is None or not name.startswith("test_"):
                raise TypeError(f"{cls.__name__}.impossible names {name!r}, which is no test of AdapterSuite")
            setattr(cls, name, _documented(test, reason))


def _documented(test: Callable[..., Awaitable[None]], reason: str) -> Callable[..., Awaitable[None]]:
    """Return a test that the framework fails this one, and that its users are told why."""

    @functools.wraps(test)
    async def impossible(self: AdapterSuite, *arguments: Any, **fixtures: Any) -> None:
        page = self.documented_in
        text = page.read_text("utf-8") if isinstance(page, Path) else getattr(page, "__doc__", None) or ""
        assert _words(reason), f"{test.__name__} is in `impossible` without a reason"
        assert _words(reason) in _words(text), f"{page or 'documented_in'} does not tell users: {reason}"
        try:
            await test(self, *arguments, **fixtures)
        except Exception:  # noqa: BLE001 - how it fails is the framework's matter
            return
        pytest.fail(f"{test.__name__} passes: take it out of `impossible`")

    return impossible


def _words(text: str) -> str:
    return re.sub(r"[\s>*#]+", " ", text).strip()
