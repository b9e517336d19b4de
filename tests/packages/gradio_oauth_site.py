"""Gradio with its login button, whose sessions are limpet's: the class that it looks up is replaced before it does."""

from __future__ import annotations

import os
from functools import partial

import starlette.middleware.sessions as starlettes
from fastapi import FastAPI

from limpet.adapters.starlette.middleware.sessions import SessionMiddleware
from tests.packages.provider import provider

ISSUER = os.environ["ADDRESS"] + "/provider"
os.environ |= {  # what Gradio finds where it is hosted
    "SYSTEM": "spaces",
    "SPACE_ID": "ann/demo",
    "OAUTH_CLIENT_ID": "client",
    "OAUTH_CLIENT_SECRET": "a secret of a test that is long enough to be one, 0123456789",
    "OAUTH_SCOPES": "openid profile",
    "OPENID_PROVIDER_URL": ISSUER,
}
starlettes.SessionMiddleware = partial(SessionMiddleware, store="memory:")  # type: ignore[misc,assignment]

import gradio as gr  # noqa: E402 # pyright: ignore[reportMissingImports]

main = FastAPI()
main.mount("/provider", provider(ISSUER))


@main.get("/data")
async def data() -> str:
    """Answer when the server is there."""
    return ""


def who(profile: gr.OAuthProfile | None) -> str:
    """Say who asks."""
    return "nobody" if profile is None else profile.username


with gr.Blocks() as demo:
    gr.LoginButton()
    shown = gr.Textbox()
    gr.Button("Who").click(who, None, shown, api_name="who")

app = gr.mount_gradio_app(main, demo, path="/gradio")
