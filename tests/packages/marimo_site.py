"""A marimo notebook behind a guard that lets in who is logged in; the notebook is told who that is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import marimo  # pyright: ignore[reportMissingImports]
from fastapi import FastAPI
from starlette.responses import PlainTextResponse

from limpet import CookiePolicy, SessionManager
from limpet.adapters.fastapi import SessionMiddleware
from tests.packages.signed_in import routes

NOTEBOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    mo.md(f"user {mo.app_meta().request.meta['user_id']}")
    return
"""

app = FastAPI()
app.include_router(routes)


class Guard:
    """Lets in who is logged in."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request of somebody who is logged in."""
        if scope["type"] in {"http", "websocket"}:
            subject = scope["session"].subject
            if subject is None:
                if scope["type"] == "websocket":
                    await send({"type": "websocket.close", "code": 1008})
                else:
                    await PlainTextResponse("sign in first", 401)(scope, receive, send)
                return
            scope["meta"] = {"user_id": subject}
        await self.inner(scope, receive, send)


path = Path(os.environ["NOTEBOOKS"]) / "report.py"
path.write_text(NOTEBOOK)
notebooks = marimo.create_asgi_app().with_app(path="/report", root=str(path))
app.mount("/", Guard(notebooks.build()))
app.add_middleware(
    SessionMiddleware, manager=SessionManager("memory:", cookie=CookiePolicy(secure=False)), close_sockets=1
)
