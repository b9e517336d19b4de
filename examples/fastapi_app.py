"""A shop on FastAPI: a typed basket, a login, and forms that no other site can send.

Run it with ``LIMPET_DEV=1 uvicorn examples.fastapi_app:app`` and open http://127.0.0.1:8000/.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Annotated

from fastapi import FastAPI, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from limpet.adapters.fastapi import SessionDep, SessionMiddleware, in_session
from limpet.csrf import CSRFMiddleware, csrf_token

PRICES = {"tea": 4, "milk": 2, "bread": 3}
PAGE = """<!doctype html>
<title>Shop</title>
<h1>{who}</h1>
<ul>{lines}</ul>
<p>Total: {total}</p>
{forms}
"""
FORM = """<form method="post" action="{action}">
<input type="hidden" name="csrf_token" value="{token}">{fields}<button>{label}</button></form>
"""

app = FastAPI()
app.add_middleware(CSRFMiddleware)  # the session has to be around it, so it is added first
app.add_middleware(SessionMiddleware, manager="sqlite:///shop.db")  # many machines: postgresql://... or redis://...


@dataclass
class BasketModel:
    """What a visitor wants to buy."""

    amounts: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def total(self) -> int:
        """The sum of it all."""
        return sum(PRICES[item] * amount for item, amount in self.amounts.items())


Basket = Annotated[BasketModel, in_session("basket")]


@app.get("/", response_class=HTMLResponse)
async def shop(request: Request, session: SessionDep, basket: Basket) -> str:
    token = csrf_token(request)

    def form(action: str, label: str, fields: str = "") -> str:
        return FORM.format(action=action, token=token, label=label, fields=fields)

    return PAGE.format(
        who=escape(session.subject or "Nobody"),
        lines="".join(f"<li>{amount} x {item}</li>" for item, amount in basket.amounts.items()),
        total=basket.total,
        forms="".join(form(f"/basket/{item}", f"Add {item}") for item in PRICES)
        + (form("/logout", "Log out") if session.subject else form("/login", "Log in", '<input name="name">')),
    )


@app.post("/basket/{item}")
async def add(item: str, basket: Basket) -> RedirectResponse:
    if item not in PRICES:
        raise HTTPException(404, "there is no such thing here")
    basket.amounts[item] = basket.amounts.get(item, 0) + 1  # two tabs at once: what both added stays
    return RedirectResponse("/", 303)


@app.post("/login")
async def login(name: Annotated[str, Form(min_length=1)], session: SessionDep) -> RedirectResponse:
    session.login(name)  # a new id; the old one is dead at once, and the basket stays
    return RedirectResponse("/", 303)


@app.post("/logout")
async def logout(session: SessionDep) -> RedirectResponse:
    session.logout()
    return RedirectResponse("/", 303)
