"""Flask applications for the packages to run over, over managers of every kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import flask
import pytest

from limpet.adapters.flask import Limpet
from tests.packages.provider import SECRET

__all__ = ["KINDS", "field", "make_app"]

KINDS = pytest.mark.parametrize("kind", ["memory:", "sqlite:///{folder}/sessions.db", "cookie:"])
"""Runs a test over stores on the server, and over the cookie alone."""


def make_app(kind: str, folder: Path, **config: Any) -> flask.Flask:
    """Return an application with sessions and ``/session``, which shows the keys of its session."""
    app = flask.Flask("packages", root_path=str(folder))
    app.config.update(SECRET_KEY=SECRET, **config)
    Limpet(app, kind.format(folder=folder))

    @app.route("/session")
    def keys() -> list[str]:
        return sorted(flask.session)

    return app


def field(page: str, name: str) -> str:
    """Return the value of a hidden field."""
    found = re.search(rf'<input[^>]*name="{name}"[^>]*value="([^"]+)"', page)
    assert found is not None, page
    return found[1]
