"""What `test_another_process` serves in a process of its own: ``uvicorn tests.subjects.served:app``."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from limpet import SessionManager
from limpet.adapters.starlette import SessionMiddleware, get_session

__all__ = ["app"]


async def login(request: Request) -> Response:
    get_session(request).login(request.path_params["name"], tags={"oidc_sid": "s1"})
    return PlainTextResponse("in")


async def whoami(request: Request) -> Response:
    return PlainTextResponse(get_session(request).subject or "nobody")


async def echo(socket: WebSocket) -> None:
    """Repeat what comes; the middleware closes it."""
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


app = Starlette(
    routes=[
        Route("/login/{name}", login, methods=["POST"]),
        Route("/whoami", whoami),
        WebSocketRoute("/echo", echo),
    ]
)
app.add_middleware(SessionMiddleware, manager=SessionManager(dev=True), close_sockets=0.1)  # LIMPET_STORE says where
