"""An application's own pages for requests that cannot be served: 403, 409 and 503, from one function."""

from __future__ import annotations

import logging
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Route
from werkzeug.test import Client

from limpet import SessionManager, SessionPolicy, StoreUnavailable
from limpet.adapters.flask import Limpet
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.contract import Outcome, Record
from limpet.csrf import CSRFMiddleware, csrf_token
from limpet.keyring import generate_secret
from limpet.refusals import Answer, OnRefused, Refusal
from limpet.stores import MemoryStore
from limpet.testing import SessionClient, client
from limpet.wsgi import SessionMiddleware as WSGISessions


class Full(MemoryStore):
    """A store that takes no new session: its disk is full."""

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        raise StoreUnavailable("no space left", retry_after=7)


async def write(request: Request) -> PlainTextResponse:
    get_session(request)["n"] = 1
    return PlainTextResponse("written")


async def login(request: Request) -> PlainTextResponse:
    get_session(request).login("ann")
    return PlainTextResponse("hello")


async def form(request: Request) -> PlainTextResponse:
    return PlainTextResponse(csrf_token(request))


ROUTES = [
    Route("/write", write, methods=["GET", "POST"]),
    Route("/login", login),
    Route("/form", form),
]


def browser(
    store: MemoryStore, make: OnRefused | None, *, csrf: OnRefused | None = None, **settings: Any
) -> SessionClient:
    manager = SessionManager(store, on_refused=make, dev=False, **settings)
    inner = Middleware(CSRFMiddleware, on_refused=csrf)
    outer = Middleware(SessionMiddleware, manager=manager)
    return client(Starlette(routes=ROUTES, middleware=[outer, inner]), follow_redirects=False)


def page(refusal: Refusal) -> str | dict[str, Any]:
    """Return a page for people and an object for programs."""
    if refusal.wants_html:
        return f"<p>Sorry: {refusal.text}</p>"
    return {"reason": refusal.reason, "path": refusal.scope["path"]}


FOREIGN = {"sec-fetch-site": "cross-site"}
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_one_function_has_them_all() -> None:
    """403, 409 and 503 have the application's page, with the status, the reason, and when to try again."""
    policy = SessionPolicy(max_sessions=1, when_full="refuse")
    with browser(Full(), page) as shop:
        answer = shop.get("/write", headers=HTML)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
        assert answer.text == "<p>Sorry: The session store is not available. Try again in a moment.</p>"
        assert answer.headers["content-length"] == str(len(answer.content))
        assert shop.get("/write").json() == {"reason": "store-unavailable", "path": "/write"}
    store = MemoryStore()
    with browser(store, page, policy=policy) as first, browser(store, page, policy=policy) as second:
        assert first.get("/login").status_code == 200
        answer = second.get("/login")
        assert (answer.status_code, answer.json()["reason"]) == (409, "too-many-sessions")
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (FOREIGN, "other-site"),
        ({}, "token-missing"),
        ({"x-csrf-token": "wrong"}, "token-wrong"),
    ],
    ids=str,
)
def test_what_csrf_refuses(headers: dict[str, str], reason: str) -> None:
    """The manager's pages are those of the CSRF middleware too, unless it has some of its own."""

    def own(refusal: Refusal) -> str:
        return f"own: {refusal.status} {refusal.reason}"

    for csrf, said in ((None, {"reason": reason, "path": "/write"}), (own, f"own: 403 {reason}")):
        with browser(MemoryStore(), page, csrf=csrf) as shop:
            shop.get("/form")
            answer = shop.post("/write", headers=headers)
            assert answer.status_code == 403
            assert (answer.text if csrf else answer.json()) == said
    with browser(MemoryStore(), page) as shop:
        assert shop.post("/write").json()["reason"] == "no-session"


PAGES: dict[str, tuple[Any, int, str]] = {
    "a response": (PlainTextResponse("late", 504), 504, "late"),
    "a redirect": (RedirectResponse("/sorry", 303), 303, ""),
    "JSON": (JSONResponse({"a": 1}, 503), 503, '{"a":1}'),
    "an answer": (Answer(500, ((b"content-type", b"text/css"),), b"p {}", 1011), 500, "p {}"),
    "a list": (["a"], 503, '["a"]'),
    "nothing": (None, 503, "The session store is not available. Try again in a moment.\n"),
}


@pytest.mark.parametrize("what", PAGES)
def test_what_a_page_can_be(what: str) -> None:
    """Text, a dict, a list, a response that has its body, a whole answer; None is the usual one."""
    made, status, text = PAGES[what]
    with browser(Full(), lambda refusal: made) as shop:
        answer = shop.get("/write")
        assert (answer.status_code, answer.text) == (status, text)
        if what != "an answer":
            assert answer.headers["cache-control"] == "no-store"
        if what == "a redirect":
            assert answer.headers["location"] == "/sorry"


async def _later(refusal: Refusal) -> str:
    return "never"


def _fails(refusal: Refusal) -> str:
    raise LookupError("no such template")


@pytest.mark.parametrize(
    ("make", "said"),
    [(_later, "plain function"), (_fails, "no such template"), (lambda refusal: StreamingResponse([]), "StreamingRes")],
    ids=["a coroutine", "an error", "a stream"],
)
def test_a_page_that_cannot_be_made(make: OnRefused, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """The usual answer goes out, and the log says what to write instead."""
    with caplog.at_level(logging.ERROR, "limpet"), browser(Full(), make) as shop:
        answer = shop.get("/write")
    assert (answer.status_code, answer.text) == (503, "The session store is not available. Try again in a moment.\n")
    assert said in caplog.text


def on_wsgi(manager: SessionManager) -> Any:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["limpet.session"]["n"] = 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"written"]

    return WSGISessions(app, manager)


def on_flask(manager: SessionManager) -> Any:
    app = flask.Flask("site")
    app.secret_key = generate_secret()
    Limpet(app, manager)

    @app.route("/write")
    def save() -> str:
        flask.session["n"] = 1
        return "written"

    return app


@pytest.mark.parametrize("build", [on_wsgi, on_flask])
def test_without_an_event_loop(build: Any) -> None:
    """The same function makes the pages of WSGI applications; it is handed the environment as the scope."""

    def own(refusal: Refusal) -> str | dict[str, Any]:
        if refusal.wants_html:
            return f"<p>{refusal.text}</p>"
        return {"reason": refusal.reason, "path": refusal.scope["PATH_INFO"]}

    shop = Client(build(SessionManager(Full(), on_refused=own, dev=False)))
    answer = shop.get("/write", headers=HTML)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert answer.text == "<p>The session store is not available. Try again in a moment.</p>"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    told = shop.get("/write")
    assert (told.status_code, told.get_json()) == (503, {"reason": "store-unavailable", "path": "/write"})
    assert "Set-Cookie" not in told.headers
