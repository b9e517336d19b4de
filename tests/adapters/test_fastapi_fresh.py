"""FastAPI: a route that demands a fresh login."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI

from limpet import Session, SessionManager
from limpet.adapters.fastapi import SessionDep, SessionMiddleware, fresh_login
from limpet.testing import FakeClock, client


def site(clock: FakeClock) -> FastAPI:
    """Return an application with a login and a dangerous route."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, manager=SessionManager("memory:", dev=False, clock=clock))

    @app.post("/login")
    async def login(session: SessionDep) -> None:
        session.login("ann")

    @app.post("/delete")
    async def delete(session: Annotated[Session, fresh_login(minutes=5)]) -> str | None:
        return session.subject

    return app


def test_a_dangerous_route_demands_a_fresh_login() -> None:
    """Nobody, and who logged in long ago, gets 401 with a challenge; who logged in just now is let in."""
    clock = FakeClock()
    with client(site(clock)) as browser:
        assert browser.post("/delete").status_code == 401
        browser.post("/login")
        assert browser.post("/delete").json() == "ann"
        clock.advance(301)
        refused = browser.post("/delete")
        assert refused.status_code == 401
        assert 'error="insufficient_user_authentication", max_age=300' in refused.headers["www-authenticate"]
        browser.post("/login")
        assert browser.post("/delete").json() == "ann"
