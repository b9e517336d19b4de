"""A marimo notebook that asks for its own token, whose session is limpet's: the class that it builds on is replaced."""

from __future__ import annotations

import os
from pathlib import Path

import starlette.middleware.sessions as starlettes

from limpet.adapters.starlette.middleware.sessions import SessionMiddleware

starlettes.SessionMiddleware = SessionMiddleware  # type: ignore[misc,assignment]

import marimo  # noqa: E402 # pyright: ignore[reportMissingImports]
from fastapi import FastAPI  # noqa: E402

app = FastAPI()


@app.get("/data")
async def data() -> str:
    """Answer when the server is there."""
    return ""


path = Path(os.environ["NOTEBOOKS"]) / "own.py"
path.write_text("import marimo\n\napp = marimo.App()\n")
app.mount("/", marimo.create_asgi_app(token=os.environ["TOKEN"]).with_app(path="/own", root=str(path)).build())
