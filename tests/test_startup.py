"""No store named anywhere in production stops the server, on each kind of server, with a sentence that says why."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

from limpet import ConfigurationError, SessionManager, SessionNotLoaded
from limpet.adapters.fastapi import SessionMiddleware
from limpet.adapters.starlette.middleware.sessions import SessionMiddleware as DropIn
from limpet.asgi import SessionMiddleware as PlainMiddleware
from limpet.asgi import session_in
from limpet.testing import client

PROGRAM = """
from fastapi import FastAPI
from limpet.adapters.fastapi import SessionDep, SessionMiddleware

app = FastAPI()
app.add_middleware(SessionMiddleware{given})


@app.get("/")
async def home(session: SessionDep) -> int:
    return session.increment("n")
"""
ANY = """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the application cannot start: a reason of its own"})
"""
SERVERS = {
    "uvicorn": ("uvicorn --port 0", 3),
    "uvicorn, workers": ("uvicorn --port 0 --workers 2", 0),
    "hypercorn": ("hypercorn --bind 127.0.0.1:0", 0),
    "granian": ("granian --interface asgi --port 21933", 1),
    "gunicorn": ("gunicorn -k uvicorn_worker.UvicornWorker -b 127.0.0.1:0", 3),
}
"""Commands, and the status that each ends with when the start has failed; the page on deploying lists them."""


def _served(program: str, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let a server serve a program that cannot start, with nothing of limpet in its environment, until it ends."""
    (folder / "site_app.py").write_text(program)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIMPET_")}
    name, *options = command.split()
    return subprocess.run(
        [sys.executable, "-m", name, "site_app:app", *options],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("ours", [True, False], ids=["sessions", "any application"])
@pytest.mark.parametrize("server", SERVERS)
def test_a_server_does_not_start_without_a_store(server: str, ours: bool, tmp_path: Path) -> None:
    """It says what is missing and ends, as with any application, in place of serving an error to every visitor."""
    command, status = SERVERS[server]
    done = _served(PROGRAM.format(given="") if ours else ANY, command, tmp_path)
    said = done.stdout + done.stderr
    reason = "no session store is configured. Give SessionManager" if ours else "a reason of its own"
    assert f"the application cannot start: {reason}" in said
    assert done.returncode == status


FAILED_IMPORTS = {"uvicorn": 1, "hypercorn": 0, "granian": 1, "gunicorn": 3}
"""Statuses where a module makes its manager and so cannot be imported; uvicorn with workers does not end at all."""


@pytest.mark.parametrize("server", FAILED_IMPORTS)
def test_a_manager_of_a_module_fails_at_import(server: str, tmp_path: Path) -> None:
    """The last line says what is missing, and the server ends with the status that the page on deploying lists."""
    done = _served("from limpet import SessionManager\n\nmanager = SessionManager()\n", SERVERS[server][0], tmp_path)
    assert "no session store is configured. Give SessionManager" in done.stdout + done.stderr
    assert done.returncode == FAILED_IMPORTS[server]


WRONG: list[Any] = [
    Middleware(SessionMiddleware, manager="mysql://db/app"),
    Middleware(PlainMiddleware, manager="memory:?max=3"),
    Middleware(DropIn, secret_key=None),
]


@pytest.mark.parametrize("middleware", WRONG, ids=["scheme", "option", "no secret"])
async def test_what_a_framework_cannot_make_lets_no_server_start(middleware: Any) -> None:
    """A setting that cannot work is ``lifespan.startup.failed`` with its sentence, and an error for each request."""
    app = Starlette(middleware=[middleware])
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(ConfigurationError) as problem:
        await app({"type": "lifespan", "state": {}}, receive, send)
    assert sent == [{"type": "lifespan.startup.failed", "message": str(problem.value)}]
    with pytest.raises(ConfigurationError):
        await app({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)


def test_outside_of_an_event_loop_it_is_refused_at_once() -> None:
    """Who makes the middleware while the program is imported sees the error there."""
    with pytest.raises(ConfigurationError, match="no scheme"):
        SessionMiddleware(Starlette(), manager="sessions.db")


@pytest.mark.parametrize("visited", [False, True], ids=["new visitor", "with a cookie"])
def test_a_forgotten_load_is_an_error_for_every_visitor(visited: bool) -> None:
    """Under ``lazy`` the session of somebody without a cookie has to be loaded too, which asks no store."""
    loads = True

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        session = session_in(scope)
        if loads:
            await session.load()
        session["n"] = 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    manager = SessionManager("memory:", dev=False)
    with client(PlainMiddleware(app, manager, lazy=True)) as browser:
        if visited:
            assert browser.get("/").status_code == 200
        loads = False
        with pytest.raises(SessionNotLoaded, match=r"await session\.load\(\)"):
            browser.get("/")


TRIO = """
import json
import trio
from limpet import ConfigurationError
from limpet.asgi import SessionMiddleware, session_in

SECRET = "kH7mZ2qN-4tRwXb9Yc1LfVs6DjPg8aUe0oTiQ5"


async def app(scope, receive, send):
    if scope["type"] == "http":
        await trio.sleep(0)
        n = str(session_in(scope).increment("n")).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": n})


async def visit(url, sent, **settings):
    from limpet import SessionManager

    middleware = SessionMiddleware(app, SessionManager(url, secret=SECRET, dev=False), **settings)
    to_app, from_server = trio.open_memory_channel(5)
    async with trio.open_nursery() as nursery:
        started = trio.Event()

        async def send(message):
            sent.append(message["type"])
            started.set()

        async def lifespan():
            try:
                await middleware({"type": "lifespan", "state": {}}, from_server.receive, send)
            except ConfigurationError as problem:
                sent.append(str(problem))
                started.set()

        nursery.start_soon(lifespan)
        await to_app.send({"type": "lifespan.startup"})
        await started.wait()
        await trio.sleep(0.01)
        cookie = []
        for _ in range(3 if "lifespan.startup.complete" in sent else 0):
            async def answer(message):
                for name, value in message.get("headers", ()):
                    if name == b"set-cookie":
                        cookie[:] = [(b"cookie", value.partition(b";")[0])]
                if "body" in message:
                    sent.append(message["body"].decode())

            scope = {"type": "http", "method": "GET", "path": "/", "headers": list(cookie), "state": {}}
            await middleware(scope, None, answer)
        await to_app.send({"type": "lifespan.shutdown"})


for url, settings in (("memory:", {}), ("cookie:", {}), ("sqlite:///s.db", {}), ("memory:", {"close_sockets": 1})):
    sent = []
    trio.run(lambda: visit(url, sent, **settings))
    print(json.dumps(sent))
"""


def test_trio_where_it_can_be(tmp_path: Path) -> None:
    """In memory and in cookies sessions work on trio; what waits for asyncio refuses to start, with a sentence."""
    program = [sys.executable, "-c", TRIO]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    memory, cookie, sqlite, sockets = map(str.strip, done.stdout.splitlines())
    for served in (memory, cookie):
        assert served == '["lifespan.startup.complete", "1", "2", "3", "lifespan.shutdown.complete"]'
    assert sqlite.startswith('["lifespan.startup.failed", "this event loop is trio\'s, where SQLiteStore')
    assert "close_sockets" in sockets


def test_the_loop_that_is_there_is_not_disturbed() -> None:
    """A program on asyncio beside which trio is imported stays on asyncio."""
    manager = SessionManager("memory:", dev=False)

    async def begin() -> str:
        PlainMiddleware(lambda scope, receive, send: None, manager)  # type: ignore[arg-type, return-value]
        return type(manager.runtime).__name__

    assert asyncio.run(begin()) == "AsyncioRuntime"
