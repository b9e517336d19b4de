"""BlackSheep, Nexios and Litestar: a route that demands a fresh login."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import blacksheep
import pytest
from blacksheep.server.controllers import Controller, RoutesRegistry
from litestar import Litestar
from litestar import Router as LitestarRouter
from litestar import post as litestar_post
from litestar.params import FromPath

from limpet import ConfigurationError, SessionManager
from limpet.adapters import blacksheep as on_blacksheep
from limpet.adapters import litestar as on_litestar
from limpet.adapters import nexios as on_nexios
from limpet.testing import FakeClock, client


def blacksheep_site(manager: SessionManager) -> Any:
    """Return an application whose dangerous handler takes a path parameter and no request."""
    app = on_blacksheep.Application(router=blacksheep.Router())
    app.use_sessions(manager)

    @app.router.post("/login")
    def login(request: blacksheep.Request) -> None:
        on_blacksheep.get_session(request).login("ann")

    @app.router.post("/delete/{name}")
    @on_blacksheep.fresh_login(minutes=5)
    async def delete(name: str) -> str:
        return f"deleted {name}"

    return app


def nexios_site(manager: SessionManager) -> Any:
    """Return an application whose dangerous handler takes a path parameter."""
    app = on_nexios.NexiosApp()
    app.add_middleware(on_nexios.SessionMiddleware(manager=manager))

    @app.post("/login")
    async def login(req: on_nexios.Request, res: on_nexios.Response) -> Any:
        on_nexios.get_session(req).login("ann")
        return res.text("in")

    @app.post("/delete/{name}")
    @on_nexios.fresh_login(minutes=5)
    async def delete(req: on_nexios.Request, res: on_nexios.Response, name: str) -> Any:
        return res.text(f"deleted {name}")

    return app


def litestar_site(manager: SessionManager) -> Any:
    """Return an application whose dangerous routes are guarded together, by their router."""

    @litestar_post("/login")
    async def login(session: on_litestar.SessionDep) -> None:
        session.login("ann")

    @litestar_post("/{name:str}", media_type="text/plain", status_code=200)
    async def delete(name: FromPath[str]) -> str:
        return f"deleted {name}"

    dangerous = LitestarRouter("/delete", route_handlers=[delete], guards=[on_litestar.fresh_login(minutes=5)])
    return Litestar([login, dangerous], plugins=[on_litestar.SessionPlugin(manager, lazy=True)])


SITES = {"blacksheep": blacksheep_site, "nexios": nexios_site, "litestar": litestar_site}


@pytest.mark.parametrize("make", SITES.values(), ids=SITES.keys())
def test_a_dangerous_route_demands_a_fresh_login(make: Callable[[SessionManager], Any]) -> None:
    """Nobody, and who logged in long ago, gets 401 with a challenge; who logged in just now is let in."""
    clock = FakeClock()
    with client(make(SessionManager("memory:", dev=False, clock=clock))) as browser:
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
