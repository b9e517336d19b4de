"""slowapi: a limit for each user of the session, beside a session that is saved on a 429 too."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, Request
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.middleware import SlowAPIASGIMiddleware, SlowAPIMiddleware

from limpet import SessionManager
from limpet.adapters.fastapi import SessionDep, SessionMiddleware
from limpet.testing import client


def user(request: Request) -> str:
    """Return what a limit counts: the user, or the visitor's address."""
    return request.session.get("user_id") or (request.client.host if request.client else "")


def site(manager: SessionManager, around: Any) -> FastAPI:
    """Return an application with a limit of two a minute on ``/search``, and a login."""
    limiter = Limiter(key_func=user, headers_enabled=True)
    app = FastAPI()
    app.state.limiter = limiter
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)  # type: ignore[arg-type]
    if around is not None:
        app.add_middleware(around)
    app.add_middleware(SessionMiddleware, manager=manager)

    @app.get("/login/{name}")
    async def login(name: str, session: SessionDep) -> None:
        session["user_id"] = name

    @app.get("/search")
    @limiter.limit("2/minute")  # pyright: ignore[reportUntypedFunctionDecorator]
    async def search(request: Request) -> Any:
        from fastapi.responses import JSONResponse

        request.session["searches"] = request.session.get("searches", 0) + 1
        return JSONResponse(request.session["searches"])

    return app


@pytest.mark.parametrize("around", [None, SlowAPIMiddleware, SlowAPIASGIMiddleware])
@pytest.mark.filterwarnings("ignore:.*iscoroutinefunction.*:DeprecationWarning")
def test_a_limit_for_each_user(manager: SessionManager, around: Any) -> None:
    """Two users of one address have a limit each; what was saved before the refusal stays."""
    app = site(manager, around)
    with client(app) as ann, client(app) as bob:
        ann.get("/login/ann")
        bob.get("/login/bob")
        assert [ann.get("/search").status_code for _ in range(3)] == [200, 200, 429]
        answer = bob.get("/search")
        assert answer.json() == 1
        assert answer.headers["x-ratelimit-remaining"] == "1"
        with ann.session() as session:
            assert session["searches"] == 2
