"""The Litestar adapter."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, MediaType, Request, Response, WebSocket, get, websocket
from litestar.background_tasks import BackgroundTask
from litestar.params import FromPath
from litestar.response import Stream

from limpet.adapters.litestar import SessionDep, SessionPlugin, get_session
from limpet.asgi import ASGIApp
from limpet.testing import AdapterSuite
from limpet.testing.suite_adapter import SESSIONLESS, AppSpec, Reply


class TestLitestar(AdapterSuite):
    """Every promise, through the plugin and its dependency."""

    def build(self, spec: AppSpec) -> ASGIApp:
        def answer(reply: Reply) -> Response[Any]:
            background = BackgroundTask(reply.background) if reply.background else None
            if reply.stream is not None:
                return Stream(reply.stream)
            return Response(
                reply.text.encode(),
                status_code=reply.status,
                headers=reply.headers,
                background=background,
                media_type=MediaType.JSON,
            )

        @get([f"/{name}" for name in SESSIONLESS])
        async def without(request: Request[Any, Any, Any]) -> Response[Any]:
            return answer(await spec.run(request.url.path.removeprefix("/"), {}, lambda: get_session(request)))

        @get("/{name:str}")
        async def page(name: FromPath[str], request: Request[Any, Any, Any], session: SessionDep) -> Response[Any]:
            return answer(await spec.run(name, dict(request.query_params), lambda: session))

        @websocket("/socket")
        async def socket(socket: WebSocket[Any, Any, Any], session: SessionDep) -> None:
            await spec.converse(
                dict(socket.query_params), lambda: session, socket.accept, socket.receive_text, socket.send_text
            )
            await socket.close()

        plugin = SessionPlugin(spec.manager, exclude=spec.exclude, lazy=spec.lazy)
        return Litestar([without, page, socket], plugins=[plugin])
