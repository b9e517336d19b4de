"""Forms of other sites are refused, and those of the application's own pages go through."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from limpet import SessionManager, SessionPolicy
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.csrf import CSRFMiddleware, csrf_token
from limpet.keyring import generate_secret
from limpet.stores.memory import MemoryStore
from limpet.testing import FakeClock, SessionClient, async_client, client
from limpet.testing._adapter_site import WatchedStore
from tests.csrf_app import HEADER, build, change, form, plain, post, token_of


@pytest.fixture
def browser() -> Iterator[SessionClient]:
    """Return a browser on the application."""
    with client(build()) as visitor:
        yield visitor


# -- the token


def test_token_in_the_header(browser: SessionClient) -> None:
    """A request with the session's token in the header goes through."""
    assert post(browser, "/change", token_of(browser)) == 200
    with browser.session() as session:
        assert session["changes"] == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PURGE"])
def test_no_token(browser: SessionClient, method: str) -> None:
    """A request that may change something and carries no token is refused, in words, and changes nothing."""
    token_of(browser)
    answer = browser.request(method, "/change")
    assert answer.status_code == 403
    assert "X-CSRF-Token" in answer.text
    assert "csrf_token" in answer.text
    with browser.session() as session:
        assert "changes" not in session


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_pass(browser: SessionClient, method: str) -> None:
    """A request that only asks needs no token."""
    assert browser.request(method, "/plain").status_code in (200, 405)


def test_safe_requests_create_no_session(browser: SessionClient) -> None:
    """A page without a form makes no session; one with a form does."""
    assert "set-cookie" not in browser.get("/plain").headers
    assert "set-cookie" in browser.get("/form").headers


def test_no_session(browser: SessionClient) -> None:
    """A request without a session has no token that could be right: nobody can be logged in by another site's form."""
    answer = browser.post("/login", headers={HEADER: "A" * 86})
    assert answer.status_code == 403
    assert "Load the page again" in answer.text


def test_token_is_masked(browser: SessionClient) -> None:
    """Each response shows another token, so that compression cannot betray it; all of them are good."""
    found = {token_of(browser) for _ in range(3)}
    assert len(found) == 3
    assert all(post(browser, "/change", token) == 200 for token in found)


def test_token_of_another_session() -> None:
    """The token of one visitor's session is refused in another's."""
    app = build()
    with client(app) as ann, client(app) as bob:
        mine, theirs = token_of(ann), token_of(bob)
        assert post(bob, "/change", mine) == 403
        assert post(bob, "/change", theirs) == 200


@pytest.mark.parametrize(
    "damage",
    [
        lambda token: "",
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token[:10] + ("A" if token[10] != "A" else "B") + token[11:],
        lambda token: "ÿ" * 86,
        lambda token: token * 1000,
        lambda token: "A" * 86,
    ],
    ids=["empty", "short", "long", "flipped", "latin", "huge", "zero"],
)
def test_damaged_token(browser: SessionClient, damage: Any) -> None:
    """What is not exactly a token of this session is refused, and never an error of the server."""
    token = damage(token_of(browser))
    answer = browser.post("/change", headers=[(HEADER.encode(), token.encode("latin-1"))])
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/login", "/login_by_key", "/regenerate", "/login_and_save"])
@pytest.mark.parametrize("store", ["memory:", "cookie:"])
def test_new_id_new_token(path: str, store: str) -> None:
    """Whoever knew the token before a login or ``regenerate()`` knows nothing after it."""
    if store == "cookie:" and path == "/login_and_save":
        path = "/login"
    manager = SessionManager(store, secret=generate_secret())
    with client(build(manager)) as browser:
        old = token_of(browser)
        assert post(browser, path, old) == 200
        assert post(browser, "/change", old) == 403
        assert post(browser, "/change", token_of(browser)) == 200


@pytest.mark.parametrize("path", ["/login", "/login_by_key"])
def test_token_asked_for_after_the_login(browser: SessionClient, path: str) -> None:
    """A login may answer with the token that is good from then on, as programs in the browser need it."""
    answer = browser.post(path, headers={HEADER: token_of(browser)})
    assert post(browser, "/change", answer.text) == 200


def test_logout_ends_the_token(browser: SessionClient) -> None:
    """After a logout the token is worth nothing."""
    token = token_of(browser)
    assert post(browser, "/logout", token) == 200
    assert post(browser, "/change", token) == 403


def test_renewal_keeps_the_token() -> None:
    """A periodic renewal of the id leaves the forms alone that are open in other tabs."""
    clock = FakeClock()
    manager = SessionManager("memory:", policy=SessionPolicy(renewal_interval=60), clock=clock)
    with client(build(manager)) as browser:
        token, before = token_of(browser), browser.cookies[manager.cookie_name]
        clock.advance(61)
        assert post(browser, "/change", token) == 200
        assert browser.cookies[manager.cookie_name] != before
        assert post(browser, "/change", token) == 200


@pytest.mark.parametrize("strict", [False, True])
async def test_two_first_forms_at_once(strict: bool) -> None:
    """Two tabs that show their first form at the same moment have both a good token."""
    gate = asyncio.Barrier(2)

    async def slow_form(request: Request) -> Response:
        token = csrf_token(request)
        await gate.wait()
        return PlainTextResponse(token)

    async def begin(request: Request) -> Response:
        get_session(request)["begun"] = True
        return PlainTextResponse("")

    manager = SessionManager("memory:", policy=SessionPolicy(strict_merge=strict))
    app = Starlette(
        routes=[Route("/form", slow_form), Route("/begin", begin), Route("/change", change, methods=["POST"])],
        middleware=[Middleware(SessionMiddleware, manager), Middleware(CSRFMiddleware)],
    )
    async with async_client(app) as browser:
        await browser.get("/begin")
        one, other = await asyncio.gather(browser.get("/form"), browser.get("/form"))
        for page in (one, other):
            assert (await browser.post("/change", headers={HEADER: page.text})).status_code == 200


def test_cookie_sessions() -> None:
    """Sessions that live in their cookie are protected in the same way."""
    with client(build(SessionManager("cookie:", secret=generate_secret()))) as browser:
        token = token_of(browser)
        assert post(browser, "/change", token) == 200
        assert post(browser, "/change", "A" * 86) == 403


def test_lazy_sessions() -> None:
    """A session that is not read yet is read for the check."""

    async def loaded(request: Request) -> Response:
        await get_session(request).load()
        return await form(request)

    app = Starlette(
        routes=[Route("/form", loaded), Route("/plain", plain, methods=["POST"])],
        middleware=[Middleware(SessionMiddleware, "memory:", lazy=True), Middleware(CSRFMiddleware)],
    )
    with client(app) as browser:
        assert post(browser, "/plain", token_of(browser)) == 200
        assert browser.post("/plain").status_code == 403


def test_a_store_that_is_down_is_asked_once() -> None:
    """For the session and for the check of the token together: one that hangs costs one time limit, and not two."""
    store = WatchedStore(MemoryStore())
    with client(build(SessionManager(store, dev=False))) as browser:
        token = token_of(browser)
        store.down = True
        store.calls.clear()
        assert post(browser, "/change", token) == 503
        assert store.calls == ["load"]


def test_token_of_a_session_or_a_scope(browser: SessionClient) -> None:
    """A test may ask for a token of the session that it seeds."""
    with browser.session() as session:
        token = csrf_token(session)
    assert post(browser, "/change", token) == 200
