"""Gradio mounted into a FastAPI application: who may use the demo is what the session says."""

from __future__ import annotations

import gradio as gr  # pyright: ignore[reportMissingImports]
from fastapi import FastAPI, Request

from limpet import CookiePolicy, SessionManager
from limpet.adapters.fastapi import SessionDep, SessionMiddleware, get_session

main = FastAPI()


@main.get("/sign-in/{name}")
async def sign_in(name: str, session: SessionDep) -> str:
    """Log in."""
    session.login(name)
    return name


@main.get("/sign-out")
async def sign_out(session: SessionDep) -> str:
    """Log out."""
    session.logout()
    return ""


@main.get("/data")
async def data(session: SessionDep) -> dict[str, object]:
    """Show the session."""
    return {"subject": session.subject, "asked": session.get("asked", 0)}


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
