"""A booking in three steps on Litestar: each page keeps what it was told, the last one shows it all.

Run it with ``LIMPET_DEV=1 uvicorn examples.litestar_app:app`` and open http://127.0.0.1:8000/.
"""

from __future__ import annotations

from html import escape
from typing import Any

from litestar import Litestar, MediaType, Request, get, post
from litestar.middleware import DefineMiddleware
from litestar.params import FromPath
from litestar.response import Redirect

from limpet.adapters.litestar import SessionDep, SessionPlugin
from limpet.csrf import CSRFMiddleware, csrf_token

STEPS = ("city", "nights", "name")
PAGE = """<!doctype html>
<title>Booking</title>
<h1>{title}</h1>
<ul>{told}</ul>
<form method="post" action="{action}">
<input type="hidden" name="csrf_token" value="{token}">{fields}<button>{label}</button>
</form>
"""


@get("/", media_type=MediaType.HTML)
async def page(request: Request[Any, Any, Any], session: SessionDep) -> str:
    told: dict[str, str] = session.get("told", {})
    step = next((step for step in STEPS if step not in told), None)
    return PAGE.format(
        title="Your booking" if step is None else f"Tell us the {step}",
        told="".join(f"<li>{name}: {escape(value)}</li>" for name, value in told.items()),
        action="/over" if step is None else f"/tell/{step}",
        token=csrf_token(request),
        fields="" if step is None else '<input name="value" autofocus>',
        label="Start over" if step is None else "Next",
    )


@post("/tell/{step:str}")
async def tell(step: FromPath[str], request: Request[Any, Any, Any], session: SessionDep) -> Redirect:
    form = await request.form()
    if step in STEPS and form.get("value"):
        session.setdefault("told", {})[step] = str(form["value"])  # a nested change: saved, no flag
    return Redirect("/", status_code=303)


@post("/over")
async def over(request: Request[Any, Any, Any]) -> Redirect:
    request.clear_session()  # Litestar's own word: row and cookie are gone
    return Redirect("/", status_code=303)


@get("/health", skip_session=True)  # no session here, and no call of the store
async def health() -> str:
    return "ok"


app = Litestar(
    [page, tell, over, health],
    plugins=[SessionPlugin("sqlite:///bookings.db")],  # many machines: postgresql://... or redis://...
    middleware=[DefineMiddleware(CSRFMiddleware, exempt=["/health"])],
)
