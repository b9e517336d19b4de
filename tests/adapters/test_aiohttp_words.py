"""The aiohttp adapter: how aiohttp answers, and the words of aiohttp-session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import aiohttp_session
import pytest
from aiohttp import CookieJar, WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from limpet import ConfigurationError, SessionManager, StoreUnavailable
from limpet.adapters.aiohttp import csrf_middleware, get_session, new_session, setup
from limpet.refusals import Refusal
from limpet.stores.memory import MemoryStore
from limpet.testing._adapter_site import WatchedStore

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
Browser: TypeAlias = "TestClient[Any, Any]"
Open: TypeAlias = Callable[..., Awaitable[Browser]]


@pytest.fixture
async def browse() -> AsyncIterator[Open]:
    """Return a coroutine function that starts an application and returns a browser."""
    open_ones: list[Browser] = []

    async def browse(app: web.Application) -> Browser:
        browser: Browser = TestClient(TestServer(app), cookie_jar=CookieJar(unsafe=True))
        open_ones.append(browser)
        await browser.start_server()
        return browser

    yield browse
    for browser in open_ones:
        await browser.close()


def site(*pages: tuple[str, Handler], store: Any = "memory:", **settings: Any) -> web.Application:
    """Return an application with sessions for development."""
    app = web.Application()
    setup(app, SessionManager(store, dev=True), **settings)
    for path, handler in pages:
        app.router.add_get(path, handler)
    return app


async def count(request: web.Request) -> web.Response:
    """Count."""
    return web.json_response((await get_session(request)).increment("n"))


async def show(request: web.Request) -> web.Response:
    """Return what the session holds."""
    return web.json_response(dict(await get_session(request)))


async def told(browser: Browser, path: str) -> Any:
    """Return the JSON of a page."""
    answer = await browser.get(path)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_a_raised_answer_saves(browse: Open) -> None:
    """``raise HTTPFound(...)`` is an answer: it saves and carries the cookie; a raised 5xx drops what was written."""

    async def login(request: web.Request) -> web.StreamResponse:
        (await get_session(request)).login("ann")
        raise web.HTTPFound("/who")

    async def who(request: web.Request) -> web.Response:
        session = await get_session(request)
        return web.json_response([session.subject, session.get("half")])

    async def broken(request: web.Request) -> web.StreamResponse:
        (await get_session(request))["half"] = 1
        raise web.HTTPBadGateway

    browser = await browse(site(("/login", login), ("/who", who), ("/broken", broken)))
    assert await told(browser, "/login") == ["ann", None]
    assert (await browser.get("/broken")).status == 502
    assert await told(browser, "/who") == ["ann", None]


async def test_the_words_of_aiohttp_session(browse: Open) -> None:
    """``new``, ``identity``, ``created``, ``empty``, ``max_age``, ``changed()``, ``invalidate()`` and `new_session`."""
    seen: list[Any] = []

    async def words(request: web.Request) -> web.Response:
        session = await get_session(request)
        seen.append((session.new, session.identity is None, session.created is None, session.empty, session.max_age))
        session["list"] = []
        session.max_age = 60
        session.changed()
        return web.Response()

    async def invalidate(request: web.Request) -> web.Response:
        session = await get_session(request)
        seen.append(session.max_age)
        session.invalidate()
        return web.Response()

    async def anew(request: web.Request) -> web.Response:
        session = await new_session(request)
        seen.append((session is await get_session(request), session.empty))
        session["user"] = "ann"
        return web.Response()

    browser = await browse(site(("/words", words), ("/invalidate", invalidate), ("/anew", anew), ("/show", show)))
    await browser.get("/words")
    await browser.get("/words")
    assert seen == [(True, True, True, True, None), (False, False, False, False, 60)]
    answer = await browser.get("/invalidate")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert await told(browser, "/show") == {}
    before = (await browser.get("/words")).cookies["limpet-session"].value
    answer = await browser.get("/anew")
    assert answer.cookies["limpet-session"].value not in ("", before)
    assert await told(browser, "/show") == {"user": "ann"}
    assert seen[-1] == (True, True)


async def test_a_body_that_is_made_while_it_is_sent_may_write(browse: Open) -> None:
    """An asynchronous iterable as the body of a ``web.Response`` writes to the session as a stream does."""

    async def page(request: web.Request) -> web.Response:
        session = await get_session(request)

        async def parts() -> AsyncIterator[bytes]:
            yield b"begun "
            session["late"] = True
            yield b"done"

        return web.Response(body=parts())

    browser = await browse(site(("/page", page), ("/count", count), ("/show", show)))
    await browser.get("/count")
    assert await (await browser.get("/page")).text() == "begun done"
    assert await told(browser, "/show") == {"n": 1, "late": True}


@pytest.mark.parametrize("kind", ["stream", "compressed", "sized"])
async def test_a_stream_whose_session_cannot_be_saved_is_an_error(browse: Open, kind: str) -> None:
    """The save comes before the first byte of a stream: 503 in the application's own words, and no cookie."""
    store = WatchedStore(MemoryStore())
    app = web.Application()

    def refused(refusal: Refusal) -> dict[str, str]:
        return {"reason": refusal.reason}

    setup(app, SessionManager(store, dev=True, on_refused=refused))

    async def stream(request: web.Request) -> web.StreamResponse:
        (await get_session(request))["a"] = 1
        response = web.StreamResponse()
        if kind == "compressed":
            response.enable_compression()
        if kind == "sized":
            response.content_length = 10
        await response.prepare(request)
        await response.write(b"never sent")
        return response

    app.router.add_get("/", stream)
    browser = await browse(app)
    store.writes_down = True
    answer = await browser.get("/")
    assert (answer.status, await answer.json()) == (503, {"reason": "store-unavailable"})
    assert "Set-Cookie" not in answer.headers
    assert "Retry-After" in answer.headers
    store.writes_down = False
    assert await (await browser.get("/")).text() == "never sent"


