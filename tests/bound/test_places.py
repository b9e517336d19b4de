"""Bound sessions beside what else there is: WebSockets, pages for refusals, several managers, lists, records."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from limpet import SessionManager
from limpet._wire.record import Contents, CorruptPayload, pack, unpack
from limpet.asgi import SessionMiddleware, session_in
from limpet.bound import BoundPolicy
from limpet.refusals import Refusal
from limpet.serializers.msgpack import MsgpackSerializer
from limpet.stores.memory import MemoryStore
from tests.bound.conftest import Build
from tests.bound.device import Browser, asgi
from tests.bound.sites import Site, act
from tests.races.counted import Counting
from tests.security.site import SECRET

PROOF = "__Host-session-bound"


async def page(request: Request) -> Response:
    return JSONResponse(act(session_in(request.scope), request.url.path))


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(session_in(websocket.scope).subject)
    await websocket.close()


def over(manager: SessionManager) -> Any:
    """Return an application with a WebSocket."""
    routes = [WebSocketRoute("/socket", socket), Route("/{path:path}", page)]
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, manager)])


def heard(app: Any, cookies: dict[str, str]) -> Any:
    """Return what a WebSocket says first."""
    line = "; ".join(f"{name}={value}" for name, value in cookies.items())
    client = TestClient(app, base_url="https://shop.test")
    with client.websocket_connect("/socket", headers={"cookie": line}) as connection:
        return connection.receive_json()


async def test_a_socket_takes_a_proof_as_well() -> None:
    manager = SessionManager("memory:", secret=SECRET, bound=True)
    app = over(manager)
    site = Site(asgi(app), manager)
    ann = await Browser(site.send).log_in()
    site.clock.advance(60)
    assert heard(app, ann.cookies) == "ann"
    del ann.cookies[PROOF]
    assert heard(app, ann.cookies) is None


async def test_a_socket_is_refused_where_that_is_asked_for() -> None:
    manager = SessionManager("memory:", secret=SECRET, bound=BoundPolicy(refuse=("/socket",)))
    app = over(manager)
    site = Site(asgi(app), manager)
    ann = await Browser(site.send).log_in()
    site.clock.advance(60)
    del ann.cookies[PROOF]
    with pytest.raises(WebSocketDisconnect) as caught:
        heard(app, ann.cookies)
    assert caught.value.code == 1008


async def test_the_application_s_own_page_for_a_refusal(build: Build) -> None:
    told: list[Refusal] = []

    def explain(refusal: Refusal) -> dict[str, str]:
        told.append(refusal)
        return {"error": refusal.reason}

    site = build(bound=BoundPolicy(refuse=("/me",)), on_refused=explain)
    ann = await Browser(site.send).log_in()
    site.clock.advance(60)
    del ann.cookies[PROOF]
    reply = await ann.get("/me")
    assert (reply.status, reply.json()) == (403, {"error": "device-unproven"})
    assert ann.challenge_in(reply)[0] == ann.identifier
    assert [refusal.status for refusal in told] == [403]


async def test_two_managers_of_one_application() -> None:
    outer = SessionManager("memory:", secret=SECRET, bound=True)
    inner = SessionManager("memory:", secret=SECRET, bound=True, label="admin")
    deep = Starlette(
        routes=[Route("/{path:path}", page_of_the_inner)],
        middleware=[Middleware(SessionMiddleware, inner, scope_key="admin")],
    )
    app = Starlette(
        routes=[Mount("/admin", deep), Route("/{path:path}", page)],
        middleware=[Middleware(SessionMiddleware, outer)],
    )
    app.state.inner = inner
    deep.state.inner = inner
    send = asgi(app)
    ann, root = Browser(send), Browser(send)
    await ann.log_in()
    assert (await root.get("/admin/login/root")).status == 200
    assert root.offer is not None
    assert root.offer[0] == "/admin/device-bound-session-admin/registration", "below its mount"
    assert (await root.register()).status == 200
    assert (await root.refresh()).status == 200
    assert (await root.get("/admin/bound")).json() is True


async def page_of_the_inner(request: Request) -> Response:
    return JSONResponse(act(session_in(request.scope, request.app.state.inner), f"/{request.path_params['path']}"))


async def test_a_list_of_devices_says_which_are_bound(build: Build) -> None:
    site = build()
    await Browser(site.send).log_in()
    await Browser(site.send).get("/login/ann")
    assert sorted(info.bound for info in await site.manager.sessions_of("ann")) == [False, True]


async def test_challenges_that_nobody_answers_cost_nothing(build: Build) -> None:
    """However many are asked for, with a session's cookie or without: nothing is written and no record is added."""
    store = Counting(MemoryStore())
    site = build(store=store, bound=BoundPolicy(refuse=("/me",)))
    ann = await Browser(site.send).log_in()
    site.clock.advance(60)
    del ann.cookies[PROOF]
    store.take()
    for number in range(5):
        asked = await ann.get(ann.told["refresh_url"], "POST", sec_secure_session_id=ann.identifier or "")
        assert (asked.status, ann.challenge_in(asked)[0]) == (403, ann.identifier)
        assert (await ann.get("/me")).status == 403
        made_up = await Browser(site.send).get(ann.told["refresh_url"], "POST", sec_secure_session_id=f"x{number}")
        assert made_up.json()["continue"] is False
        assert (await ann.get(ann.told["refresh_url"], "POST")).status == 400, "and without a name nothing is read"
    assert set(store.take()) == {"load"}


async def test_it_costs_a_browser_that_cannot_nothing(build: Build) -> None:
    """One read for each request, as without; and what it is sent is the same but for the login."""
    site = build()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    reply = await ann.get("/me")
    assert {name for name, _ in reply.headers} == {"content-type", "content-length", "vary", "cache-control"}


@pytest.mark.parametrize(
    "bound",
    [
        {},
        {"id": 1, "since": 1},
        {"id": "x", "since": "1"},
        {"id": "x", "since": 1, "more": 1},
        {"id": "x", "since": 1, "key": {}},
        {"id": "x", "since": 1, "key": {}, "thumb": "x", "alg": "ES256", "last": 1, "proofs": 1, "at": "1"},
    ],
)
def test_a_record_that_says_something_else_is_corrupt(bound: dict[str, Any]) -> None:
    with pytest.raises(CorruptPayload):
        unpack(pack(Contents(1, bound=bound), MsgpackSerializer()), MsgpackSerializer())


def test_a_binding_comes_back() -> None:
    bound = {"id": "x", "since": 1, "key": {"kty": "EC"}, "thumb": "x", "alg": "ES256", "last": 1, "proofs": 1, "at": 1}
    for each in ({"id": "x", "since": 1}, bound):
        assert unpack(pack(Contents(1, bound=each), MsgpackSerializer()), MsgpackSerializer()).bound == each
