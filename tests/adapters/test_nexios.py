"""The Nexios adapter, over everything that adapters promise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nexios.http import Request
from nexios.http.response import BaseResponse
from nexios.websockets import WebSocket

from limpet.adapters.nexios import NexiosApp, Response, SessionMiddleware
from limpet.asgi import ASGIApp
from limpet.testing.suite_adapter import AdapterSuite, AppSpec

ROOT = Path(__file__).resolve().parents[2]


class AndThen(BaseResponse):
    """A response that does something after it was sent, which is what the framework has for background tasks."""

    then: Callable[[], Awaitable[None]]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)
        await self.then()


class TestNexios(AdapterSuite):
    """The whole conformance suite."""

    documented_in = ROOT / "docs" / "frameworks" / "nexios.md"

    def build(self, spec: AppSpec) -> ASGIApp:
        app = NexiosApp(debug=False)
        app.add_middleware(SessionMiddleware(manager=spec.manager, exclude=spec.exclude, lazy=spec.lazy))

        async def page(req: Request, res: Response, name: str) -> Response:
            reply = await spec.run(name, req.query_params, lambda: req.session)  # type: ignore[arg-type, return-value]
            if reply.stream is not None:
                res.stream(reply.stream)
            elif reply.background is not None:
                response = AndThen(reply.text, reply.status, reply.headers, "application/json")
                response.then = reply.background
                res.make_response(response)
            else:
                res.resp(reply.text, reply.status, reply.headers, "application/json")
            return res

        async def socket(ws: WebSocket) -> None:
            session = ws.scope["session"]
            await spec.converse(ws.query_params, lambda: session, ws.accept, ws.receive_text, ws.send_text)
            await ws.close()

        app.get("/{name}", page)
        app.ws_route("/socket", socket)
        return app
