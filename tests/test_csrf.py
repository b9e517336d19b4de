"""Forms of other sites are refused, and those of the application's own pages go through."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from holdfast import ConfigurationError, SessionManager, SessionPolicy
from holdfast._core.keyring import generate_secret
from holdfast.adapters.starlette import SessionMiddleware, get_session
from holdfast.csrf import CSRFMiddleware, csrf_token
from holdfast.testing import FakeClock, SessionClient, async_client, client
from holdfast.transports import HeaderTransport

HEADER = "X-CSRF-Token"


async def form(request: Request) -> Response:
    return PlainTextResponse(csrf_token(request))


async def plain(request: Request) -> Response:
    return PlainTextResponse("no form here")


async def change(request: Request) -> Response:
    get_session(request).increment("changes")
    return PlainTextResponse("changed")


async def echo(request: Request) -> Response:
    texts = {}
    async with request.form() as sent:
        for name, value in sent.items():
            texts[name] = value if isinstance(value, str) else (await value.read()).decode()
    return JSONResponse(texts)


async def length(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def login(request: Request) -> Response:
    get_session(request).login("ann")
    return PlainTextResponse(csrf_token(request))


async def login_by_key(request: Request) -> Response:
    get_session(request)["user_id"] = 7
    return PlainTextResponse(csrf_token(request))


async def regenerate(request: Request) -> Response:
    get_session(request).regenerate()
    return PlainTextResponse("new id")


async def login_and_save(request: Request) -> Response:
    session = get_session(request)
    session.login("ann")
    await session.save()
    return PlainTextResponse("saved")


async def logout(request: Request) -> Response:
    get_session(request).logout()
    return PlainTextResponse("bye")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("welcome")
    await websocket.close()


def build(manager: SessionManager | str = "memory:", **settings: Any) -> Starlette:
    """Return an application with a form and some ways to send it."""
    posts = (change, echo, length, login, login_by_key, regenerate, login_and_save, logout)
    return Starlette(
        routes=[
            Route("/form", form),
            Route("/plain", plain),
            *(Route(f"/{handler.__name__}", handler, methods=["GET", "POST", "PUT", "DELETE"]) for handler in posts),
            Route("/hooks/payment", plain, methods=["POST"]),
            WebSocketRoute("/socket", socket),
        ],
        middleware=[Middleware(SessionMiddleware, manager), Middleware(CSRFMiddleware, **settings)],
    )


@pytest.fixture
def browser() -> Iterator[SessionClient]:
    """Return a browser on the application."""
    with client(build()) as visitor:
        yield visitor


def token_of(browser: SessionClient) -> str:
    """Return the token in the form that the browser was shown."""
    return browser.get("/form").text


def post(browser: SessionClient, path: str, token: str, **headers: str) -> int:
    """Send a request with a token; return the status."""
    return browser.post(path, headers={HEADER: token, **headers}).status_code


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
    app = Starlette(
        routes=[Route("/form", form), Route("/plain", plain, methods=["POST"])],
        middleware=[Middleware(SessionMiddleware, "memory:", lazy=True), Middleware(CSRFMiddleware)],
    )
    with client(app) as browser:
        assert post(browser, "/plain", token_of(browser)) == 200
        assert browser.post("/plain").status_code == 403


def test_token_of_a_session_or_a_scope(browser: SessionClient) -> None:
    """A test may ask for a token of the session that it seeds."""
    with browser.session() as session:
        token = csrf_token(session)
    assert post(browser, "/change", token) == 200


# -- forms


def test_token_in_a_form_field(browser: SessionClient) -> None:
    """The token may be a field of the form, and the handler gets the form whole."""
    sent = {"csrf_token": token_of(browser), "name": "Ann & Bob", "text": "ü" * 5000}
    answer = browser.post("/echo", data=sent)
    assert answer.status_code == 200
    assert answer.json() == sent


def test_token_in_a_multipart_form(browser: SessionClient) -> None:
    """The same in a form that uploads a file, before the field or behind it."""
    token = token_of(browser)
    for fields in (
        [("csrf_token", (None, token)), ("file", ("a.txt", "content"))],
        [("file", ("a.txt", "content")), ("csrf_token", (None, token))],
    ):
        answer = browser.post("/echo", files=fields)
        assert answer.status_code == 200
        assert answer.json() == {"csrf_token": token, "file": "content"}


def test_wrong_token_in_a_form_field(browser: SessionClient) -> None:
    """A form with another token, or none, is refused."""
    token_of(browser)
    assert browser.post("/echo", data={"csrf_token": "wrong"}).status_code == 403
    assert browser.post("/echo", data={"name": "Ann"}).status_code == 403


def test_a_file_is_no_token(browser: SessionClient) -> None:
    """An uploaded file under the field's name is not the token."""
    assert browser.post("/echo", files={"csrf_token": ("a.txt", token_of(browser))}).status_code == 403


