"""Whatever works with the dict that Starlette's own middleware puts into the scope works with this session."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import jinja2
import orjson
import pytest
from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as Theirs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from limpet import SessionManager, SessionNotLoaded, StoreUnavailable
from limpet.adapters.fastapi import SessionMiddleware
from limpet.adapters.starlette import get_session
from limpet.adapters.starlette.middleware.sessions import SessionMiddleware as DropIn
from limpet.stores.memory import MemoryStore
from limpet.testing import async_client, client

SECRET = "a secret of a test that is long enough to be one, 0123456789"
DATA = {"user_id": "ann", "cart": ["tea"], "seen": {"milk": 1}}
MIDDLEWARES = {
    "memory": Middleware(SessionMiddleware, manager="memory:"),
    "cookie": Middleware(SessionMiddleware, manager=SessionManager("cookie:", secret=SECRET)),
    "drop-in cookie": Middleware(DropIn, secret_key=SECRET, https_only=True),
    "drop-in memory": Middleware(DropIn, secret_key=SECRET, https_only=True, store="memory:"),
}


@pytest.fixture(params=MIDDLEWARES, ids=str)
def middleware(request: pytest.FixtureRequest) -> Middleware:
    return MIDDLEWARES[request.param]


async def login(request: Request) -> Response:
    request.session.update(copy.deepcopy(DATA))
    return Response()


async def show(request: Request) -> Response:
    return Response(json.dumps(dict(request.session.items())))


def visit(middleware: Middleware, view: Callable[[Request], Any]) -> tuple[Any, Any]:
    """Return what a page answers to somebody who logged in, and what is in the session at the next request."""

    async def page(request: Request) -> Response:
        return JSONResponse(view(request))

    app = Starlette(
        routes=[Route("/login", login), Route("/page", page), Route("/show", show)], middleware=[middleware]
    )
    with client(app) as browser:
        browser.get("/login")
        answer = browser.get("/page")
        assert answer.status_code == 200
        return answer.json(), browser.get("/show").json()


READS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "isinstance": (lambda session: isinstance(session, dict), True),
    "json.dumps": (lambda session: json.loads(json.dumps(session)), DATA),
    "json.dumps, indented": (lambda session: json.loads(json.dumps(session, indent=2)), DATA),
    "json, nested": (lambda session: {"session": session}, {"session": DATA}),
    "orjson": (lambda session: orjson.loads(orjson.dumps(session)), DATA),
    "jsonable_encoder": (jsonable_encoder, DATA),
    "tojson": (lambda session: json.loads(jinja2.Template("{{ s | tojson }}").render(s=session)), DATA),
    "in a template": (
        lambda session: jinja2.Template("{{ s.user_id }} {{ s['cart'][0] }}").render(s=session),
        "ann tea",
    ),
    "copy": (lambda session: session.copy(), DATA),
    "copy.copy": (copy.copy, DATA),
    "deepcopy": (copy.deepcopy, DATA),
    "|": (lambda session: session | {"more": 1}, {**DATA, "more": 1}),
    "| on the right": (lambda session: {"more": 1, "user_id": ""} | session, {"more": 1, **DATA}),
    "**": (lambda session: {**session}, DATA),
    "dict()": (dict, DATA),
    "==": (lambda session: [session == DATA, session != DATA, session == {}], [True, False, False]),
    "reversed": (lambda session: [list(session), list(reversed(session))], [[*DATA], [*reversed(DATA)]]),
    "fromkeys": (lambda session: sorted(type(session).fromkeys("ab")), ["a", "b"]),
    "len, bool": (lambda session: [len(session), bool(session)], [3, True]),
}


@pytest.mark.parametrize("name", READS)
def test_a_session_can_be_read_as_a_dict(middleware: Middleware, name: str) -> None:
    """Each of these works as with a dict, and changes nothing."""
    read, expected = READS[name]
    assert visit(middleware, lambda request: read(request.session)) == (expected, DATA)


@pytest.mark.parametrize("make", [lambda session: session.copy(), copy.copy, copy.deepcopy, lambda s: s | {}])
def test_a_copy_is_on_its_own(middleware: Middleware, make: Callable[[Any], Any]) -> None:
    """What is done to a copy is not done to the session."""

    def view(request: Request) -> Any:
        taken = make(request.session)
        taken.clear()
        return isinstance(taken, dict)

    assert visit(middleware, view) == (True, DATA)


def _set(request: Request, value: Any) -> None:
    request.scope["session"] = value


def _clear_a_dict(request: Request) -> None:
    if isinstance(request.session, dict):
        request.session.clear()


def _copy_and_clear(request: Request) -> None:
    request.session.copy()
    request.session.clear()


def _delete_all(request: Request) -> None:
    for key in list(request.session):
        del request.session[key]


ENDS: dict[str, Callable[[Request], Any]] = {
    "clear": lambda request: request.session.clear(),
    "clear, if it is a dict": _clear_a_dict,
    "copy, then clear": _copy_and_clear,
    "an empty dict in the scope": lambda request: _set(request, {}),
    "an empty defaultdict in the scope": lambda request: _set(request, defaultdict(list)),
    "every key popped": lambda request: [request.session.pop(key) for key in list(request.session)],
    "every key deleted": _delete_all,
    "popitem": lambda request: [request.session.popitem() for _ in DATA],
}


@pytest.mark.parametrize("name", ENDS)
def test_a_logout_is_a_logout(middleware: Middleware, name: str) -> None:
    """However an application empties its session, the browser is told to forget the cookie."""

    async def logout(request: Request) -> Response:
        ENDS[name](request)
        return Response()

    app = Starlette(
        routes=[Route("/login", login), Route("/out", logout), Route("/show", show)], middleware=[middleware]
    )
    with client(app) as browser:
        browser.get("/login")
        answer = browser.get("/out")
        assert answer.status_code == 200
        assert "max-age=0" in answer.headers["set-cookie"].lower()
        assert browser.get("/show").json() == {}


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_another_dict_in_the_scope_is_the_new_content(middleware: Middleware, kind: Any) -> None:
    """A dict that the application puts in the place of the session is what is saved."""
    answer, after = visit(middleware, lambda request: _set(request, kind({"user_id": "ann", "tea": 1})))
    assert (answer, after) == (None, {"user_id": "ann", "tea": 1})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda session: session.setdefault("cart", []).append("milk"), {**DATA, "cart": ["tea", "milk"]}),
        (lambda session: session["seen"].update(tea=2), {**DATA, "seen": {"milk": 1, "tea": 2}}),
        (lambda session: session.__ior__({"a": 1}), {**DATA, "a": 1}),
        (lambda session: session.update([("a", 1)], b=2), {**DATA, "a": 1, "b": 2}),
        (lambda session: session.pop("cart"), {"user_id": "ann", "seen": {"milk": 1}}),
        (lambda session: session.pop("missing", None), DATA),
        (lambda session: session.popitem(), {"user_id": "ann", "cart": ["tea"]}),
        (lambda session: session.__delitem__("seen"), {"user_id": "ann", "cart": ["tea"]}),
    ],
    ids=["append", "nested", "|=", "update", "pop", "pop missing", "popitem", "del"],
)
def test_changes_are_saved(middleware: Middleware, change: Callable[[Any], Any], expected: Mapping[str, Any]) -> None:
    """Whichever way a dict is changed, and inside of it, the session is saved so."""

    def view(request: Request) -> Any:
        change(request.session)
        return dict(request.session)

    assert visit(middleware, view) == (expected, expected)


def test_fastapi_validates_a_session_as_a_dict(middleware: Middleware) -> None:
    """FastAPI's own serialization of a returned session, with and without a declared type."""
    app = FastAPI(middleware=[middleware])

    @app.get("/login")
    async def enter(request: Request) -> None:
        request.session.update(copy.deepcopy(DATA))

    @app.get("/any")
    async def any_(request: Request) -> Any:
        return request.session

    @app.get("/typed")
    async def typed(request: Request) -> dict[str, Any]:
        return request.session

    with client(app) as browser:
        browser.get("/login")
        assert browser.get("/any").json() == DATA
        assert browser.get("/typed").json() == DATA


