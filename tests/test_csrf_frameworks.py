"""The CSRF middleware in front of the frameworks that have another place for it than Starlette's list."""

from __future__ import annotations

from typing import Any

import pytest
from blacksheep import Request, Response, Router, text

from limpet import SessionManager
from limpet.adapters.blacksheep import Application
from limpet.adapters.nexios import NexiosApp
from limpet.adapters.nexios import SessionMiddleware as NexiosSessions
from limpet.asgi import ASGIApp, SessionMiddleware
from limpet.csrf import CSRFMiddleware, csrf_token
from limpet.testing import client


def on_nexios() -> ASGIApp:
    """Return a Nexios application: the middleware goes below those of its own."""
    app = NexiosApp(debug=False)
    app.add_middleware(NexiosSessions(manager="memory:"))
    app.wrap_asgi(CSRFMiddleware)

    async def form(req: Any, res: Any) -> Any:
        return res.text(csrf_token(req))

    async def send(req: Any, res: Any) -> Any:
        sent = await req.form
        return res.text(f"sent {sent.get('x')}")

    app.get("/form")(form)
    app.post("/send")(send)
    served: ASGIApp = app
    return served


def on_blacksheep() -> ASGIApp:
    """Return a BlackSheep application: session and check go around it, with one manager."""
    manager = SessionManager("memory:")
    app = Application(router=Router())
    app.use_sessions(manager)

    @app.router.get("/form")
    def form(request: Request) -> Response:
        return text(csrf_token(request))

    @app.router.post("/send")
    async def send(request: Request) -> Response:
        sent = await request.form()
        assert sent is not None
        return text(f"sent {sent['x']}")

    return SessionMiddleware(CSRFMiddleware(app), manager)


@pytest.mark.parametrize("build", [on_nexios, on_blacksheep])
def test_forms(build: Any) -> None:
    """A form with the session's token goes through whole, and one without is refused."""
    with client(build()) as browser:
        token = browser.get("/form").text
        assert browser.post("/send", data={"x": "1"}).status_code == 403
        assert browser.post("/send", data={"csrf_token": token, "x": "1"}).text == "sent 1"
        assert browser.post("/send", data={"x": "1"}, headers={"X-CSRF-Token": token}).text == "sent 1"