def test_only_as_much_is_read_as_the_token_needs() -> None:
    """A large upload behind the token is not collected in memory before the handler sees it."""
    pulled: list[int] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def counting() -> Any:
            message = await receive()
            pulled.append(len(message.get("body", b"")))
            return message

        await app(scope, counting, send)

    async def upload(request: Request) -> Response:
        before = len(pulled)
        total = 0
        async for chunk in request.stream():
            total += len(chunk)
        return JSONResponse([before, total])

    app = Starlette(
        routes=[Route("/form", form), Route("/upload", upload, methods=["POST"])],
        middleware=[Middleware(SessionMiddleware, "memory:"), Middleware(CSRFMiddleware)],
    )

    async def run() -> None:
        async with async_client(watched) as browser:
            token = (await browser.get("/form")).text
            pulled.clear()
            head = f'--x\r\ncontent-disposition: form-data; name="csrf_token"\r\n\r\n{token}\r\n--x\r\n'.encode()
            chunk = b"z" * 65_536

            async def body() -> AsyncIterator[bytes]:
                yield head + b'content-disposition: form-data; name="f"; filename="f"\r\n\r\n'
                for _ in range(40):
                    yield chunk
                yield b"\r\n--x--\r\n"

            answer = await browser.post(
                "/upload", content=body(), headers={"content-type": "multipart/form-data; boundary=x"}
            )
            before, total = answer.json()
            assert before == 1
            assert total > 40 * 65_536

    asyncio.run(run())


def test_a_token_far_behind_is_not_looked_for() -> None:
    """The search for the field ends after ``max_form`` bytes."""
    with client(build(max_form=1000)) as browser:
        token = token_of(browser)
        assert browser.post("/echo", data={"csrf_token": token, "text": "a" * 2000}).status_code == 200
        assert browser.post("/echo", data={"text": "a" * 2000, "csrf_token": token}).status_code == 403


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"not what it says"),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense"),
        ("multipart/form-data; boundary=" + "x" * 500, b"--x\r\n"),
        ("application/x-www-form-urlencoded", b"%%%=&&&;=\xff\x00"),
        ("application/x-www-form-urlencoded", b"csrf_token=%ff%00"),
        ("application/json", b'{"csrf_token": "x"}'),
    ],
)
def test_malformed_forms(browser: SessionClient, kind: str, body: bytes) -> None:
    """A body that is no form carries no token, and is never an error of the server."""
    token_of(browser)
    assert browser.post("/echo", content=body, headers={"content-type": kind}).status_code == 403


def test_a_header_leaves_the_body_alone(browser: SessionClient) -> None:
    """With the token in the header the body is not touched."""
    answer = browser.post("/length", content=b"x" * 100_000, headers={HEADER: token_of(browser)})
    assert answer.text == "100000"


def test_names_of_your_own() -> None:
    """Header and field have the names that were set."""
    with client(build(header="X-XSRF", field="_token")) as browser:
        token = token_of(browser)
        assert browser.post("/change", headers={"X-XSRF": token}).status_code == 200
        assert browser.post("/echo", data={"_token": token}).status_code == 200
        assert browser.post("/change", headers={HEADER: token}).status_code == 403


