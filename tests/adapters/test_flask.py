"""The Flask adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flask
from werkzeug.exceptions import NotFound

from limpet.adapters.flask import Limpet, session
from limpet.testing import AdapterSuite, adapter_app
from limpet.testing.adapter_app import SESSIONLESS, AppSpec
from limpet.testing.suite_blocking import BlockingAdapterSuite


class TestFlask(BlockingAdapterSuite):
    """Every promise, through Flask and its session proxy; a guard around the application knows its tokens."""

    documented_in = Path(__file__).parents[2] / "docs" / "frameworks" / "flask.md"

    test_a_post_needs_a_token_of_its_session = AdapterSuite.test_a_post_needs_a_token_of_its_session
    test_every_page_has_another_token = AdapterSuite.test_every_page_has_another_token
    test_a_token_ends_with_its_id = AdapterSuite.test_a_token_ends_with_its_id

    def build_blocking(self, spec: AppSpec) -> Any:
        app = flask.Flask("suite")
        app.config["SESSION_REFRESH_EACH_REQUEST"] = not spec.lazy
        Limpet(app, spec.manager, exclude=spec.exclude, sweep_interval=None)

        @app.get("/<name>")
        def page(name: str) -> flask.Response:
            if name not in SESSIONLESS and not hasattr(adapter_app._Routes, name):
                raise NotFound
            held: Any = session if name in SESSIONLESS else session._get_current_object()
            reply = spec.run_blocking(name, flask.request.args, lambda: held)
            body = reply.text if reply.stream is None else flask.stream_with_context(reply.parts())
            response = flask.Response(body, reply.status, reply.headers, content_type="application/json")
            response.call_on_close(reply.run_background)
            return response

        return app
