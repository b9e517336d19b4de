"""S26: a shared cache gives one user's cookie or page to another (CVE-2023-30861, CVE-2026-27205)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from limpet import Session, SessionManager
from limpet._caching import mark_response
from limpet.asgi import SessionMiddleware
from tests.security.site import WatchedSite
from tests.security.web import caching_proxy, served

READS: dict[str, Callable[[Session], Any]] = {
    "get": lambda session: session.get("n"),
    "item": lambda session: session["n"] if session.get("n") else None,
    "in": lambda session: "n" in session,
    "len": len,
    "iterate": list,
    "keys": lambda session: list(session.keys()),
    "equal": lambda session: session == {},
    "repr": repr,
    "bool": bool,
    "pop a miss": lambda session: session.pop("missing", None),
    "subject": lambda session: session.subject,
    "is_new": lambda session: session.is_new,
    "created_at": lambda session: session.created_at,
    "expires_at": lambda session: session.expires_at,
    "public_id": lambda session: session.public_id,
    "modified": lambda session: session.modified,
}
WRITES: dict[str, Callable[[Session], Any]] = {
    "set": lambda session: session.update(x=1),
    "setdefault": lambda session: session.setdefault("x", 1),
    "increment": lambda session: session.increment("x"),
    "login": lambda session: session.login("ann"),
}


@pytest.mark.parametrize("known", [False, True], ids=["without a cookie", "with a cookie"])
@pytest.mark.parametrize("read", READS)
async def test_every_way_to_look_counts(site: WatchedSite, read: str, known: bool) -> None:
    """Whatever asks the session anything makes the response private and dependent on the cookie."""
    token = (await site.ask("/write")).given if known else None
    site.pages["/page"] = lambda session: str(READS[read](session))
    answer = await site.ask("/page", token)
    assert answer.all("vary") == ["Cookie"]
    assert answer.all("cache-control") == ["private"]
    assert answer.cookies == []


@pytest.mark.parametrize("write", WRITES)
async def test_a_response_that_sets_a_cookie_is_not_stored(site: WatchedSite, write: str) -> None:
    """Every first write: Set-Cookie, Vary and no-store."""
    site.pages["/page"] = lambda session: str(WRITES[write](session))
    answer = await site.ask("/page")
    assert len(answer.cookies) == 1
    assert answer.all("vary") == ["Cookie"]
    assert answer.all("cache-control") == ["no-store"]


@pytest.mark.parametrize("known", [False, True])
async def test_an_untouched_page_is_left_alone(site: WatchedSite, known: bool) -> None:
    """No Vary, no Cache-Control, no cookie: it stays cacheable, cookie or not."""
    token = (await site.ask("/write")).given if known else None
    answer = await site.ask("/touch", token)
    assert [name for name, _ in answer.headers.multi_items()] == ["content-type"]


def shop() -> Starlette:
    """Return an application whose pages say that anybody may cache them."""
    public = {"Cache-Control": "public, max-age=600"}

    async def login(request: Request) -> Response:
        request.session["name"] = request.path_params["name"]
        return JSONResponse("hello", headers=public)

    async def me(request: Request) -> Response:
        return JSONResponse(request.session.get("name"), headers=public)

    async def silent(request: Request) -> Response:
        return JSONResponse(request.session.get("name"))

    async def known(request: Request) -> Response:
        return JSONResponse("name" in request.session, headers=public)

    async def page(request: Request) -> Response:
        return JSONResponse("the same for all", headers=public)

    routes = [
        Route("/login/{name}", login),
        *(Route(f"/{each.__name__}", each) for each in (me, silent, known, page)),
    ]
    middleware = [Middleware(SessionMiddleware, SessionManager("memory:", dev=True))]
    return Starlette(routes=routes, middleware=middleware)


@pytest.mark.browser
def test_two_users_behind_a_caching_proxy_never_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind nginx: nobody gets the other's page or cookie, and what did not use the session comes from the cache."""
    monkeypatch.setenv("LIMPET_DEV_ANNOUNCED", "1")
    with served(shop()) as port, caching_proxy(port, tmp_path) as url, ExitStack() as browsers:
        ann, bob, nobody = (browsers.enter_context(httpx.Client(base_url=url)) for _ in range(3))
        for client, name in ((ann, "ann"), (bob, "bob")):
            assert client.get(f"/login/{name}").headers["x-cache"] != "HIT"
        assert bob.cookies["limpet-session"] != ann.cookies["limpet-session"]
        third = nobody.get("/login/ann")
        assert third.headers["x-cache"] != "HIT"
        assert third.cookies["limpet-session"] not in (ann.cookies["limpet-session"], bob.cookies["limpet-session"])
        nobody.cookies.clear()
        for _ in range(5):
            for client, who in ((ann, "ann"), (bob, "bob"), (nobody, None)):
                assert client.get("/me").json() == who
                assert client.get("/silent").json() == who
                assert client.get("/known").json() is (who is not None)
        assert ann.get("/silent").headers["x-cache"] != "HIT"
        assert [client.get("/page").headers["x-cache"] for client in (ann, bob, nobody)][1:] == ["HIT", "HIT"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b"public, max-age=60", b"no-store"),
        (b'public, private="x-foo"', b"no-store"),
        (b'max-age=60, ext="a, no-store, b"', b"no-store"),
        (b"private, max-age=60", b"private, max-age=60"),
        (b'ext="a\\", b", No-Store', b'ext="a\\", b", No-Store'),
    ],
)
def test_a_new_cookie_is_kept_out_of_shared_caches(given: bytes, sent: bytes) -> None:
    """What only looks like `private` or `no-store` does not keep a cache from storing (RFC 9111, section 5.2.2.7)."""
    token = (b"set-cookie", b"session=x")
    marked = mark_response([(b"cache-control", given)], b"Cookie", token, accessed=True)
    assert [value for name, value in marked if name == b"cache-control"] == [sent]


def test_a_response_varies_by_all_that_was_read() -> None:
    """A manager with another transport and an importer reads a header and cookies; what is named is not named twice."""
    marked = mark_response([(b"vary", b"Accept, cookie")], b"X-Session-ID, Cookie", None, accessed=True)
    assert (b"vary", b"Accept, cookie, X-Session-ID") in marked