async def test_a_websocket_is_refused_by_status(browse: Open) -> None:
    """An error of the session before the handshake, or a handler that answers otherwise, is an HTTP response."""

    async def unavailable(request: web.Request) -> web.StreamResponse:
        (await get_session(request))["lost"] = 1
        raise StoreUnavailable(retry_after=7)

    async def answered(request: web.Request) -> web.StreamResponse:
        (await get_session(request))["kept"] = 1
        raise web.HTTPForbidden

    browser = await browse(site(("/unavailable", unavailable), ("/answered", answered), ("/show", show)))
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    answer = await browser.get("/unavailable", headers=upgrade)
    assert (answer.status, answer.headers["Retry-After"], "Set-Cookie" in answer.headers) == (503, "7", False)
    assert "session store" in await answer.text()
    answer = await browser.get("/answered", headers=upgrade)
    assert (answer.status, "Set-Cookie" in answer.headers) == (403, True)
    assert await told(browser, "/show") == {"kept": 1}


async def test_a_websocket_whose_session_ends_is_closed(browse: Open) -> None:
    """With ``close_sockets`` a logout closes the WebSocket with 1008, and what it wrote last is not an error."""

    async def socket(request: web.Request) -> web.WebSocketResponse:
        held = web.WebSocketResponse()
        await held.prepare(request)
        async for message in held:
            await held.send_str(message.data)
        return held

    async def logout(request: web.Request) -> web.Response:
        (await get_session(request)).logout()
        return web.Response()

    pages = ("/socket", socket), ("/count", count), ("/logout", logout)
    browser = await browse(site(*pages, close_sockets=0.05))
    await browser.get("/count")
    async with browser.ws_connect("/socket") as held:
        await held.send_str("there?")
        assert await held.receive_str() == "there?"
        await browser.get("/logout")
        message = await asyncio.wait_for(held.receive(), 30)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)


async def test_two_managers(browse: Open) -> None:
    """A sub-application has sessions of its own beside those of the application around it, or the same ones."""
    app, admin = site(("/count", count)), web.Application()
    own = setup(admin, SessionManager("memory:", dev=True, label="admin"))

    async def both(request: web.Request) -> web.Response:
        mine, outer = await get_session(request, own), await get_session(request, whole)
        assert await get_session(request) is mine
        return web.json_response([mine.increment("n"), outer.increment("n")])

    admin.router.add_get("/both", both)
    app.add_subapp("/admin", admin)
    again = web.Application()
    whole = setup(again, SessionManager("memory:", dev=True))
    again.add_subapp("/all", app)
    inner = web.Application()
    setup(inner, whole)
    inner.router.add_get("/count", count)
    again.add_subapp("/same", inner)
    again.router.add_get("/count", count)
    browser = await browse(again)
    assert await told(browser, "/count") == 1
    assert await told(browser, "/same/count") == 2
    assert await told(browser, "/all/admin/both") == [1, 3]
    assert await told(browser, "/all/admin/both") == [2, 4]


