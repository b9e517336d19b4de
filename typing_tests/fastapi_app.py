"""What type checkers are to make of the Starlette and FastAPI adapters. Checked by `make lint`, run by nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, assert_type

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.websockets import WebSocket

from limpet import Session, SessionManager
from limpet.adapters.fastapi import SessionDep, SessionMiddleware, in_session, session_of
from limpet.adapters.starlette import get_session
from limpet.testing import AsyncSessionClient, FakeClock, SessionClient, async_client, client

admin = SessionManager("memory:", label="admin")


@dataclass
class CartModel:
    items: list[str] = field(default_factory=list[str])


Cart = Annotated[CartModel, in_session("cart", default=CartModel, on_invalid="default", manager=admin)]
AdminSession = Annotated[Session, session_of(admin)]

app = FastAPI()
app.add_middleware(SessionMiddleware, manager="sqlite:///sessions.db")
app.add_middleware(SessionMiddleware, manager=admin, scope_key="admin", exclude=("/health",), lazy=True)
app.add_middleware(SessionMiddleware, admin, excluded=())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Starlette(middleware=[Middleware(SessionMiddleware, manager="memory:"), Middleware(SessionMiddleware, admin)])


@app.post("/cart/{item}")
async def add(item: str, session: SessionDep, cart: Cart, staff: AdminSession) -> list[str]:
    assert_type(session, Session)
    assert_type(staff, Session)
    assert_type(cart, CartModel)
    cart.items.append(item)
    return cart.items


async def starlette_page(request: Request, socket: WebSocket) -> None:
    assert_type(get_session(request), Session)
    assert_type(get_session(socket, admin), Session)
    assert_type(await get_session(request, scope_key="admin").load(), Session)


async def tests_of_an_application(clock: FakeClock) -> None:
    SessionManager("memory:", clock=clock)
    with client(app) as c:
        assert_type(c, SessionClient)
        with c.session() as session:
            assert_type(session, Session)
    async with async_client(app, admin) as asynchronous:
        assert_type(asynchronous, AsyncSessionClient)
        async with asynchronous.session(admin) as session:
            assert_type(session, Session)
            value: Any = session["cart"]
            assert_type(value, Any)
