"""The names that FastMVC documents and releases, through HTTP: memory store, four-method stores, modules."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

import pytest
from fastapi import FastAPI, Request

from limpet import ConfigurationError, StoreUnavailable
from limpet.adapters import fastmvc
from limpet.adapters.fastmvc import InMemorySessionStore, Session, SessionConfig, SessionMiddleware, SessionStore
from limpet.adapters.fastmvc._store import driven
from limpet.stores import Store, Sweeps
from limpet.testing import FakeClock, StoreSuite, async_client, client
from tests.contract.fastmvc_site import SECRET, site


class Table(SessionStore):
    """A store as FastMVC's releases have them: four methods."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[dict[str, Any], int]] = {}
        self.cleaned = 0

    async def get(self, session_id: str) -> dict[str, Any] | None:
        await asyncio.sleep(0)
        return self.rows.get(session_id, (None, 0))[0]

    async def set(self, session_id: str, data: dict[str, Any], max_age: int) -> None:
        await asyncio.sleep(0)
        assert type(max_age) is int
        self.rows[session_id] = data, max_age

    async def delete(self, session_id: str) -> None:
        self.rows.pop(session_id, None)

    async def cleanup(self) -> None:
        self.cleaned += 1


class TestTable(StoreSuite):
    """Within one process a store in four methods keeps every promise of a store."""

    @pytest.fixture
    def store(self) -> Store:
        """Return what drives such a store, without a sweep of which the suite could count anything."""
        return fastmvc._store.OwnStore(Table())


class TestInMemory(StoreSuite):
    """So does the memory store."""

    @pytest.fixture
    def store(self) -> Store:
        """Return what drives it."""
        return fastmvc._store.OwnStore(InMemorySessionStore())


@pytest.mark.parametrize("make", [InMemorySessionStore, Table])
async def test_two_requests_at_once_and_a_logout(make: Any) -> None:
    """Two requests at once both count, and what was logged out stays logged out."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store=make(), cookie_secure=False)

    @app.get("/add/{item}")
    async def add(item: str, request: Request) -> int:
        cart = request.state.session.data.setdefault("cart", [])
        cart.append(item)
        await asyncio.sleep(0.01)
        return len(cart)

    @app.get("/end")
    async def end(request: Request) -> bool:
        request.state.session.delete()
        return bool(request.state.session.deleted)

    @app.get("/cart")
    async def cart(request: Request) -> list[str]:
        return sorted(request.state.session.get("cart", []))

    async with async_client(app) as browser:
        await browser.get("/add/tea")
        await asyncio.gather(*(browser.get(f"/add/{number}") for number in range(5)))
        assert (await browser.get("/cart")).json() == ["0", "1", "2", "3", "4", "tea"]
        cookie = browser.cookies["session_id"]
        _, ended = await asyncio.gather(browser.get("/add/milk"), browser.get("/end"))
        assert ended.json() is True
        late = await browser.get("/cart", headers={"cookie": f"session_id={cookie}"})
        assert late.json() == []


async def test_the_memory_store_alone() -> None:
    """`get`, `set`, `delete` and `cleanup` by hand; what it gives is a copy, and what has expired is gone."""
    store = InMemorySessionStore()
    await store.set("a", {"n": [1]}, 60)
    await store.set("b", {}, 0)
    found: Any = await store.get("a")
    assert found == {"n": [1]}
    found["n"].append(2)
    assert await store.get("a") == {"n": [1]}
    assert await store.get("b") is None
    assert repr(store) == "InMemorySessionStore(<2 sessions>)"
    await store.cleanup()
    assert repr(store) == "InMemorySessionStore(<1 sessions>)"
    session = await store.load("a")
    assert session is not None
    assert (session.id, session.data) == ("a", {"n": [1]})
    await store.save(Session("c", {"m": 1}))
    assert await store.get("c") == {"m": 1}
    await store.delete("a")
    await store.delete("nobody")
    assert await store.load("a") is None


async def test_the_three_methods_give_the_four() -> None:
    """A store in three methods can be asked in the other words, too."""

    class Three(SessionStore):
        rows: dict[str, Any] = {}

        async def load(self, session_id: str) -> Session:
            return Session(session_id, self.rows.get(session_id))

        async def save(self, session: Session) -> None:
            self.rows[str(session.id)] = session.data

        async def delete(self, session_id: str) -> None:
            self.rows.pop(session_id)

    store = Three()
    await store.set("a", {"n": 1}, 5)
    assert await store.get("a") == {"n": 1}
    assert await store.get("b") is None
    assert await store.cleanup() is None  # type: ignore[func-returns-value]
    assert not isinstance(driven(store), Sweeps)


def test_a_store_is_told_how_long() -> None:
    """``set`` gets the seconds that the session has left, and a little more; never less than one."""
    table = Table()
    clock = FakeClock()
    app = site(secret_key=SECRET, store=table, max_age=600, clock=clock)
    with client(app) as browser:
        browser.get("/visits")
        ((_, life),) = table.rows.values()
        assert 600 <= life <= 661
        clock.advance(400)
        browser.get("/visits")
        ((_, life),) = table.rows.values()
        assert 200 <= life <= 261


async def test_cleanup_is_called() -> None:
    """A sweep calls the store's ``cleanup``; if it fails, that is an outage."""

    class Broken(Table):
        async def cleanup(self) -> None:
            raise ConnectionResetError("gone")

    table = Table()
    manager = SessionMiddleware(_nothing, secret_key=SECRET, store=table).manager
    assert await manager.sweep() == 0
    assert table.cleaned == 1
    with pytest.raises(StoreUnavailable, match=r"Broken.cleanup\(\) failed"):
        await SessionMiddleware(_nothing, secret_key=SECRET, store=Broken()).manager.sweep()


