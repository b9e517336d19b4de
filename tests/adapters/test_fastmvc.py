"""The FastMVC adapter: every promise through its session, and what a store in three methods can keep."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from limpet import SessionClosed, UnstorableValue
from limpet.adapters.fastmvc import Session, SessionMiddleware, SessionStore
from limpet.adapters.fastmvc._store import OwnStore
from limpet.asgi import ASGIApp
from limpet.stores import Store
from limpet.testing import AdapterSuite, StoreSuite, async_client
from limpet.testing.suite_adapter import AppSpec

SECRET = "5bQvW0pZyq3LrXhT8mUe2aFdKs7NcJ1gYoR6iVtB4lE"


class TestFastMVC(AdapterSuite):
    """Every promise, through ``request.state.session``."""

    def build(self, spec: AppSpec) -> ASGIApp:
        app = FastAPI()
        app.add_middleware(SessionMiddleware, manager=spec.manager, exclude_paths=spec.exclude, lazy=spec.lazy)

        @app.get("/{name}")
        async def page(name: str, request: Request, tasks: BackgroundTasks) -> Response:
            reply = await spec.run(name, request.query_params, lambda: request.state.session)
            if reply.background is not None:
                tasks.add_task(reply.background)
            if reply.stream is not None:
                return StreamingResponse(reply.stream)
            return Response(reply.text, reply.status, reply.headers, "application/json", background=tasks)

        @app.websocket("/socket")
        async def socket(websocket: WebSocket) -> None:
            await spec.converse(
                websocket.query_params,
                lambda: websocket.state.session,
                websocket.accept,
                websocket.receive_text,
                websocket.send_text,
            )
            await websocket.close()

        return app


class Shelf(SessionStore):
    """A user's own store, as such stores are: three methods over a dict."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def load(self, session_id: str) -> Session:
        await asyncio.sleep(0)
        return Session(session_id, copy.deepcopy(self.kept.get(session_id, {})))

    async def save(self, session: Session) -> None:
        await asyncio.sleep(0)
        assert session.id is not None
        self.kept[session.id] = copy.deepcopy(session.data)

    async def delete(self, session_id: str) -> None:
        await asyncio.sleep(0)
        self.kept.pop(session_id, None)


class TestShelf(StoreSuite):
    """Within one process a store in three methods keeps every promise of a store."""

    @pytest.fixture
    def store(self) -> Store:
        """Return what drives such a store."""
        return OwnStore(Shelf())


def build(store: SessionStore) -> FastAPI:
    """Return an application over a user's own store."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=store)

    @app.get("/add/{item}")
    async def add(item: str, request: Request) -> int:
        cart = request.state.session.data.setdefault("cart", [])
        cart.append(item)
        await asyncio.sleep(0.01)
        return len(cart)

    @app.get("/set/{key}")
    async def put(key: str, request: Request) -> None:
        request.state.session.set(key, 1)

    @app.get("/logout")
    async def logout(request: Request) -> None:
        request.state.session.clear()

    @app.get("/plain")
    async def plain() -> str:
        return "plain"

    @app.get("/keys")
    async def keys(request: Request) -> Response:
        return PlainTextResponse(" ".join(request.state.session))

    return app


async def test_two_requests_at_once_both_count() -> None:
    """Two requests that add to one cart in a user's own store both succeed in doing so."""
    shelf = Shelf()
    async with async_client(build(shelf)) as browser:
        await browser.get("/add/tea")
        await asyncio.gather(*(browser.get(f"/add/{number}") for number in range(5)))
        assert len(next(iter(shelf.kept.values()))["cart"]) == 6


async def test_what_was_logged_out_stays_logged_out() -> None:
    """A request that is still running at a logout does not bring the session back."""
    shelf = Shelf()
    async with async_client(build(shelf)) as browser:
        await browser.get("/set/a")
        await asyncio.gather(browser.get("/add/tea"), browser.get("/logout"))
        assert shelf.kept == {}


async def test_a_store_that_fails_is_a_503() -> None:
    """A failing store is answered with 503, and spares routes that do not use the session."""

    class Broken(Shelf):
        async def load(self, session_id: str) -> Session:
            raise ConnectionResetError("gone")

    shelf, broken = Shelf(), Broken()
    async with async_client(build(shelf)) as browser:
        await browser.get("/set/a")
        cookie = browser.cookies["session_id"]
    async with async_client(build(broken), headers={"cookie": f"session_id={cookie}"}) as browser:
        assert (await browser.get("/keys")).status_code == 503
        assert (await browser.get("/plain")).status_code == 200


async def test_a_mistake_in_a_store_is_shown() -> None:
    """A mistake in the user's class is an error of theirs and no outage."""

    class Mistaken(Shelf):
        async def save(self, session: Session) -> None:
            raise TypeError("oops")

    async with async_client(build(Mistaken())) as browser:
        with pytest.raises(TypeError, match="oops"):
            await browser.get("/set/a")


async def test_unreadable_sessions_begin_anew() -> None:
    """What cannot be read is no session, and is deleted."""

    class Scribbled(Shelf):
        async def load(self, session_id: str) -> Session:
            if session_id in self.kept:
                raise ValueError("not JSON")
            return await super().load(session_id)

    shelf = Scribbled()
    async with async_client(build(shelf)) as browser:
        await browser.get("/set/a")
        assert (await browser.get("/keys")).text == ""
        assert shelf.kept == {}


async def test_sessions_without_our_notes_begin_anew() -> None:
    """A store that drops our key has no session to give."""

    class Choosy(Shelf):
        async def load(self, session_id: str) -> Session:
            session = await super().load(session_id)
            session.data.pop("_limpet", None)
            return session

    async with async_client(build(Choosy())) as browser:
        await browser.get("/set/a")
        assert (await browser.get("/keys")).text == ""


async def test_the_key_of_our_notes_is_refused() -> None:
    """A session key of that name would be overwritten: it is refused by name."""
    async with async_client(build(Shelf())) as browser:
        with pytest.raises(UnstorableValue, match="_limpet"):
            await browser.get("/set/_limpet")


async def test_a_session_made_by_hand() -> None:
    """It is a mapping like any other, and nothing saves it."""
    session = Session("abc", {"a": 1})
    assert (session.id, session.data, session["a"], session.modified) == ("abc", {"a": 1}, 1, False)
    session.set("b", [2])
    session.delete("a")
    assert dict(await session.load()) == {"b": [2]}
    with pytest.raises(SessionClosed, match="belongs to no request"):
        await session.save()
    with pytest.raises(SessionClosed):
        await session.refresh()
    with pytest.raises(SessionClosed):
        await session.is_live()
    session.clear()
    assert session.data == {}
