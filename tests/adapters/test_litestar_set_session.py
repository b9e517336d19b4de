"""Litestar's ``set_session`` and ``clear_session``, which put something else in the place of the session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from litestar import Litestar, WebSocket, post, websocket
from litestar.di import NamedDependency
from pydantic import BaseModel

from limpet import SessionManager
from limpet.adapters.litestar import SessionPlugin
from limpet.asgi import SessionMiddleware
from limpet.testing import client
from tests.adapters.litestar_app import AnyRequest, app_of, data, visits


@dataclass
class Basket:
    items: list[str]
    owner: str


class Ticket(msgspec.Struct):
    items: list[str]
    owner: str


class Order(BaseModel):
    items: list[str]
    owner: str


@pytest.mark.parametrize(
    "value",
    [
        {"items": ["tea"], "owner": "ann"},
        Basket(["tea"], "ann"),
        Ticket(["tea"], "ann"),
        Order(items=["tea"], owner="ann"),
    ],
    ids=["dict", "dataclass", "struct", "pydantic"],
)
def test_set_session_replaces(value: Any) -> None:
    """``request.set_session`` puts other data in the place of what was there; the session stays the same one."""

    @post("/set")
    async def put(request: AnyRequest) -> None:
        request.set_session(value)

    with client(app_of(put)) as browser:
        browser.get("/visits")
        [(name, token)] = browser.cookies.items()
        assert browser.post("/set").status_code == 201
        assert browser.get("/data").json() == {"items": ["tea"], "owner": "ann"}
        assert browser.cookies[name] == token


def test_set_session_of_a_new_visitor() -> None:
    """For a visitor without a session it begins one."""

    @post("/set")
    async def put(request: AnyRequest) -> None:
        request.set_session({"a": 1})
        request.session["b"] = 2  # now a dict of the handler's

    with client(app_of(put)) as browser:
        browser.post("/set")
        assert browser.get("/data").json() == {"a": 1, "b": 2}


def test_set_session_can_be_a_login() -> None:
    """When ``user_id`` comes with it, the id from before is dead."""

    @post("/set")
    async def put(request: AnyRequest) -> None:
        request.set_session({"user_id": 1})

    with client(app_of(put)) as browser:
        browser.get("/visits")
        [(name, token)] = browser.cookies.items()
        browser.post("/set")
        assert browser.cookies[name] != token
        browser.cookies.clear()
        assert browser.get("/data", headers={"cookie": f"{name}={token}"}).json() == {}


def test_clear_session() -> None:
    """``request.clear_session`` ends the session, old id and cookie with it, also when the handler fails after it."""

    @post("/clear")
    async def clear(request: AnyRequest, fail: NamedDependency[bool]) -> None:
        request.clear_session()
        if fail:
            raise RuntimeError

    manager = SessionManager("memory:")
    app = Litestar(
        [visits, data, clear],
        plugins=[SessionPlugin(manager)],
        dependencies={"fail": _query_flag()},
    )
    with client(app) as browser:
        for query in ("", "?fail=1"):
            browser.get("/visits")
            token = browser.cookies[manager.cookie_name]
            answer = browser.post(f"/clear{query}")
            assert answer.status_code == (500 if query else 201)
            assert "Max-Age=0" in answer.headers["set-cookie"]
            assert browser.get("/data").json() == {}
            old = {"cookie": f"{manager.cookie_name}={token}"}
            assert browser.get("/data", headers=old).json() == {}


def _query_flag() -> Any:
    from litestar.di import Provide

    async def flag(request: AnyRequest) -> bool:
        return "fail" in request.query_params

    return Provide(flag)


def test_set_session_of_a_failing_handler() -> None:
    """What a handler set before it failed is dropped, as all it wrote."""

    @post("/set")
    async def put(request: AnyRequest) -> None:
        request.set_session({"a": 1})
        raise RuntimeError

    with client(app_of(put)) as browser:
        browser.get("/visits")
        assert browser.post("/set").status_code == 500
        assert browser.get("/data").json() == {"visits": 1}


def test_set_session_of_a_lazy_session() -> None:
    """A session that was not read is read before it is replaced."""

    @post("/set")
    async def put(request: AnyRequest) -> None:
        request.set_session({"a": 1})

    with client(app_of(put, lazy=True)) as browser:
        browser.get("/visits")
        browser.post("/set")
        assert browser.get("/data").json() == {"a": 1}


def test_websocket_sets_and_clears() -> None:
    """In a WebSocket the same words work before the acceptance, and its cookie goes out with it."""

    @websocket("/socket")
    async def socket(socket: WebSocket[Any, Any, Any]) -> None:
        if "clear" in socket.query_params:
            socket.clear_session()
        else:
            socket.set_session({"a": 1})
        await socket.accept()
        await socket.send_text("done")
        await socket.close()

    with client(app_of(socket)) as browser:
        with browser.websocket_connect("/socket") as connection:
            assert connection.receive_text() == "done"
        assert browser.get("/data").json() == {"a": 1}
        with browser.websocket_connect("/socket?clear=1") as connection:
            assert connection.receive_text() == "done"
        assert browser.get("/data").json() == {}


def test_websocket_sets_late() -> None:
    """What is set in an open WebSocket is saved at its end."""

    @websocket("/socket")
    async def socket(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        socket.set_session({"late": True})
        await socket.close()

    with client(app_of(socket)) as browser:
        browser.get("/visits")
        with browser.websocket_connect("/socket"):
            pass
        assert browser.get("/data").json() == {"late": True}


def test_set_session_with_the_middleware_outside() -> None:
    """The same words work where the middleware is around the whole application."""

    @post("/set")
    async def put(request: AnyRequest) -> None:
        request.set_session({"a": 1})

    manager = SessionManager("memory:")
    with client(SessionMiddleware(app_of(put, manager=manager), manager)) as browser:
        browser.post("/set")
        assert browser.get("/data").json() == {"a": 1}
