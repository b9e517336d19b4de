"""An application with a form and some ways to send it."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from limpet import SessionManager
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.csrf import CSRFMiddleware, csrf_token
from limpet.testing import SessionClient

__all__ = ["HEADER", "build", "change", "form", "plain", "post", "token_of"]

HEADER = "X-CSRF-Token"


async def form(request: Request) -> Response:
    return PlainTextResponse(csrf_token(request))


async def plain(request: Request) -> Response:
    return PlainTextResponse("no form here")


async def change(request: Request) -> Response:
    get_session(request).increment("changes")
    return PlainTextResponse("changed")


async def echo(request: Request) -> Response:
    texts = {}
    async with request.form() as sent:
        for name, value in sent.items():
            texts[name] = value if isinstance(value, str) else (await value.read()).decode()
    return JSONResponse(texts)


async def length(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def login(request: Request) -> Response:
    get_session(request).login("ann")
    return PlainTextResponse(csrf_token(request))


async def login_by_key(request: Request) -> Response:
    get_session(request)["user_id"] = 7
    return PlainTextResponse(csrf_token(request))


async def regenerate(request: Request) -> Response:
    get_session(request).regenerate()
    return PlainTextResponse("new id")


async def login_and_save(request: Request) -> Response:
    session = get_session(request)
    session.login("ann")
    await session.save()
    return PlainTextResponse("saved")


async def logout(request: Request) -> Response:
    get_session(request).logout()
    return PlainTextResponse("bye")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("welcome")
    await websocket.close()


def build(manager: SessionManager | str = "memory:", **settings: Any) -> Starlette:
    """Return an application with a form and some ways to send it."""
    posts = (change, echo, length, login, login_by_key, regenerate, login_and_save, logout)
    return Starlette(
        routes=[
            Route("/form", form),
            Route("/plain", plain),
            *(Route(f"/{handler.__name__}", handler, methods=["GET", "POST", "PUT", "DELETE"]) for handler in posts),
            Route("/hooks/payment", plain, methods=["POST"]),
            WebSocketRoute("/socket", socket),
        ],
        middleware=[Middleware(SessionMiddleware, manager), Middleware(CSRFMiddleware, **settings)],
    )


def token_of(browser: SessionClient) -> str:
    """Return the token in the form that the browser was shown."""
    return browser.get("/form").text


def post(browser: SessionClient, path: str, token: str, **headers: str) -> int:
    """Send a request with a token; return the status."""
    return browser.post(path, headers={HEADER: token, **headers}).status_code
