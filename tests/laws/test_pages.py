"""What applications do around their sessions, with the middleware of the frameworks: nothing of it goes astray."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as PlainSessions
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from limpet import CookiePolicy, Session, SessionManager
from limpet.adapters.starlette import SessionMiddleware
from limpet.csrf import CSRFMiddleware
from limpet.testing import async_client, client
from limpet.transports import HeaderTransport
from tests.laws.conftest import SETUPS
from tests.laws.farm import Farm
from tests.site import Browser, items, look

WITH_COOKIES = [(kind, setup) for kind, setup in SETUPS if setup != "header"]
"""Where a browser sends by itself what says whose the session is."""


def _session(connection: Request | WebSocket) -> Session:
    found: Session = connection.scope["session"]
    return found


# -- a change inside of the user is no login


TOKENS: dict[str, tuple[Any, Callable[[Session], Any]]] = {
    "refreshed token": ({"name": "ann", "token": 1}, lambda session: session["user"].update(token=2)),
    "put anew": ({"name": "ann", "token": 1}, lambda session: session.update(user={"name": "ann", "token": 2})),
    "list": (["ann", 1], lambda session: session["user"].append(2)),
    "nested": ({"oauth": {"token": 1}}, lambda session: session["user"]["oauth"].update(token=2)),
}


@pytest.mark.parametrize("kind", TOKENS)
async def test_a_refreshed_token_inside_of_the_user_changes_no_id(any_site: Farm, kind: str) -> None:
    """Six requests leave with one cookie; the first refreshes the user's token, and all others know the user."""
    user, refresh = TOKENS[kind]
    shop, other = any_site.worker(), any_site.worker()
    browser = await any_site.browser().begin(shop, user=user)
    tabs = [browser.copy() for _ in range(5)]
    before = browser.ids
    answer = await browser.ask(shop, refresh)
    assert (answer.status, answer.cookies, browser.ids) == (200, [], before)
    assert [("user" in (await tab.ask(other, items)).result) for tab in tabs] == [True] * 5


APPEAR: dict[str, Callable[[Session], Any]] = {
    "another scalar": lambda session: session.update(user_id=8),
    "goes": lambda session: session.pop("user_id"),
    "a dict in its place": lambda session: session.update(user_id={"id": 8}),
}


@pytest.mark.parametrize("change", APPEAR)
async def test_another_identity_changes_the_id(any_site: Farm, change: str) -> None:
    """When the key of the user appears, goes, or its scalar differs, the id changes and the old one is dead."""
    shop = any_site.worker()
    browser = await any_site.browser().begin(shop, cart=["tea"])
    anonymous = browser.copy()
    await browser.ask(shop, lambda session: session.update(user_id=7))
    seven = browser.copy()
    assert seven.ids != anonymous.ids
    await browser.ask(shop, APPEAR[change])
    assert browser.ids != seven.ids
    for old in (anonymous, seven):
        assert (await old.ask(shop, items)).result == {}
    assert (await browser.ask(shop, lambda session: session["cart"])).result == ["tea"]


# -- a request from another site


CROSS = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "origin": "https://bank.example"}
OLD_BROWSER = {"origin": "https://bank.example"}
WRITES: dict[str, Callable[[Session], Any]] = {
    "flash": lambda session: session.flash("Payment received"),
    "key": lambda session: session.update(paid=True),
    "increment": lambda session: session.increment("n"),
    "nested": lambda session: session.setdefault("log", []).append("paid"),
}


@pytest.mark.parametrize("headers", [CROSS, OLD_BROWSER], ids=["fetch metadata", "origin only"])
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("any_site", WITH_COOKIES, indirect=True, ids="-".join)
async def test_a_post_from_another_site_without_the_cookie_keeps_the_browser_logged_in(
    any_site: Farm, write: str, headers: dict[str, str]
) -> None:
    """The bank's POST comes without the Lax cookie: its answer sets no cookie that would overwrite the user's."""
    shop = any_site.worker()
    ann = await any_site.browser().login(shop)
    without = any_site.browser()
    answer = await without.ask(shop, WRITES[write], headers=headers)
    assert (answer.status, answer.cookies) == (200, [])
    ann.take_from(without)
    assert (await ann.ask(shop, look)).result == "ann"


@pytest.mark.parametrize("headers", [CROSS, OLD_BROWSER], ids=["fetch metadata", "origin only"])
@pytest.mark.parametrize("kind", ["cookie", "partitioned cookie", "cookie session", "header"])
async def test_a_first_post_from_another_site_begins_a_session_that_travels(
    site: Farm, kind: str, headers: dict[str, str]
) -> None:
    """Nothing was left out there: a cookie with SameSite=None would have come along, and a header is the page's own."""
    settings: dict[str, Any] = {"cookie": CookiePolicy(same_site="none", partitioned=kind == "partitioned cookie")}
    if kind == "header":
        settings = {"transport": HeaderTransport()}
    if kind == "cookie session":
        settings |= {"store": "cookie:", "secret": "one secret of all workers, long enough 0123456789"}
    shop = site.worker(**settings)
    browser = Browser(header="X-Session-ID" if kind == "header" else None)
    assert (await browser.ask(shop, lambda session: session.update(cart=["tea"]), headers=headers)).status == 200
    answer = await browser.ask(shop, lambda session: session["cart"].append("milk"), headers=headers)
    assert answer.status == 200
    assert (await browser.ask(shop, items)).result == {"cart": ["tea", "milk"]}
    assert "WriteDropped" not in shop.names()


