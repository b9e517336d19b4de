"""What FastMVC's page says in passing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from fastapi import FastAPI, Request

from limpet.adapters.fastmvc import CSRFMiddleware, SessionConfig, SessionMiddleware, csrf_token
from limpet.stores.memory import MemoryStore
from limpet.testing import client
from tests.bare import run_with_only
from tests.kept import sessions_of

SECRET = "Jd8sLq2Vx0ZpW7mTc5RbYh3NkGf9UaE1iXoQ6vBt4wM"

PROGRAM = """
import asyncio
from fastapi import FastAPI, Request
from limpet.adapters.fastmvc import SessionMiddleware

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="Jd8sLq2Vx0ZpW7mTc5RbYh3NkGf9UaE1iXoQ6vBt4wM", store="memory:")

@app.get("/")
async def visit(request: Request):
    request.state.session.set("a", 1)

async def main():
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "https",
             "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "", "headers": [], "server": ("a.b", 443)}
    async def receive():
        return {"type": "http.request", "body": b""}
    async def send(message):
        if message["type"] == "http.response.start":
            print(message["status"], [name.decode() for name, value in message["headers"] if name == b"set-cookie"])
    await app(scope, receive, send)

asyncio.run(main())
"""


def test_p_21_no_further_dependencies() -> None:
    """With FastAPI and nothing else installed, the middleware serves a session."""
    assert run_with_only("fastapi", PROGRAM) == "200 ['set-cookie']"


@pytest.mark.parametrize("secret", ["secret", "your-secret-key", "your-secret-key-min-32-chars-long"])
def test_p_22_secrets_as_printed(secret: str, caplog: pytest.LogCaptureFixture) -> None:
    """A secret as short as pages print it works, with one warning that says how to make a good one."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, config=SessionConfig(secret_key=secret), store="memory:")

    @app.get("/")
    async def visits(request: Request) -> Any:
        return request.state.session.increment("visits")

    with caplog.at_level(logging.WARNING, "limpet"), client(app) as browser:
        assert [browser.get("/").json() for _ in range(2)] == [1, 2]
    notes = [record.getMessage() for record in caplog.records if record.name == "limpet"]
    assert len(notes) == 1
    assert "limpet keygen" in notes[0]
    assert secret not in notes[0].replace("secret_key", "").replace("LIMPET_SECRET", "").replace("secret 1 of 1", "")


def test_p_22_a_good_secret_is_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    """A random secret of 32 bytes causes no word."""
    SessionConfig(secret_key=SECRET).keyring()
    assert [record for record in caplog.records if record.name == "limpet"] == []


def test_p_23_clear_ends_the_session() -> None:
    """``clear`` deletes the row from the store and the cookie from the browser; a replayed cookie is nobody's."""
    store = MemoryStore()
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=store)

    @app.get("/set")
    async def put(request: Request) -> None:
        request.state.session.set("a", 1)

    @app.get("/clear")
    async def clear(request: Request, then: bool = False) -> None:
        request.state.session.clear()
        if then:
            request.state.session.set("b", 2)

    @app.get("/keys")
    async def keys(request: Request) -> list[str]:
        return list(request.state.session)

    with client(app) as browser:
        browser.get("/set")
        token = browser.cookies["session_id"]
        answer = browser.get("/clear")
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert "session_id" not in browser.cookies
        assert asyncio.run(sessions_of(store)) == []
        assert browser.get("/keys", headers={"cookie": f"session_id={token}"}).json() == []
        browser.get("/set")
        before = browser.cookies["session_id"]
        browser.get("/clear?then=1")
        assert browser.get("/keys").json() == ["b"]
        assert browser.cookies["session_id"] != before
        assert len(asyncio.run(sessions_of(store))) == 1


def test_p_24_tokens_belong_to_the_session() -> None:
    """A token of one session is refused in another, and one from before ``regenerate`` in the session itself."""
    app = FastAPI()
    app.add_middleware(CSRFMiddleware)
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store="memory:")

    @app.get("/form")
    async def form(request: Request) -> str:
        return csrf_token(request)

    @app.post("/send")
    async def send() -> str:
        return "sent"

    @app.post("/regenerate")
    async def regenerate(request: Request) -> None:
        request.state.session.regenerate()

    with client(app) as ann, client(app) as bob:
        hers, his = ann.get("/form").json(), bob.get("/form").json()
        assert ann.post("/send", headers={"x-csrf-token": his}).status_code == 403
        assert ann.post("/send", headers={"x-csrf-token": hers}).status_code == 200
        assert ann.post("/regenerate", headers={"x-csrf-token": hers}).status_code == 200
        assert ann.post("/send", headers={"x-csrf-token": hers}).status_code == 403
        assert ann.post("/send", headers={"x-csrf-token": ann.get("/form").json()}).status_code == 200
        assert bob.post("/send", headers={"x-csrf-token": his}).status_code == 200