def test_the_dict_and_the_session_follow_each_other(middleware: Middleware) -> None:
    """Code that uses ``request.session`` and code that uses the session itself see what the other did at once."""

    async def view(request: Request) -> Response:
        shown: Any = request.session
        shown["a"] = 1
        session = get_session(request)
        assert session["a"] == 1
        session["b"] = [2]
        assert shown["b"] == [2]
        shown["b"].append(3)
        session.setdefault("b", []).append(4)
        shown["c"] = 5
        assert (session["b"], session["c"]) == ([2, 3, 4], 5)
        del session["a"]
        assert "a" not in shown
        shown.pop("c")
        assert "c" not in session
        session.login("ann")
        assert shown.subject == "ann"
        shown.increment("n")
        assert (shown["n"], session["n"]) == (1, 1)
        return JSONResponse({"now": request.session, "again": shown | {}})

    app = Starlette(routes=[Route("/", view), Route("/show", show)], middleware=[middleware])
    with client(app) as browser:
        expected = {"b": [2, 3, 4], "n": 1}
        assert browser.get("/").json() == {"now": expected, "again": expected}
        assert browser.get("/show").json() == expected


async def test_what_waits_is_followed_too() -> None:
    """``save``, ``refresh`` and ``exclusive`` of the dict take along what was changed, and show what others did."""
    manager = SessionManager("memory:")
    seen: list[Any] = []

    async def view(request: Request) -> Response:
        shown: Any = request.session
        shown["mine"] = 1
        await shown.save()
        async with manager.open(shown.public_id) as other:
            other["theirs"] = 2
        shown["late"] = 3
        seen.append(dict(shown))
        assert await shown.refresh() is None
        seen.append(dict(shown))
        async with shown.exclusive("once") as held:
            held["inside"] = 4
        assert await shown.load() is shown
        assert await shown.is_live()
        return JSONResponse(shown)

    app = Starlette(
        routes=[Route("/", view), Route("/show", show)], middleware=[Middleware(SessionMiddleware, manager)]
    )
    async with async_client(app) as browser:
        everything = {"mine": 1, "late": 3, "theirs": 2, "inside": 4}
        assert (await browser.get("/")).json() == everything
        assert seen == [{"mine": 1, "late": 3}, {"mine": 1, "late": 3, "theirs": 2}]
        assert (await browser.get("/show")).json() == everything


