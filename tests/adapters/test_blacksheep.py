"""The BlackSheep adapter: what all adapters promise, and what an application of this framework may be like."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import pytest
from blacksheep import Application as BlackSheepApplication
from blacksheep import Content, Request, Response, Router, StreamedContent, TextContent, WebSocket
from blacksheep.testing import TestClient
from starlette.websockets import WebSocketDisconnect

from limpet import ConfigurationError, SessionConflict, SessionEnded, SessionPolicy
from limpet.adapters.blacksheep import Application, get_session, use_sessions
from limpet.asgi import ASGIApp
from limpet.stores import MemoryStore
from limpet.testing import client
from limpet.testing.suite_adapter import AdapterSuite, AppSpec
from tests.adapters.blacksheep_site import count, site
from tests.adapters.short_stack import on_a_short_stack

ROOT = Path(__file__).resolve().parents[2]


class TestBlackSheep(AdapterSuite):
    """The whole conformance suite."""

    documented_in = ROOT / "docs" / "frameworks" / "blacksheep.md"
    impossible: ClassVar = {
        "test_a_background_task_may_write": "BlackSheep has no tasks that run after the response "
        "and belong to its request.",
    }

    def build(self, spec: AppSpec) -> ASGIApp:
        router = Router()
        app = on_a_short_stack(lambda: Application(router=router))
        app.use_sessions(spec.manager, exclude=spec.exclude, lazy=spec.lazy)

        async def page(request: Request, name: str) -> Response:
            query = {key: values[0] for key, values in request.query.items()}
            reply = await spec.run(name, query, lambda: get_session(request))
            headers = [(key.encode(), value.encode()) for key, value in reply.headers.items()]
            if reply.stream is not None:
                stream = reply.stream

                async def pieces() -> AsyncIterator[bytes]:
                    async for piece in stream:
                        yield piece

                return Response(200, headers, StreamedContent(b"text/plain", pieces))
            return Response(reply.status, headers, Content(b"application/json", reply.text.encode()))

        async def socket(socket: WebSocket) -> None:
            query = {key: values[0] for key, values in socket.query.items()}
            await spec.converse(
                query, lambda: get_session(socket), socket.accept, socket.receive_text, socket.send_text
            )
            await socket.close()

        router.add_get("/{name}", page)
        router.add_ws("/socket", socket)
        return app


def test_existing_application() -> None:
    """The function gives sessions to a plain application, on the responses too for which no handler answered."""
    router = Router()
    app = BlackSheepApplication(router=router)
    use_sessions(app, "memory:")
    router.add_get("/", count)

    async def not_found(app: Any, request: Request, error: Exception) -> Response:
        return Response(404, content=TextContent(f"not on visit {get_session(request).increment('visits')}"))

    async def failed(app: Any, request: Request, error: Exception) -> Response:
        return Response(500, content=TextContent(f"failed on visit {get_session(request).increment('visits')}"))

    def fail(request: Request) -> str:
        raise ArithmeticError

    router.add_get("/fail", fail)
    app.exceptions_handlers[404] = not_found
    app.exceptions_handlers[ArithmeticError] = failed
    browser = client(app)
    missing = browser.get("/nowhere")
    assert (missing.status_code, missing.text) == (404, "not on visit 1")
    assert "set-cookie" in missing.headers
    assert browser.get("/fail").text == "failed on visit 2"
    assert browser.get("/").text == "3"
    assert isinstance(app, Application)


def test_existing_subclass_with_mounts() -> None:
    """An application of the user's own class that already mounts others can be given sessions."""

    class Own(BlackSheepApplication):
        pass

    child = BlackSheepApplication(router=Router())
    child.router.add_get("/", lambda request: "child")
    app = Own(router=Router())
    app.mount("/child", child)
    use_sessions(app, "memory:")
    app.router.add_get("/", count)
    with client(app) as browser:
        assert [browser.get("/").text for _ in range(2)] == ["1", "2"]
        assert browser.get("/child/").text == "child"


def test_mounted_applications_have_sessions_of_their_own() -> None:
    """A mounted application has the sessions that it was given, and its store is its own."""
    inner, _ = site(count, session_cookie="inner")
    outer, browser = site(count, session_cookie="outer")
    outer.mount("/inner", inner)
    with browser:
        assert [browser.get(path).text for path in ("/", "/inner/", "/inner/", "/")] == ["1", "1", "2", "2"]
        assert set(browser.cookies) == {"inner", "outer"}


def test_lifespan_reaches_the_store_with_mounts(tmp_path: Path) -> None:
    """Start-up opens the store and shutdown closes it, also where mounted applications change the way there."""
    calls: list[str] = []

    class Noting(MemoryStore):
        async def open(self) -> None:
            calls.append("open")

        async def close(self) -> None:
            calls.append("close")

    app, browser = site(count, Noting())
    app.mount("/inner", BlackSheepApplication(router=Router()))
    with browser:
        assert calls == ["open"]
    assert calls == ["open", "close"]


