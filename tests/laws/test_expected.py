"""What people expect of sessions and look for in the settings: the tick box, changed attributes, prefetches, logout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from limpet import ConfigurationError, CookiePolicy, CookieTooLarge, SessionManager
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.stores import MemoryStore, Store
from limpet.testing import SessionClient, client
from limpet.transports import HeaderTransport

SECRET = "one secret of all workers, long enough 0123456789"


async def login(request: Request) -> JSONResponse:
    get_session(request).login("ann", remember="remember" in request.query_params)
    return JSONResponse(None)


async def write(request: Request) -> JSONResponse:
    return JSONResponse(get_session(request).increment("n"))


async def read(request: Request) -> JSONResponse:
    session = get_session(request)
    return JSONResponse([session.subject, session.get("n"), session.modified])


async def plain(request: Request) -> JSONResponse:
    return JSONResponse(None)


async def say(request: Request) -> JSONResponse:
    get_session(request).flash("saved")
    return JSONResponse(None)


async def shown(request: Request) -> JSONResponse:
    return JSONResponse([flash.message for flash in get_session(request).flashes()])


async def logout(request: Request) -> JSONResponse:
    get_session(request).logout()
    return JSONResponse(None)


ROUTES = [Route(f"/{view.__name__}", view) for view in (login, write, read, plain, say, shown, logout)]


@pytest.fixture(params=["memory", "sqlite", "cookie"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store | str:
    stores: dict[str, Store | str] = {
        "memory": MemoryStore(),
        "sqlite": f"sqlite:///{tmp_path}/s.db",
        "cookie": "cookie:",
    }
    return stores[request.param]


def browser(store: Store | str, like: SessionClient | None = None, **settings: Any) -> SessionClient:
    """Return a browser at one release of an application; it has the cookies of another browser."""
    settings = {name: value for name, value in settings.items() if value is not None}
    manager = SessionManager(store, secret=SECRET, dev=False, **settings)
    made = client(Starlette(routes=ROUTES, middleware=[Middleware(SessionMiddleware, manager=manager)]))
    if like is not None:
        for cookie in like.cookies.jar:
            made.cookies.jar.set_cookie(cookie)
    return made


# -- the tick box


def test_only_a_remembered_login_survives_the_closing_of_the_browser(store: Store | str) -> None:
    """With ``persistent="remembered"`` the cookie has a Max-Age after ``login(..., remember=True)`` and else none."""
    with browser(store, cookie=CookiePolicy(persistent="remembered")) as shop:
        for path in ("/write", "/login"):
            assert "Max-Age" not in shop.get(path).headers["set-cookie"]
        assert "Max-Age=2592000" in shop.get("/login?remember").headers["set-cookie"]
        again = shop.get("/write").headers.get("set-cookie")
        assert again is None if store != "cookie:" else "Max-Age" in str(again)
        shop.get("/logout")
        assert "Max-Age" not in shop.get("/login").headers["set-cookie"]


def test_a_tick_box_that_nobody_has() -> None:
    """Anything but the three values is refused with all of them."""
    with pytest.raises(ConfigurationError, match='give True, False or "remembered"'):
        CookiePolicy(persistent="login")  # type: ignore[arg-type]


# -- attributes that were changed

SID: dict[str, Any] = {"name": "sid"}
RELEASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "stricter": ({}, {"same_site": "strict"}, "SameSite=Strict"),
    "back to the defaults": ({"same_site": "strict"}, {}, "SameSite=Lax"),
    "not persistent": ({}, {"persistent": False}, "SameSite=Lax"),
    "persistent again": ({"persistent": False}, {}, "Max-Age="),
    "domain": ({}, {"domain": "example.com"}, "Domain=example.com"),
    "not for scripts": ({"http_only": False}, {}, "HttpOnly"),
}


@pytest.mark.parametrize("change", RELEASES)
def test_changed_attributes_reach_cookies_that_are_out(store: Store | str, change: str) -> None:
    """The next response to a request that uses the session sends the cookie as it is to be now, and only that one."""
    before, after, mark = RELEASES[change]
    old = browser(store, cookie=CookiePolicy(**SID, **before))
    assert old.get("/login").status_code == 200
    old.get("/write")
    old.get("/read")
    token = {"cookie": f"sid={old.cookies['sid']}"}
    new = browser(store, cookie=CookiePolicy(**SID, **after))
    assert "set-cookie" not in new.get("/plain", headers=token).headers
    answer = new.get("/read", headers=token)
    assert answer.json() == ["ann", 1, False]
    sent = answer.headers.get_list("set-cookie")[0]
    assert sent.startswith("sid=")
    assert mark in sent
    assert ("Max-Age" in sent) is (after.get("persistent") is not False)
    token = {"cookie": sent.partition(";")[0]}
    assert "set-cookie" not in new.get("/read", headers=token).headers
    assert new.get("/write", headers=token).json() == 2


def test_a_cookie_under_the_former_path_is_deleted(store: Store | str) -> None:
    """After a change of path the browser ends up with one cookie."""
    old = browser(store, cookie=CookiePolicy(**SID))
    old.get("/login")
    new = browser(store, like=old, cookie=CookiePolicy(**SID, path="/read"))
    assert new.get("/read").json()[0] == "ann"
    assert [(cookie.name, cookie.path) for cookie in new.cookies.jar] == [("sid", "/read")]
    assert new.get("/read").json()[0] == "ann"


def test_nothing_is_noted_of_the_default_attributes() -> None:
    """Records of an application that changes nothing are as short as before; a token in a header has no attributes."""
    same_site = CookiePolicy(same_site="strict")
    cases: list[dict[str, Any]] = [
        {},
        {"cookie": same_site, "transport": HeaderTransport("x-session")},
        {"cookie": same_site},
    ]
    for settings in cases:
        store = MemoryStore()
        browser(store, **settings).get("/write")
        (record,) = store._records.values()
        assert (b"cookie" in record.payload) is (settings == {"cookie": same_site})


# -- pages that nobody has asked for yet


@pytest.mark.parametrize(
    "header",
    [
        {"Sec-Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X-Purpose": "preview"},
        {"X-Moz": "prefetch"},
    ],
    ids=str,
)
def test_a_prefetch_eats_no_message(store: Store | str, header: dict[str, str]) -> None:
    """A page that the browser fetches in advance shows no flash; the page that the visitor opens does."""
    with browser(store) as shop:
        shop.get("/say")
        ahead = shop.get("/shown", headers=header)
        assert (ahead.json(), ahead.headers["vary"]) == ([], "Cookie")
        assert shop.get("/shown").json() == ["saved"]
        assert shop.get("/shown").json() == []


# -- what else a browser forgets


def test_a_logout_can_clear_what_the_site_left_in_the_browser(store: Store | str) -> None:
    """``clear_site_data`` adds the header to the response that deletes the cookie, and to no other."""
    cookie = CookiePolicy(clear_site_data=["cache", "storage"])
    with browser(store, cookie=cookie) as shop:
        answers = [shop.get(path) for path in ("/logout", "/login", "/read", "/logout", "/logout")]
    assert [answer.headers.get("clear-site-data") for answer in answers] == [
        None,
        None,
        None,
        '"cache", "storage"',
        None,
    ]
    assert "Max-Age=0" in answers[3].headers["set-cookie"]


def test_a_header_session_clears_the_site_too() -> None:
    """Where the token travels in a header, the logout has no cookie to delete and says the rest."""
    settings: dict[str, Any] = {
        "cookie": CookiePolicy(clear_site_data=("*",)),
        "transport": HeaderTransport("x-session"),
    }
    with browser(MemoryStore(), **settings) as app:
        token = {"x-session": app.get("/login").headers["x-session"]}
        assert app.get("/logout", headers=token).headers["clear-site-data"] == '"*"'


@pytest.mark.parametrize("given", ["cache", ("cookie",), 5])
def test_what_cannot_be_cleared(given: Any) -> None:
    """One string, a word that browsers do not know, and no list at all are refused."""
    with pytest.raises(ConfigurationError, match="clear_site_data"):
        CookiePolicy(clear_site_data=given)


def test_a_ceiling_for_cookie_sessions() -> None:
    """Where a proxy has little room for headers, a session over the ceiling is an error that names its keys."""

    async def fill(request: Request) -> JSONResponse:
        get_session(request)["cart"] = "tea" * int(request.query_params["n"])
        return JSONResponse(None)

    for limit, fits in ((4096, 800), (1024, 150)):
        manager = SessionManager("cookie:", secret=SECRET, cookie=CookiePolicy(max_size=limit), dev=False)
        app = Starlette(routes=[Route("/", fill)], middleware=[Middleware(SessionMiddleware, manager=manager)])
        with client(app) as shop:
            assert shop.get("/", params={"n": fits}).status_code == 200
            with pytest.raises(CookieTooLarge, match="'cart'") as caught:
                shop.get("/", params={"n": 2 * fits})
            assert caught.value.limit == limit
    with pytest.raises(ConfigurationError, match="512 to 4096"):
        CookiePolicy(max_size=8192)
