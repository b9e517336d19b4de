"""Where a token may be, where a request may come from, and what is not checked."""

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
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.websockets import WebSocketDisconnect

from limpet import ConfigurationError, SessionManager
from limpet.adapters.starlette import SessionMiddleware
from limpet.csrf import CSRFMiddleware
from limpet.testing import SessionClient, async_client, client
from limpet.transports import HeaderTransport
from tests.csrf_app import HEADER, build, change, form, post, token_of


@pytest.fixture
def browser() -> Iterator[SessionClient]:
    """Return a browser on the application."""
    with client(build()) as visitor:
        yield visitor


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


@pytest.mark.parametrize("field", ["form[token]", "csrf token", "jeton-é", "a+b", "x%41"])
def test_a_name_that_browsers_encode(field: str) -> None:
    """A name with brackets or spaces stands encoded in a form, and as it is in one that uploads files."""
    with client(build(field=field)) as browser:
        token = token_of(browser)
        assert browser.post("/echo", data={field: token}).status_code == 200
        body = f'--x\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{token}\r\n--x--\r\n'
        multipart = {"content-type": "multipart/form-data; boundary=x"}
        assert browser.post("/echo", content=body.encode(), headers=multipart).status_code == 200
        assert browser.post("/echo", data={"other": token}).status_code == 403


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
    with caplog.at_level(logging.WARNING, "limpet"):
        post(browser, "/change", token[:-1])
    assert "/change" in caplog.text
    assert token[:20] not in caplog.text


def test_no_token_lies_in_the_store(tmp_path: Path) -> None:
    """What the store holds is not what a form carries."""
    manager = SessionManager(f"sqlite:///{tmp_path}/sessions.db")
    with client(build(manager)) as browser:
        token = token_of(browser)
    assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
