"""A route that demands a fresh login, or one of a level, in each framework."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import blacksheep
import flask
import httpx2
import pytest
from blacksheep.server.controllers import Controller, RoutesRegistry
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from litestar import Litestar
from litestar import Router as LitestarRouter
from litestar import post as litestar_post
from litestar.params import FromPath, FromQuery

from limpet import ConfigurationError, Session, SessionManager
from limpet.adapters import blacksheep as on_blacksheep
from limpet.adapters import fastapi as on_fastapi
from limpet.adapters import flask as on_flask
from limpet.adapters import litestar as on_litestar
from limpet.adapters import nexios as on_nexios
from limpet.stores.memory import MemoryStore
from limpet.testing import FakeClock, client
from limpet.testing._adapter_site import WatchedStore


def blacksheep_site(manager: SessionManager) -> Any:
    """Return an application whose dangerous handler takes a path parameter and no request."""
    app = on_blacksheep.Application(router=blacksheep.Router())
    app.use_sessions(manager)

    @app.router.post("/login")
    def login(request: blacksheep.Request) -> None:
        on_blacksheep.get_session(request).login("ann", acr=request.query.get("acr", [None])[0])

    @app.router.post("/delete/{name}")
    @on_blacksheep.fresh_login(minutes=5)
    async def delete(name: str) -> str:
        return f"deleted {name}"

    @app.router.post("/pay")
    @on_blacksheep.fresh_login(None, level="aal2")
    async def pay() -> str:
        return "paid"

    return app


def nexios_site(manager: SessionManager) -> Any:
    """Return an application whose dangerous handler takes a path parameter."""
    app = on_nexios.NexiosApp()
    app.add_middleware(on_nexios.SessionMiddleware(manager=manager))

    @app.post("/login")
    async def login(req: on_nexios.Request, res: on_nexios.Response) -> Any:
        on_nexios.get_session(req).login("ann", acr=req.query_params.get("acr"))
        return res.text("in")

    @app.post("/delete/{name}")
    @on_nexios.fresh_login(minutes=5)
    async def delete(req: on_nexios.Request, res: on_nexios.Response, name: str) -> Any:
        return res.text(f"deleted {name}")

    @app.post("/pay")
    @on_nexios.fresh_login(None, level="aal2")
    async def pay(req: on_nexios.Request, res: on_nexios.Response) -> Any:
        return res.text("paid")

    return app


def litestar_site(manager: SessionManager) -> Any:
    """Return an application whose dangerous routes are guarded together, by their router."""

    @litestar_post("/login")
    async def login(session: on_litestar.SessionDep, acr: FromQuery[str | None] = None) -> None:
        session.login("ann", acr=acr)

    @litestar_post("/{name:str}", media_type="text/plain", status_code=200)
    async def delete(name: FromPath[str]) -> str:
        return f"deleted {name}"

    dangerous = LitestarRouter("/delete", route_handlers=[delete], guards=[on_litestar.fresh_login(minutes=5)])

    @litestar_post(
        "/pay", media_type="text/plain", status_code=200, guards=[on_litestar.fresh_login(None, level="aal2")]
    )
    async def pay() -> str:
        return "paid"

    return Litestar([login, dangerous, pay], plugins=[on_litestar.SessionPlugin(manager, lazy=True)])


def fastapi_site(manager: SessionManager) -> Any:
    """Return an application whose routes ask by a dependency."""
    app = FastAPI()
    app.add_middleware(on_fastapi.SessionMiddleware, manager=manager)

    @app.post("/login")
    async def login(session: on_fastapi.SessionDep, acr: str | None = None) -> None:
        session.login("ann", acr=acr)

    @app.post("/delete/{name}", response_class=PlainTextResponse)
    async def delete(name: str, session: Annotated[Session, on_fastapi.fresh_login(minutes=5)]) -> str:
        return f"deleted {name}"

    @app.post("/pay", response_class=PlainTextResponse)
    async def pay(session: Annotated[Session, on_fastapi.fresh_login(None, level="aal2")]) -> str:
        return "paid"

    return app


def flask_site(manager: SessionManager) -> Any:
    """Return an application whose views are decorated, on threads."""
    app = flask.Flask(__name__)
    on_flask.Limpet(app, manager)

    @app.post("/login")
    def login() -> str:
        flask.session.login("ann", acr=flask.request.args.get("acr"))  # type: ignore[attr-defined]
        return "in"

    @app.post("/delete/<name>")
    @on_flask.fresh_login(minutes=5)
    def delete(name: str) -> str:
        return f"deleted {name}"

    @app.post("/pay")
    @on_flask.fresh_login(None, level="aal2")
    def pay() -> str:
        return "paid"

    return app


SITES = {
    "blacksheep": blacksheep_site,
    "nexios": nexios_site,
    "litestar": litestar_site,
    "fastapi": fastapi_site,
    "flask": flask_site,
}


def browser_of(app: Any) -> Any:
    """Return a browser of an application of either kind."""
    if not isinstance(app, flask.Flask):
        return client(app)
    return httpx2.Client(transport=httpx2.WSGITransport(app=app), base_url="https://testserver")


@pytest.mark.parametrize("make", SITES.values(), ids=SITES.keys())
def test_a_dangerous_route_demands_a_fresh_login(make: Callable[[SessionManager], Any]) -> None:
    """Nobody, and who logged in long ago, gets 401 with a challenge; who logged in just now is let in."""
    clock = FakeClock()
    with browser_of(make(SessionManager("memory:", dev=False, clock=clock))) as browser:
        assert browser.post("/delete/all").status_code == 401
        browser.post("/login")
        assert browser.post("/delete/all").text == "deleted all"
        clock.advance(301)
        refused = browser.post("/delete/all")
        assert refused.status_code == 401
        assert "please log in again" in refused.text
        assert 'error="insufficient_user_authentication", max_age=300' in refused.headers["www-authenticate"]
        browser.post("/login")
        assert browser.post("/delete/all").text == "deleted all"


@pytest.mark.parametrize("make", SITES.values(), ids=SITES.keys())
def test_a_step_up_is_asked_for_by_its_level(make: Callable[[SessionManager], Any]) -> None:
    """However young, a login of a lower level gets the challenge that names the level that it takes (RFC 9470)."""
    clock = FakeClock()
    with browser_of(make(SessionManager("memory:", dev=False, clock=clock))) as browser:
        assert browser.post("/pay").status_code == 401
        browser.post("/login?acr=aal1")
        refused = browser.post("/pay")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].endswith('_authentication", acr_values="aal2"')
        browser.post("/login?acr=aal2")
        clock.advance(3600)
        assert browser.post("/pay").text == "paid"


@pytest.mark.parametrize("level", ['a"', "a b", "a\r\nb", ""])
def test_a_level_that_would_break_the_challenge_is_refused(level: str) -> None:
    """When the route is made, and not when somebody asks for it."""
    for fresh_login in (on_fastapi.fresh_login, on_flask.fresh_login, on_nexios.fresh_login):
        with pytest.raises(ConfigurationError, match="header"):
            fresh_login(level=level)


def test_a_method_of_a_blacksheep_controller() -> None:
    """A decorated method of a controller is called as before, with its own object and a request if it takes one."""
    app = on_blacksheep.Application(router=blacksheep.Router())
    app.controllers_router = routes = RoutesRegistry()
    app.use_sessions(SessionManager("memory:", dev=False))

    class Account(Controller):
        @routes.post("/login")
        def login(self, request: blacksheep.Request) -> None:
            on_blacksheep.get_session(request).login("ann")

        @routes.post("/delete")
        @on_blacksheep.fresh_login()
        def delete(self, request: blacksheep.Request) -> blacksheep.Response:
            return self.text(f"{type(self).__name__} of {on_blacksheep.get_session(request).subject}")

    app.register_controllers([Account])
    with client(app) as browser:
        assert browser.post("/delete").status_code == 401
        browser.post("/login")
        assert browser.post("/delete").text == "Account of ann"


def test_a_blacksheep_handler_that_streams_is_refused() -> None:
    """A decorator that would make BlackSheep take a stream for a page says so, and says what to do."""

    async def stream(request: blacksheep.Request) -> AsyncIterator[str]:
        yield "a"

    with pytest.raises(ConfigurationError, match=r"stream, which yields: ask session\.is_fresh"):
        on_blacksheep.fresh_login()(stream)


@pytest.mark.parametrize("make", SITES.values(), ids=SITES.keys())
def test_a_store_that_is_down_is_asked_once(make: Callable[[SessionManager], Any]) -> None:
    """What the middleware could not read is not asked for again: a store that hangs costs one time limit, not two."""
    store = WatchedStore(MemoryStore())
    with browser_of(make(SessionManager(store, dev=False))) as browser:
        browser.post("/login")
        store.down = True
        store.calls.clear()
        assert browser.post("/delete/all").status_code == 503
        assert store.calls == ["load"]
