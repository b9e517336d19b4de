"""Gradio mounted into a FastAPI application: who may use the demo is what the session says."""

from __future__ import annotations

import gradio as gr  # pyright: ignore[reportMissingImports]
from fastapi import FastAPI, Request

from limpet import CookiePolicy, SessionManager
from limpet.adapters.fastapi import SessionMiddleware, get_session
from tests.packages.signed_in import routes

main = FastAPI()
main.include_router(routes)


def user(request: Request) -> str | None:
    """Tell Gradio who asks."""
    session = get_session(request)
    session["asked"] = session.get("asked", 0) + 1
    return session.subject


def greet(text: str, request: gr.Request) -> str:
    """Answer in the demo."""
    return f"{text}, {request.username}"


with gr.Blocks() as demo:
    given, shown = gr.Textbox(), gr.Textbox()
    gr.Button("Greet").click(greet, given, shown, api_name="greet")

app = gr.mount_gradio_app(main, demo, path="/gradio", auth_dependency=user)
app.add_middleware(SessionMiddleware, manager=SessionManager("memory:", cookie=CookiePolicy(secure=False)))
