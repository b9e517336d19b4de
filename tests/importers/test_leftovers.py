"""Old cookies that a response takes away, beside those that it sets."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from limpet import CookiePolicy, SessionManager
from limpet._core.session import state_of
from limpet._serving import hand_out
from limpet.importers import FlaskCookies


@pytest.mark.parametrize(
    ("old", "deleted"),
    [
        ({}, 0),
        ({"path": "/shop"}, 1),
        ({"domain": "example.org"}, 1),
        ({"cookie": "other"}, 1),
    ],
    ids=str,
)
async def test_a_session_that_begins_after_a_logout_keeps_its_cookie(old: dict[str, Any], deleted: int) -> None:
    """What has its name, domain and path is the very cookie that the response sets; any other one is deleted."""
    manager = SessionManager(
        "memory:",
        cookie=CookiePolicy(name="session", secure=False),
        importers=[FlaskCookies("AjGcYwKsR3F0yV8mQ2bXn6pLtE9dHuZo", until=date(2100, 1, 1), **old)],
    )
    session = manager.begin([(b"cookie", f"{old.get('cookie', 'session')}=old".encode())])
    await manager.load(session)
    session.logout()
    session["cart"] = ["tea"]
    await manager.commit(session)
    (_, made), *others = hand_out(manager.engine, state_of(session))
    assert made.startswith(b"session=")
    assert b"Max-Age=0" not in made
    assert [b"Max-Age=0" in line for _, line in others] == [True] * deleted