async def test_the_frameworks_own_test_client() -> None:
    """BlackSheep's test client, which goes past the ASGI interface, sees the same sessions and caching headers."""
    app, _ = site(count)
    app.router.add_get("/fail", lambda request: request.session.unknown())
    await app.start()  # type: ignore[no-untyped-call]
    inside = TestClient(app)
    answer = await inside.get("/")
    assert answer is not None
    (cookie,) = answer.headers.get(b"set-cookie")
    token = cookie.decode().partition(";")[0].partition("=")[2]
    assert answer.headers.get(b"vary") == (b"Cookie",)
    again = await inside.get("/", cookies={"session": token})
    assert again is not None
    assert await again.text() == "2"
    assert not again.headers.contains(b"set-cookie")
    failed = await inside.get("/fail", cookies={"session": token})
    assert failed is not None
    assert failed.status == 500
    missing = await inside.get("/missing")
    assert missing is not None
    assert missing.status == 404


def test_handlers_may_ask_for_the_application() -> None:
    """A handler that declares the application gets it, by either class."""

    def name(ours: Application, theirs: BlackSheepApplication) -> str:
        return str(ours is theirs is app)

    app, browser = site(name)
    assert browser.get("/").text == "True"


def test_names_are_the_frameworks_own() -> None:
    """What the adapter does not have is BlackSheep's own object, in modules of any depth."""
    for name in (
        "Request",
        "get",
        "server.csrf.use_anti_forgery",
        "server.routing.Router",
        "sessions.logs.get_logger",
    ):
        place, _, attribute = name.rpartition(".")
        place = f".{place}" if place else ""
        ours = getattr(import_module(f"limpet.adapters.blacksheep{place}"), attribute)
        assert ours is getattr(import_module(f"blacksheep{place}"), attribute)
    for name in ("sessions.logs", "server.responses"):
        assert import_module(f"limpet.adapters.blacksheep.{name}") is import_module(f"blacksheep.{name}")
    assert import_module("limpet.adapters.blacksheep.sessions") is not import_module("blacksheep.sessions")


@pytest.mark.parametrize("name", ["nothing_like_it", "sessions.nothing_like_it", "server.nothing_like_it"])
def test_names_that_nobody_has(name: str) -> None:
    """A name that BlackSheep does not have either is the usual error, and so is such a module."""
    place, _, attribute = f"limpet.adapters.blacksheep.{name}".rpartition(".")
    module = import_module(place)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        getattr(module, attribute)
    with pytest.raises(ModuleNotFoundError):
        import_module(f"{place}.{attribute}")


def test_our_submodules_come_first() -> None:
    """``from limpet.adapters.blacksheep import sessions`` is our package, in a fresh process too."""
    code = (
        "from limpet.adapters.blacksheep import sessions;"
        "assert sessions.__name__ == 'limpet.adapters.blacksheep.sessions';"
        "import limpet.adapters.blacksheep.server.responses, blacksheep.server.responses as real;"
        "assert limpet.adapters.blacksheep.server.responses is real"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("save_on_error", [True, False])
def test_a_socket_handler_that_raises(save_on_error: bool, caplog: pytest.LogCaptureFixture) -> None:
    """What a WebSocket's handler wrote before it raised is dropped, unless the policy says otherwise."""
    app, browser = site(count, policy=SessionPolicy(save_on_error=save_on_error))

    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        get_session(socket).increment("visits", 10)
        raise ArithmeticError

    app.router.add_ws("/socket", socket)
    assert browser.get("/").text == "1"
    with browser.websocket_connect("/socket") as talk, pytest.raises(WebSocketDisconnect) as closed:
        talk.receive_text()
    assert closed.value.code == 1011
    assert "ArithmeticError" in caplog.text
    assert browser.get("/").text == ("12" if save_on_error else "2")


def test_conflicts_are_409() -> None:
    """A handler that lets a conflict pass answers 409, and one that another request ended too."""

    def fail(request: Request) -> str:
        raise {"conflict": SessionConflict, "end": SessionEnded}[request.query["by"][0]]("two at once")

    _, browser = site(fail)
    assert [browser.get(f"/?by={by}").status_code for by in ("conflict", "end")] == [409, 409]


def test_excluded_paths_have_no_session() -> None:
    """On an excluded path `get_session` says why there is none."""

    def handler(request: Request) -> str:
        with pytest.raises(ConfigurationError, match="exclude"):
            get_session(request)
        return "none"

    assert site(handler, exclude=("/",))[1].get("/").text == "none"
