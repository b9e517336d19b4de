"""The Quart adapter."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import pytest
from quart import Quart, Response, jsonify, render_template_string, request, session, websocket

from limpet import ConfigurationError, SessionManager
from limpet.adapters.quart import Limpet, get_session
from limpet.asgi import ASGIApp
from limpet.testing import AdapterSuite, async_client
from limpet.testing.suite_adapter import AppSpec


class TestQuart(AdapterSuite):
    """Every promise, through Quart."""

    impossible: ClassVar = {
        "test_hostile_cookies_are_anonymous": (
            "Quart answers 500 to a header with a line break in it, which no server lets through."
        )
    }
    documented_in = Path(__file__).parents[2] / "docs" / "frameworks" / "quart.md"

    def build(self, spec: AppSpec) -> ASGIApp:
        app = Quart(__name__)
        Limpet(app, spec.manager, exclude=spec.exclude, lazy=spec.lazy)

        @app.get("/<name>")
        async def page(name: str) -> Any:
            reply = await spec.run(name, request.args, get_session)
            if reply.background is not None:
                app.add_background_task(reply.background)
            if reply.stream is not None:
                return Response(reply.stream)
            return Response(reply.text, reply.status, reply.headers, content_type="application/json")

        @app.websocket("/socket")
        async def socket() -> None:
            receive: Any = websocket.receive
            await spec.converse(websocket.args, get_session, websocket.accept, receive, websocket.send)
            await websocket.close(1000)

        return app


async def test_quarts_own_words() -> None:
    """``permanent``, ``new`` and ``modified`` are there, and `session_transaction` writes what requests read."""
    app = Quart(__name__)
    Limpet(app, SessionManager("memory:", dev=True))

    @app.get("/")
    async def page() -> dict[str, object]:
        found = {
            "new": session.new,
            "permanent": session.permanent,
            "n": session.get("n"),
            "modified": session.modified,
        }
        session.permanent = True
        return found

    browser = app.test_client()
    async with browser.session_transaction() as planted:
        planted["n"] = 1
    first = await (await browser.get("/")).get_json()
    assert first == {"new": False, "permanent": False, "n": 1, "modified": False}
    second = await (await browser.get("/")).get_json()
    assert second["permanent"] is True


async def test_an_excluded_path_says_so() -> None:
    """`get_session` on a path without sessions names the cure."""
    app = Quart(__name__)
    limpet = Limpet(manager="memory:", exclude=("/health",))
    limpet.init_app(app)

    @app.get("/health")
    async def health() -> str:
        with pytest.raises(ConfigurationError, match="call Limpet"):
            get_session()
        return "fine"

    async with async_client(app, limpet.manager) as browser:
        assert (await browser.get("/health")).text == "fine"


async def test_a_session_is_written_as_json() -> None:
    """``jsonify`` and ``tojson`` write what is in it, nested too, and an encoder of the application stays."""
    app = Quart(__name__)
    provider: Any = app.json
    before = type(provider).default
    Limpet(app, SessionManager("memory:", dev=True))

    @app.get("/")
    async def page() -> Any:
        session["cart"] = ["tea"]
        return jsonify([session, {"session": get_session(), "at": date(2030, 1, 31)}])

    @app.get("/template")
    async def template() -> str:
        return await render_template_string("{{ session | tojson }}")

    async with async_client(app) as browser:
        first, second = (await browser.get("/")).json()
        assert (first, second) == ({"cart": ["tea"]}, {"session": {"cart": ["tea"]}, "at": before(date(2030, 1, 31))})
        assert json.loads((await browser.get("/template")).text) == {"cart": ["tea"]}
