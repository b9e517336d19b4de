"""The FastAPI adapter."""

from __future__ import annotations

from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import Response, StreamingResponse

from limpet.adapters.fastapi import SessionDep, SessionMiddleware
from limpet.asgi import ASGIApp
from limpet.testing import AdapterSuite
from limpet.testing.suite_adapter import SESSIONLESS, AppSpec, Reply


class TestFastAPI(AdapterSuite):
    """Every promise, through FastAPI and `SessionDep`."""

    def build(self, spec: AppSpec) -> ASGIApp:
        app = FastAPI()
        app.add_middleware(SessionMiddleware, manager=spec.manager, exclude=spec.exclude, lazy=spec.lazy)

        def answer(reply: Reply, tasks: BackgroundTasks) -> Response:
            if reply.background is not None:
                tasks.add_task(reply.background)
            if reply.stream is not None:
                return StreamingResponse(reply.stream)
            return Response(reply.text, reply.status, reply.headers, "application/json", background=tasks)

        async def without(request: Request, tasks: BackgroundTasks) -> Response:
            name = request.url.path.removeprefix("/")
            return answer(await spec.run(name, {}, lambda: request.scope["session"]), tasks)

        for name in SESSIONLESS:
            app.get(f"/{name}")(without)

        @app.get("/{name}")
        async def page(name: str, request: Request, session: SessionDep, tasks: BackgroundTasks) -> Response:
            return answer(await spec.run(name, request.query_params, lambda: session), tasks)

        @app.websocket("/socket")
        async def socket(websocket: WebSocket, session: SessionDep) -> None:
            await spec.converse(
                websocket.query_params,
                lambda: session,
                websocket.accept,
                websocket.receive_text,
                websocket.send_text,
            )
            await websocket.close()

        return app
