"""One small application in each framework, with sessions that are bound to devices."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiohttp import web
from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from litestar import Litestar, Request, Response, get

from limpet import Session, SessionManager
from limpet.adapters.aiohttp import get_session, setup
from limpet.adapters.fastapi import SessionDep
from limpet.adapters.fastapi import SessionMiddleware as FastAPISessions
from limpet.adapters.litestar import SessionDep as LitestarSession
from limpet.adapters.litestar import SessionPlugin
from limpet.bound import BoundPolicy
from limpet.testing import FakeClock
from tests.bound.device import Send, asgi, over_http, wsgi
from tests.django_site import migrated
from tests.security.site import SECRET

__all__ = ["SITES", "Site", "plain"]

migrated()


class Site:
    """An application that runs.

    Attributes:
        send: Sends it a request.
        manager: Its manager.
        clock: The manager's.
        happened: The events until now.
    """

    def __init__(self, send: Send, manager: SessionManager) -> None:
        self.send = send
        self.manager = manager
        self.clock = FakeClock()
        manager.clock = self.clock
        self.happened: list[Any] = []
        manager.listen(self.happened.append)

    def seen(self, kind: type) -> list[Any]:
        """Return the events of a kind."""
        return [event for event in self.happened if type(event) is kind]


def act(session: Session, path: str) -> Any:
    """Do what a path says with a session; return what is answered, as JSON."""
    words = path.strip("/").split("/")
    if words[0] == "login":
        session.login(words[1], remember=len(words) > 2)
    elif words[0] == "logout":
        session.logout()
    elif words[0] == "regenerate":
        session.regenerate()
    elif words[0] == "write":
        session[words[1]] = words[1]
        return sorted(session)
    elif words[0] == "bound":
        return session.is_bound
    elif words[0] == "static":
        return "static"
    return session.subject


def plain(manager: SessionManager) -> Any:
    """Return an ASGI application with no framework."""
    from limpet.asgi import SessionMiddleware, session_in

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        body = json.dumps(act(session_in(scope), scope["path"])).encode()
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    return SessionMiddleware(app, manager)


@contextmanager
def _asgi(**settings: Any) -> Iterator[tuple[Send, SessionManager]]:
    manager = _manager(**settings)
    yield asgi(plain(manager)), manager


@contextmanager
def _wsgi(**settings: Any) -> Iterator[tuple[Send, SessionManager]]:
    from limpet.wsgi import SessionMiddleware, session_in

    def app(environ: Any, start_response: Any) -> list[bytes]:
        body = json.dumps(act(session_in(environ), environ["PATH_INFO"])).encode()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [body]

    manager = _manager(**settings)
    yield wsgi(SessionMiddleware(app, manager)), manager


@contextmanager
def _fastapi(**settings: Any) -> Iterator[tuple[Send, SessionManager]]:
    app, manager = FastAPI(), _manager(**settings)
    app.add_middleware(FastAPISessions, manager=manager)

    async def page(path: str, session: SessionDep) -> Any:
        return act(session, path)

    app.get("/{path:path}")(page)
    yield asgi(app), manager


@contextmanager
def _fastmvc(**settings: Any) -> Iterator[tuple[Send, SessionManager]]:
    from limpet.adapters.fastmvc import SessionMiddleware

    app, manager = FastAPI(), _manager(**settings)
    app.add_middleware(SessionMiddleware, manager=manager)

    async def page(path: str, request: FastAPIRequest) -> Any:
        return act(request.state.session, path)

    app.get("/{path:path}")(page)
    yield asgi(app), manager


@contextmanager
def _starlette(**settings: Any) -> Iterator[tuple[Send, SessionManager]]:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from limpet.adapters.starlette import SessionMiddleware, get_session

    async def page(request: Any) -> Any:
        return JSONResponse(act(get_session(request), request.path_params["path"]))

    manager = _manager(**settings)
    routes = [Route("/{path:path}", page)]
    yield asgi(Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, manager=manager)])), manager


@contextmanager
def _flask(**settings: Any) -> Iterator[tuple[Send, SessionManager]]:
    import flask

    from limpet.adapters.flask import Limpet, session

    app = flask.Flask("shop")
    app.secret_key = SECRET
    bound, store = settings.pop("bound"), settings.pop("store", "memory:")
    limpet = Limpet(app, store, bound=bound, **settings)
    app.config["SESSION_COOKIE_SECURE"] = True

    @app.route("/<path:path>")
    def page(path: str) -> Any:
        inner: Any = session
        return flask.jsonify(act(inner, path))

    with app.app_context():
        manager = limpet.manager
    yield wsgi(app), manager


@contextmanager
def _litestar(**settings: Any) -> Iterator[tuple[Send, SessionManager]]:
    manager = _manager(**settings)

    @get("/{path:path}")
    async def page(request: Request[Any, Any, Any], session: LitestarSession) -> Any:
        return Response(json.dumps(act(session, request.url.path)).encode(), media_type="application/json")

    yield asgi(Litestar([page], plugins=[SessionPlugin(manager)])), manager


@contextmanager
def _blacksheep(**settings: Any) -> Iterator[tuple[Send, SessionManager]]:
    from blacksheep import Router, json

    from limpet.adapters.blacksheep import Application, get_session

    router, manager = Router(), _manager(**settings)
    app: Any = Application(router=router)
    app.use_sessions(manager)

    async def page(request: Any) -> Any:
        return json(act(get_session(request), request.path))

    router.add_get("/*", page)
    starts = threading.Thread(target=lambda: asyncio.run(app.start()))  # a test may have a loop that runs
    starts.start()
    starts.join(30)
    yield asgi(app), manager


@contextmanager
def _nexios(**settings: Any) -> Iterator[tuple[Send, SessionManager]]:
    from limpet.adapters.nexios import NexiosApp, SessionMiddleware, get_session

    app, manager = NexiosApp(), _manager(**settings)
    app.add_middleware(SessionMiddleware(manager=manager))

    async def page(request: Any, response: Any, path: str) -> Any:
        return response.json(act(get_session(request), path))

    app.get("/{path:path}")(page)
    yield asgi(app), manager


@contextmanager
def _quart(**settings: Any) -> Iterator[tuple[Send, SessionManager]]:
    from quart import Quart, jsonify

    from limpet.adapters.quart import Limpet, get_session

    app, manager = Quart("shop"), _manager(**settings)
    Limpet(app, manager)

    @app.get("/<path:path>")
    async def page(path: str) -> Any:
        return jsonify(act(get_session(), path))

    yield asgi(app), manager


@contextmanager
def _aiohttp(**settings: Any) -> Iterator[tuple[Send, SessionManager]]:
    app, manager = web.Application(), _manager(**settings)
    setup(app, manager)

    async def page(request: web.Request) -> web.Response:
        return web.json_response(act(await get_session(request), request.path))

    app.router.add_get("/{path:.*}", page)
    loop, ready, ports = asyncio.new_event_loop(), threading.Event(), list[int]()

    def serve() -> None:
        runner = web.AppRunner(app)
        loop.run_until_complete(runner.setup())
        loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        ports.append(runner.addresses[0][1])
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(30)
    yield over_http(f"http://127.0.0.1:{ports[0]}"), manager
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)


def _django(handler: Callable[[], Any], kind: Callable[[Any], Send], urls: str) -> Any:
    @contextmanager
    def run(**settings: Any) -> Iterator[tuple[Send, SessionManager]]:
        from django.test import override_settings

        from limpet.adapters.django import manager

        limpet = {"store": "memory:", "secret": SECRET, **settings}
        with override_settings(LIMPET=limpet, ROOT_URLCONF=urls, SESSION_COOKIE_SECURE=True):
            yield kind(handler()), manager()

    return run


def _django_wsgi() -> Any:
    from django.core.handlers.wsgi import WSGIHandler

    return WSGIHandler()


def _django_asgi() -> Any:
    from django.core.handlers.asgi import ASGIHandler

    return ASGIHandler()


def _manager(**settings: Any) -> SessionManager:
    return SessionManager(settings.pop("store", "memory:"), secret=SECRET, **{"bound": BoundPolicy(), **settings})


SITES: Final[dict[str, Callable[..., Any]]] = {
    "asgi": _asgi,
    "wsgi": _wsgi,
    "starlette": _starlette,
    "fastapi": _fastapi,
    "fastmvc": _fastmvc,
    "flask": _flask,
    "django": _django(_django_wsgi, wsgi, "tests.bound.django_urls"),
    "django-async": _django(_django_asgi, asgi, "tests.bound.django_aurls"),
    "litestar": _litestar,
    "blacksheep": _blacksheep,
    "nexios": _nexios,
    "quart": _quart,
    "aiohttp": _aiohttp,
}
