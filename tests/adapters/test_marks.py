"""What the session of another library needs to be told, its users go on telling ours: a change inside of a value."""

from __future__ import annotations

from typing import Any

import fastapi
import quart
import starlette.applications
import starlette.requests
import starlette.responses
import starlette.routing
from starlette.middleware import Middleware

from limpet import SessionManager
from limpet.adapters.fastapi import SessionMiddleware as FastapiSessions
from limpet.adapters.nexios import NexiosApp
from limpet.adapters.nexios import SessionMiddleware as NexiosSessions
from limpet.adapters.quart import Limpet
from limpet.adapters.starlette import SessionMiddleware
from limpet.adapters.starlette.middleware.sessions import SessionMiddleware as DropIn
from limpet.testing import client

SECRET = "sF0cUAtE0CPdJkSJY3zJl8cUqZr5ck2qXr5tQbbY2Tg"


def put(session: Any, *marks: str) -> str:
    """Put one more thing into a basket inside of the session, and mark it in each way that there is."""
    session.setdefault("basket", {}).setdefault("tea", []).append(1)
    for mark in marks:
        setattr(session, mark, True)
    assert session.modified
    assert session.accessed
    return str(session["basket"])


def check(app: Any) -> None:
    with client(app) as browser:
        assert browser.get("/put").text == "{'tea': [1]}"
        assert browser.get("/put").text == "{'tea': [1, 1]}"
        answer = browser.get("/look")
        assert answer.text == "False"  # setting it makes nothing of what is not there
        assert "cookie" in answer.headers["vary"].lower()
    with client(app) as browser:
        assert browser.get("/look").text == "False"
        assert not browser.cookies


def look(session: Any) -> str:
    session.accessed = True
    session.modified = True
    session.modified = False
    return str(session.modified)


def starlettes(middleware: Middleware) -> Any:
    async def puts(request: starlette.requests.Request) -> starlette.responses.Response:
        session: Any = request.session
        session.mark_modified()
        return starlette.responses.PlainTextResponse(put(session, "modified", "accessed"))

    async def looks(request: starlette.requests.Request) -> starlette.responses.Response:
        return starlette.responses.PlainTextResponse(look(request.session))

    routes = [starlette.routing.Route("/put", puts), starlette.routing.Route("/look", looks)]
    return starlette.applications.Starlette(routes=routes, middleware=[middleware])


def test_starlette() -> None:
    check(starlettes(Middleware(SessionMiddleware, manager="memory:")))


def test_in_the_place_of_starlettes_middleware() -> None:
    check(starlettes(Middleware(DropIn, secret_key=SECRET, https_only=True)))


def test_fastapi() -> None:
    app = fastapi.FastAPI()
    app.add_middleware(FastapiSessions, manager=SessionManager("memory:"))

    @app.get("/put", response_class=fastapi.responses.PlainTextResponse)
    async def puts(request: fastapi.Request) -> str:
        return put(request.session, "modified", "accessed")

    @app.get("/look", response_class=fastapi.responses.PlainTextResponse)
    async def looks(request: fastapi.Request) -> str:
        return look(request.session)

    check(app)


def test_quart() -> None:
    app = quart.Quart("marks")
    Limpet(app, "memory:")
    app.add_url_rule("/put", "put", lambda: put(quart.session, "modified", "accessed"))
    app.add_url_rule("/look", "look", lambda: look(quart.session))
    check(app)


def test_nexios() -> None:
    app = NexiosApp()
    app.add_middleware(NexiosSessions(manager=SessionManager("memory:")))

    @app.get("/put")
    async def puts(request: Any, response: Any) -> Any:
        return response.text(put(request.session, "modified", "accessed"))

    @app.get("/look")
    async def looks(request: Any, response: Any) -> Any:
        return response.text(look(request.session))

    check(app)