async def test_what_is_no_session_says_so(browse: Open) -> None:
    """A path that is excluded, and an application without `setup`, name the cure."""

    async def page(request: web.Request) -> web.Response:
        with pytest.raises(ConfigurationError, match="call setup"):
            await get_session(request)
        return web.Response(text="fine")

    browser = await browse(site(("/health", page), exclude=("/health",)))
    assert await (await browser.get("/health")).text() == "fine"
    bare = web.Application(middlewares=[csrf_middleware()])
    bare.router.add_get("/", page)
    browser = await browse(bare)
    assert await (await browser.get("/")).text() == "fine"
    assert (await browser.post("/")).status == 500


async def test_an_answer_that_is_none_saves_nothing(browse: Open) -> None:
    """A handler that forgot its answer is a 500 of aiohttp's, and what it wrote is dropped."""

    async def forgets(request: web.Request) -> Any:
        (await get_session(request))["a"] = 1

    browser = await browse(site(("/forgets", forgets), ("/show", show)))
    answer = await browser.get("/forgets")
    assert (answer.status, "Set-Cookie" in answer.headers) == (500, False)
    assert await told(browser, "/show") == {}


async def test_a_client_that_goes_away_loses_nothing(browse: Open) -> None:
    """A handler of a WebSocket that fails because the client has gone has saved what it wrote."""
    over = asyncio.Event()

    async def socket(request: web.Request) -> web.WebSocketResponse:
        session = await get_session(request)
        held = web.WebSocketResponse()
        await held.prepare(request)
        session["last"] = await held.receive_str()
        try:
            await held.receive_str()  # raises: it is no text
        finally:
            asyncio.get_running_loop().call_later(0.01, over.set)
        return held

    browser = await browse(site(("/socket", socket), ("/count", count), ("/show", show)))
    await browser.get("/count")
    async with browser.ws_connect("/socket") as held:
        await held.send_str("words")
    await asyncio.wait_for(over.wait(), 30)
    for _ in range(100):
        if await told(browser, "/show") == {"n": 1, "last": "words"}:
            break
        await asyncio.sleep(0.05)
    assert await told(browser, "/show") == {"n": 1, "last": "words"}


async def test_fifty_at_once(browse: Open) -> None:
    """Fifty requests at once all count, over the store of a URL."""
    browser = await browse(site(("/count", count)))
    await browser.get("/count")
    await asyncio.gather(*(told(browser, "/count") for _ in range(49)))
    assert await told(browser, "/count") == 51


@pytest.mark.filterwarnings("ignore:It is recommended to use web.RequestKey")
async def test_a_package_that_calls_aiohttp_session_gets_this_session(browse: Open) -> None:
    """aiohttp-security, for one, keeps who is logged in where ``aiohttp_session.get_session`` finds it."""

    async def remember(request: web.Request) -> web.Response:
        (await aiohttp_session.get_session(request))["who"] = "ann"
        return web.Response()

    async def anew(request: web.Request) -> web.Response:
        session: Any = await aiohttp_session.new_session(request)
        session["who"] = "bob"
        return web.json_response(session is await get_session(request))

    async def same(request: web.Request) -> web.Response:
        session: Any = await aiohttp_session.get_session(request)
        return web.json_response([session is await get_session(request), dict(session)])

    app = site(("/remember", remember), ("/anew", anew), ("/same", same), ("/show", show))
    inner = web.Application()
    aiohttp_session.setup(inner, aiohttp_session.SimpleCookieStorage())
    inner.router.add_get("/remember", remember)
    app.add_subapp("/inner/", inner)
    browser = await browse(app)
    assert (await browser.get("/inner/remember")).cookies.keys() == {"AIOHTTP_SESSION"}  # which has a storage
    assert await told(browser, "/same") == [True, {}]
    await browser.get("/remember")
    assert await told(browser, "/same") == [True, {"who": "ann"}]
    assert await told(browser, "/anew") is True
    assert await told(browser, "/show") == {"who": "bob"}