def test_an_outage_is_met_at_the_first_use() -> None:
    """A dict that cannot be filled raises when it is used, and a page that does not use it is answered."""

    class Down(MemoryStore):
        async def load(self, key: str) -> Any:
            raise StoreUnavailable("down")

    async def plain(request: Request) -> Response:
        return Response("up")

    manager = SessionManager(Down())
    middleware = Middleware(SessionMiddleware, manager=manager)
    app = Starlette(routes=[Route("/", plain), Route("/show", show)], middleware=[middleware])
    with client(app, raise_server_exceptions=False) as browser:
        cookie = {"cookie": f"{manager.cookie_name}={'A' * 43}"}
        assert browser.get("/", headers=cookie).text == "up"
        assert browser.get("/show", headers=cookie).status_code == 503


def test_a_lazy_session_says_what_to_write() -> None:
    """With ``lazy=True`` a dict that was not loaded raises; ``await session.load()`` is the cure."""

    async def cured(request: Request) -> Response:
        await get_session(request).load()
        return JSONResponse(request.session)

    async def begin(request: Request) -> Response:
        await get_session(request).load()
        return await login(request)

    middleware = Middleware(SessionMiddleware, manager="memory:", lazy=True)
    routes = [Route("/login", begin), Route("/cured", cured), Route("/show", show)]
    with client(Starlette(routes=routes, middleware=[middleware])) as browser:
        browser.get("/login")
        assert browser.get("/cured").json() == DATA
        with pytest.raises(SessionNotLoaded, match=r"`await get_session\(request\)\.load\(\)` first"):
            browser.get("/show")


def test_a_dict_of_another_middleware_stays_its_own() -> None:
    """An inner session middleware of Starlette's keeps its data, and ours keeps what was here."""

    async def view(request: Request) -> Response:
        request.session["theirs"] = request.session.get("theirs", 0) + 1
        return JSONResponse(dict(request.session))

    inner = Starlette(routes=[Route("/", view)], middleware=[Middleware(Theirs, secret_key="k" * 40)])
    routes = [Route("/login", login), Route("/show", show), Mount("/in", inner)]
    app = Starlette(routes=routes, middleware=[MIDDLEWARES["memory"]])
    with client(app) as browser:
        browser.get("/login")
        assert [browser.get("/in/").json() for _ in range(2)] == [{"theirs": 1}, {"theirs": 2}]
        assert browser.get("/show").json() == DATA