def test_path_and_domain() -> None:
    """``cookie_path`` and ``cookie_domain``, in the config and by name."""
    for settings in (
        {"config": SessionConfig(secret_key=SECRET, cookie_path="/shop", cookie_domain="testserver.example")},
        {"secret_key": SECRET, "cookie_path": "/shop", "cookie_domain": "testserver.example"},
    ):
        with client(site(store="memory:", **settings)) as browser:
            cookie = browser.get("/visits").headers["set-cookie"]
            assert "Path=/shop" in cookie
            assert "Domain=testserver.example" in cookie


def test_positions_are_those_of_the_releases() -> None:
    """``add_middleware(SessionMiddleware, config, store, exclude_paths)``."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, SessionConfig(secret_key=SECRET), InMemorySessionStore(), {"/health"})

    @app.get("/visits")
    async def visits(request: Request) -> int:
        return int(request.state.session.increment("n"))

    @app.get("/health")
    async def health(request: Request) -> bool:
        return hasattr(request.state, "session")

    with client(app) as browser:
        assert [browser.get("/visits").json(), browser.get("/visits").json()] == [1, 2]
        assert browser.get("/health").json() is False


def test_the_modules_have_the_names() -> None:
    """``fastmiddleware.session`` and ``fastmiddleware.csrf`` are there below the prefix, with the same objects."""
    session = import_module("limpet.adapters.fastmvc.session")
    for name in ("Session", "SessionConfig", "SessionMiddleware", "SessionStore", "InMemorySessionStore"):
        assert getattr(session, name) is getattr(fastmvc, name)
        assert name in fastmvc.__all__
    assert import_module("limpet.adapters.fastmvc.csrf").CSRFMiddleware is fastmvc.CSRFMiddleware
    with pytest.raises(AttributeError, match="CORSMiddleware"):
        fastmvc.CORSMiddleware  # noqa: B018 - FastMVC itself, which has it, is not installed


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"config": SECRET}, "secret_key="),
        ({"config": {"secret_key": SECRET}}, "not dict"),
        ({"store": InMemorySessionStore, "secret_key": SECRET}, r"store=InMemorySessionStore\(...\)"),
        ({"secret_key": SECRET, "exclude_paths": "/health"}, "one string"),
        ({"secret_key": SECRET, "store": 7}, "store"),
        ({"store": "memory:"}, "secret_key"),
    ],
)
def test_mistakes_get_a_sentence(given: Any, complaint: str) -> None:
    """What stands in another's place is refused, with what to write instead."""
    with pytest.raises(ConfigurationError, match=complaint):
        SessionMiddleware(_nothing, **given)


def test_a_store_that_cannot_write_is_none() -> None:
    """A class without a way to read, or to write, cannot be made, and the error names the method."""

    class Half(SessionStore):
        async def load(self, session_id: str) -> Session | None:
            return None

        async def delete(self, session_id: str) -> None: ...

    with pytest.raises(TypeError, match=r"save\(\), or set\(\)"):
        Half()


async def _nothing(scope: Any, receive: Any, send: Any) -> None: ...