# -- where it comes from


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # a program
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "same-site"}, 403),  # a neighbouring subdomain
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, 200),
        ({"origin": "https://testserver"}, 200),
        ({"origin": "https://testserver:443"}, 200),
        ({"origin": "https://TESTSERVER"}, 200),
        ({"origin": "http://testserver"}, 403),  # somebody between the browser and the server
        ({"origin": "https://testserver:8443"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "https://testserver.evil.example"}, 403),
        ({"origin": "https://evil.example/testserver"}, 403),
        ({"origin": "https://testserver@evil.example"}, 403),
        ({"origin": "https://testserver:x"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
    ],
)
def test_origin(browser: SessionClient, headers: dict[str, str], status: int) -> None:
    """A form of another site is refused even with the right token."""
    assert post(browser, "/change", token_of(browser), **headers) == status


def test_trusted_origins() -> None:
    """Pages of a listed origin may send requests, with a token."""
    with client(build(trusted_origins=["https://admin.example"])) as browser:
        token = token_of(browser)
        from_there = {"origin": "https://admin.example", "sec-fetch-site": "cross-site"}
        assert post(browser, "/change", token, **from_there) == 200
        assert post(browser, "/change", "", **from_there) == 403
        assert post(browser, "/change", token, origin="https://other.example") == 403


def test_websocket_of_another_site(browser: SessionClient) -> None:
    """A page of another site cannot open a WebSocket with the visitor's session."""
    with pytest.raises(WebSocketDisconnect):
        with browser.websocket_connect("/socket", headers={"origin": "https://evil.example"}):
            pass
    with browser.websocket_connect("/socket", headers={"origin": "https://testserver"}) as welcome:
        assert welcome.receive_text() == "welcome"


# -- what is not checked


def test_exempt_paths() -> None:
    """A path that proves its callers otherwise is left alone, and all below it."""
    with client(build(exempt=["/hooks"])) as browser:
        assert browser.post("/hooks/payment", headers={"origin": "https://pay.example"}).status_code == 200
        assert browser.post("/change").status_code == 403


def test_sessions_in_a_header_need_no_token() -> None:
    """What no browser sends by itself cannot be abused by another site."""
    with client(build(SessionManager("memory:", transport=HeaderTransport()))) as program:
        assert program.post("/change").status_code == 200


# -- settings


def test_outside_of_the_session_middleware() -> None:
    """In the wrong order nothing is let through; the error says what to do."""
    app = Starlette(
        routes=[Route("/change", change, methods=["POST"])],
        middleware=[Middleware(CSRFMiddleware), Middleware(SessionMiddleware, "memory:")],
    )
    with client(app) as browser, pytest.raises(ConfigurationError, match="around CSRFMiddleware"):
        browser.post("/change")


@pytest.mark.parametrize(
    "settings",
    [
        {"trusted_origins": "https://a.example"},
        {"trusted_origins": ["a.example"]},
        {"trusted_origins": ["https://a.example/path"]},
        {"exempt": "/hooks"},
        {"exempt": ["hooks"]},
        {"header": "X CSRF"},
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any]) -> None:
    """A setting that cannot work is refused at construction."""
    with pytest.raises(ConfigurationError):
        CSRFMiddleware(build(), **settings)


def test_refusals_are_logged_without_the_token(browser: SessionClient, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what was refused and why, and holds no token."""
    token = token_of(browser)
    with caplog.at_level(logging.WARNING, "holdfast"):
        post(browser, "/change", token[:-1])
    assert "/change" in caplog.text
    assert token[:20] not in caplog.text


def test_no_token_lies_in_the_store(tmp_path: Path) -> None:
    """What the store holds is not what a form carries."""
    manager = SessionManager(f"sqlite:///{tmp_path}/sessions.db")
    with client(build(manager)) as browser:
        token = token_of(browser)
    assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
