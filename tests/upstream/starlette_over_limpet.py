"""A plugin for runs of Starlette's tests of its sessions: its middleware is limpet's with the same arguments."""

from __future__ import annotations

import os
from typing import Any

import starlette.middleware.sessions as theirs

from limpet.adapters.starlette.middleware import sessions as ours


class Tried(ours.SessionMiddleware):
    """The drop-in, with the store of `LIMPET_TRIED`; empty: sessions in the cookie."""

    def __init__(self, app: Any, secret_key: Any, *args: Any, **settings: Any) -> None:
        super().__init__(app, secret_key, *args, store=os.environ["LIMPET_TRIED"] or None, **settings)


def pytest_configure() -> None:
    """Put limpet's classes in the place of Starlette's."""
    theirs.SessionMiddleware = Tried  # type: ignore[assignment, misc]
    theirs.Session = ours.Session  # type: ignore[assignment, misc]