async def test_an_application_can_ask_for_an_id_all_the_same(site: Farm) -> None:
    """A login in such a request (OIDC with ``form_post``) is asked for, and hands out its cookie."""
    shop = site.worker()
    browser = site.browser()
    answer = await browser.ask(shop, lambda session: session.login("ann"), headers=CROSS)
    assert len(answer.cookies) == 1
    assert (await browser.ask(shop, look)).result == "ann"


async def test_a_post_of_the_own_site_begins_a_session(site: Farm) -> None:
    """Requests of the site itself, and those that follow a link, are as before."""
    shop = site.worker()
    for headers in ({"sec-fetch-site": "same-origin"}, {"origin": "https://shop.example"}, {}):
        answer = await site.browser().ask(shop, lambda session: session.update(cart=1), headers=headers)
        assert len(answer.cookies) == 1
    answer = await site.browser().ask(shop, lambda session: session.update(cart=1), headers=CROSS, method="GET")
    assert len(answer.cookies) == 1


# -- paths below a root


@pytest.mark.parametrize("root", ["", "/app", "/hooks", "/health"])
def test_excluded_and_exempt_paths_are_those_that_the_application_routes(root: str) -> None:
    """Behind ``--root-path`` or a mount, ``exclude`` and ``exempt`` mean the application's own paths, and only them."""

    async def health(request: Request) -> JSONResponse:
        return JSONResponse("session" in request.scope)

    async def post(request: Request) -> PlainTextResponse:
        return PlainTextResponse("done")

    inner = Starlette(
        routes=[
            Route("/health", health),
            Route("/other", health),
            Route("/hooks/pay", post, methods=["POST"]),
            Route("/transfer", post, methods=["POST"]),
        ],
        middleware=[
            Middleware(SessionMiddleware, manager=SessionManager("memory:", dev=False), exclude=("/health",)),
            Middleware(CSRFMiddleware, exempt=["/hooks"]),
        ],
    )

    async def behind_prefix(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":  # as uvicorn does it
            scope = {**scope, "root_path": root, "path": root + scope["path"]}
        await inner(scope, receive, send)

    mounted = Starlette(routes=[Mount(root, app=inner)])
    foreign = {"sec-fetch-site": "cross-site"}
    for app, prefix in ((behind_prefix, ""), (mounted, root)):
        with client(app, manager=SessionManager("memory:", dev=False)) as browser:
            assert browser.get(f"{prefix}/health").json() is False
            assert browser.get(f"{prefix}/other").json() is True
            assert browser.post(f"{prefix}/hooks/pay", headers=foreign).status_code == 200
            assert browser.post(f"{prefix}/transfer", headers=foreign).status_code == 403


# -- what is in the scope, and cookies of neighbours


def test_middleware_outside_sees_what_the_endpoint_put_into_the_state() -> None:
    """``request.state`` is one for the middleware outside of the sessions and for what is inside."""

    async def home(request: Request) -> PlainTextResponse:
        request.state.user = "ann"
        return PlainTextResponse(str(request.state.started))

    app = SessionMiddleware(Starlette(routes=[Route("/", home)]), SessionManager("memory:", dev=False))
    seen: list[Any] = []

    async def outside(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["state"] = {**scope.get("state", {}), "started": 1.0}
        await app(scope, receive, send)
        if scope["type"] == "http":
            seen.append(scope["state"].get("user"))

    with client(outside, manager=app.manager) as browser:
        assert browser.get("/").text == "1.0"
        assert browser.get("/").text == "1.0"
    assert seen == ["ann", "ann"]


@pytest.mark.parametrize("dev", [False, True], ids=["production", "development"])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_a_mounted_application_with_plain_sessions_keeps_its_own(dev: bool, caplog: pytest.LogCaptureFixture) -> None:
    """One inside that uses Starlette's sessions, and ours around it, keep their cookies; one warning names it."""

    async def page(request: Request) -> JSONResponse:
        request.session["n"] = request.session.get("n", 0) + 1
        return JSONResponse(request.session["n"])

    async def login(request: Request) -> JSONResponse:
        request.session["user"] = "ann"
        return JSONResponse(None)

    async def me(request: Request) -> JSONResponse:
        return JSONResponse(request.session.get("user"))

    inner = Starlette(routes=[Route("/page", page)], middleware=[Middleware(PlainSessions, secret_key="k" * 40)])
    manager = SessionManager("memory:", dev=dev)
    app = Starlette(
        routes=[Mount("/inner", app=inner), Route("/login", login), Route("/me", me)],
        middleware=[Middleware(SessionMiddleware, manager=manager)],
    )
    with client(app) as browser:
        got = [browser.get(path).json() for path in ("/inner/page", "/login", "/inner/page", "/me", "/inner/page")]
        names = {cookie.name for cookie in browser.cookies.jar}
    assert got == [1, None, 2, "ann", 3]
    [told] = [message for message in caplog.messages if "an inner session middleware hides this one" in message]
    assert "starlette.middleware.sessions" in told or "builtins.dict" in told
    assert names == {"session", manager.cookie_name}
    assert manager.cookie_name != "session"


# -- error pages


async def _sorry(request: Request, error: Exception) -> PlainTextResponse:
    shown = [flash.message for flash in _session(request).flashes()]
    _session(request).flash("We are sorry")
    return PlainTextResponse(f"Sorry! {shown}", 500)


async def _away(request: Request, error: Exception) -> RedirectResponse:
    _session(request).flash("That went wrong")
    return RedirectResponse("/")


@pytest.mark.parametrize("url", ["memory:", "cookie:", "cookie:signed"])
@pytest.mark.parametrize("visited", [False, True], ids=["new visitor", "with a session"])
def test_a_page_for_errors_may_show_and_set_flashes(url: str, visited: bool) -> None:
    """The handler for ``Exception`` reads and writes messages, and its page or redirect reaches the browser."""

    async def save(request: Request) -> PlainTextResponse:
        _session(request).flash("Saved")
        return PlainTextResponse("")

    async def boom(request: Request) -> PlainTextResponse:
        raise RuntimeError("the real error")

    for handler, status in ((_sorry, 500), (_away, 307)):
        secret = "one secret of all workers, long enough 0123456789"
        app = Starlette(
            routes=[Route("/save", save), Route("/boom", boom)],
            middleware=[Middleware(SessionMiddleware, manager=SessionManager(url, secret=secret, dev=False))],
            exception_handlers={Exception: handler},
        )
        with client(app, raise_server_exceptions=False, follow_redirects=False) as browser:
            if visited:
                browser.get("/save")
            answer = browser.get("/boom")
            assert answer.status_code == status
            if handler is _sorry:
                assert answer.text == f"Sorry! {['Saved'] if visited else []}"
    with pytest.raises(RuntimeError, match="the real error"):
        client(app).get("/boom")


# -- WebSockets


STORES = ["memory:", "cookie:", "cookie:signed"]


@pytest.mark.parametrize("known", [False, True], ids=["new visitor", "with a session"])
@pytest.mark.parametrize("how", ["close", "http answer"])
@pytest.mark.parametrize("url", STORES)
async def test_a_socket_that_is_refused_after_a_write_is_refused(url: str, how: str, known: bool) -> None:
    """The refusal goes out as the application said it; what cannot be kept is dropped with an event."""

    async def endpoint(socket: WebSocket) -> None:
        socket.session["next"] = "/chat"
        if how == "close":
            await socket.close(code=4401)
        else:
            await socket.send_denial_response(PlainTextResponse("log in first", 401))

    manager = SessionManager(url, secret="one secret of all workers, long enough 0123456789", dev=False)
    heard: list[str] = []
    manager.listen(lambda event: heard.append(type(event).__name__))
    app = SessionMiddleware(Starlette(routes=[WebSocketRoute("/", endpoint)]), manager)
    sent: list[Any] = []
    headers = []
    if known:
        session = manager.begin([])
        session["begun"] = True
        await manager.commit(session)
        header = manager.header(session)
        assert header is not None
        headers = [(b"cookie", header[1].split(b";")[0])]
        heard.clear()

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": headers,
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        "state": {},
    }
    await app(scope, receive, send)
    first = sent[0]
    if how == "close":
        assert (first["type"], first["code"]) == ("websocket.close", 4401)
    else:
        assert (first["type"], first["status"]) == ("websocket.http.response.start", 401)
    if not (known and url == "memory:"):
        assert "WriteDropped" in heard or any(name == b"set-cookie" for name, _ in first.get("headers", ()))


@pytest.mark.parametrize("how", ["refresh", "save", "is_live", "nothing"])
async def test_a_socket_of_an_ended_session_is_closed_in_time(site: Farm, how: str) -> None:
    """``close_sockets`` closes it whether or not its handler has seen the end itself by then."""
    manager = site.worker(cookie=CookiePolicy(name="sid")).manager

    async def page(request: Request) -> PlainTextResponse:
        if request.url.path == "/login":
            _session(request).login("ann")
        else:
            _session(request).logout()
        return PlainTextResponse("")

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        session = _session(socket)
        async for _ in socket.iter_text():
            if how != "nothing":
                session.get("x")
                await getattr(session, how)()
            await socket.send_text("seen")

    routes = [Route("/login", page), Route("/logout", page), WebSocketRoute("/ws", endpoint)]
    app = SessionMiddleware(Starlette(routes=routes), manager, close_sockets=0.2)
    async with async_client(app) as browser:
        await browser.get("/login")
        async with browser.websocket_connect("/ws") as socket:
            await browser.get("/logout")
            await socket.send("x")
            assert await socket.receive() == "seen"
            with pytest.raises(Exception, match="1008"):
                await asyncio.wait_for(socket.receive(), 4)
