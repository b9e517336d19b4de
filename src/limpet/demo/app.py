"""The routes of the page that shows it all: sign in and out, a counter, a cart, a new id."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from limpet import Session, SessionManager, SessionPolicy
from limpet.adapters.fastapi import SessionDep, SessionMiddleware
from limpet.demo import account, device, side_by_side
from limpet.demo.page import Page, Server, clock
from limpet.demo.security import ForeignForm, Headers, StaleForm, new_token, own_form
from limpet.demo.watch import VISIT, Ledger, Recorder

__all__ = ["GOODS", "POLICY", "create_app"]

POLICY: Final = SessionPolicy(
    idle_timeout=15 * 60, anonymous_timeout=15 * 60, absolute_timeout=8 * 3600, touch_interval=10
)
"""Short enough to watch a session run out, and to see how every click pushes its end away."""

GOODS: Final = {"tea": Decimal("4.20"), "bread": Decimal("3.50"), "honey": Decimal("7.90"), "apples": Decimal("2.80")}
_MOST: Final = 20  # of one kind
_NAME: Final = 40  # characters
_HERE: Final = Path(__file__).parent

OwnForm = Annotated[Session, Depends(own_form)]
Text = Annotated[str, Form()]
routes: APIRouter = APIRouter()


def create_app(manager: SessionManager, *, store: str = "") -> FastAPI:
    """Return the application.

    Args:
        manager: A `limpet.demo.watch.WatchedManager`, so that the page can tell about store calls.
        store: What the page says about where sessions are kept.
    """
    app = FastAPI(title="limpet demo", docs_url=None, redoc_url=None, openapi_url=None)
    started = datetime.fromtimestamp(manager.clock() / 1000, UTC)
    server = Server(manager=manager, store=store, ledger=Ledger(), started=started, pid=os.getpid())
    app.state.server = server
    app.state.templates = Jinja2Templates(directory=_HERE / "templates")
    app.state.templates.env.filters["clock"] = clock
    app.add_middleware(SessionMiddleware, manager=manager, exclude=("/static",))
    app.add_middleware(Recorder, ledger=server.ledger, cookie_name=manager.cookie_name)
    app.add_middleware(Headers)
    app.add_exception_handler(StaleForm, refuse)
    app.add_exception_handler(ForeignForm, refuse)
    app.include_router(routes)
    app.include_router(account.routes)
    app.include_router(device.routes)
    app.include_router(side_by_side.routes)
    app.mount("/static", StaticFiles(directory=_HERE / "static"))
    return app


@routes.get("/")
async def index(request: Request, session: SessionDep, after: str | None = None) -> Response:
    """Show the page; ``after`` is the visit that a sign-out has just ended."""
    return await show(request, session, after=after)


@routes.post("/sign-in")
async def sign_in(request: Request, session: OwnForm, name: Text = "", remember: Text = "") -> Response:
    """Sign in under any name: a new id, a new form token; cart and counter stay."""
    name = " ".join(name.split())
    if not name.isprintable() or not 0 < len(name) <= _NAME:
        return await show(
            request, session, status=422, problem=f"Please type a name of 1 to {_NAME} characters.", typed=name
        )
    session.login(name, remember=bool(remember))
    new_token(session)
    return done(request, session)


@routes.post("/sign-out")
async def sign_out(request: Request, session: OwnForm) -> Response:
    """End the session: record, data and cookie."""
    request.scope[VISIT] = visit = session.get("visit")
    session.logout()
    return RedirectResponse(f"/?after={visit}" if visit else "/", 303)


@routes.post("/count")
async def count(request: Request, session: OwnForm) -> Response:
    """Add one, whatever other requests add at the same time."""
    session.increment("count")
    return done(request, session)


@routes.post("/cart/add")
async def add(request: Request, session: OwnForm, item: Text) -> Response:
    """Change the session three levels deep; nothing has to be flagged for that."""
    if item in GOODS:
        line = session.setdefault("cart", {}).setdefault(item, {"price": GOODS[item], "added": []})
        if len(line["added"]) < _MOST:
            line["added"].append(datetime.now(UTC))
    return done(request, session)


@routes.post("/cart/remove")
async def remove(request: Request, session: OwnForm, item: Text) -> Response:
    """Take one piece out of the cart."""
    line = session.get("cart", {}).get(item)
    if line is not None:
        line["added"].pop()
        if not line["added"]:
            del session["cart"][item]
    return done(request, session)


@routes.post("/new-id")
async def new_id(request: Request, session: OwnForm) -> Response:
    """Change the id and keep everything else."""
    if not session.is_new:
        session.regenerate()
    return done(request, session)


@routes.post("/copy")
async def copy(request: Request, session: OwnForm) -> Response:
    """Show what somebody sees who has copied the session cookie."""
    copied = await device.seen_by_a_copy(request, request.app.state.server.manager)
    return await show(request, session, copied=copied)


async def show(
    request: Request, session: Session, *, status: int = 200, after: str | None = None, **more: Any
) -> Response:
    """Render the page."""
    # Saved before it is shown, so that the page can tell what this request cost and the deadline that it moved.
    await session.save()
    state = request.app.state
    page = Page.of(session, state.server, after=after)
    found: Response = state.templates.TemplateResponse(
        request, "index.html", {"page": page, "goods": GOODS, "longest": _NAME, **more}, status_code=status
    )
    return found


def done(request: Request, session: Session) -> Response:
    """Answer a form: back to the page, or the two values that the page's own script asks for."""
    if session.modified and "visit" not in session:
        session["visit"] = secrets.token_urlsafe(9)
        new_token(session)
    request.scope[VISIT] = session.get("visit")
    if request.headers.get("accept") == "application/json":
        return JSONResponse({"count": session.get("count", 0), "csrf": session.get("csrf", "")})
    return RedirectResponse("/", 303)


async def refuse(request: Request, error: Exception) -> Response:
    """Say why a form was not taken, and how to go on."""
    found: Response = request.app.state.templates.TemplateResponse(
        request, "refused.html", {"foreign": isinstance(error, ForeignForm)}, status_code=403
    )
    return found
