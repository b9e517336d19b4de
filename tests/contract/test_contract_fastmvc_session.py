"""FastMVC's session middleware for FastAPI, row by row, from outside: the session, and stores of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis_client
from fastapi import FastAPI, Request

from limpet.adapters.fastmvc import CSRFMiddleware, Session, SessionMiddleware, SessionStore, csrf_token
from limpet.testing import FakeClock, SessionClient, client
from tests.contract.fastmvc_site import SECRET, site


@pytest.fixture
def browser() -> Iterator[SessionClient]:
    """Return a browser on an application with nothing but a secret."""
    with client(site(secret_key=SECRET, store="memory:")) as visitor:
        yield visitor


def test_f_13_get(browser: SessionClient) -> None:
    """``get`` returns the value, the default, or None."""
    browser.get("/set/colour/green")
    assert browser.get("/get/colour").json() == "green"
    assert browser.get("/get/size").json() is None
    assert browser.get("/get/size", params={"default": "large"}).json() == "large"


def test_f_14_set(browser: SessionClient) -> None:
    """``set`` is there in the next request."""
    browser.get("/set/colour/green")
    browser.get("/set/colour/blue")
    assert browser.get("/get/colour").json() == "blue"


def test_f_15_item(browser: SessionClient) -> None:
    """``session[key] = value`` is there in the next request."""
    assert [browser.get("/visits").json() for _ in range(2)] == [1, 2]


def test_f_16_delete(browser: SessionClient) -> None:
    """``delete`` removes a key and leaves the rest; one that is not there is no error."""
    browser.get("/set/a/1")
    browser.get("/set/b/2")
    assert browser.get("/delete/a").status_code == 200
    assert browser.get("/delete/a").status_code == 200
    assert browser.get("/keys").json() == ["b"]


def test_f_17_clear(browser: SessionClient) -> None:
    """After ``clear`` the session is empty in the next request."""
    browser.get("/set/a/1")
    browser.get("/clear")
    assert browser.get("/keys").json() == []


def test_f_18_regenerate(browser: SessionClient) -> None:
    """``regenerate`` gives a new id, keeps the data, and the old id is dead at once."""
    browser.get("/set/a/1")
    old, before = browser.cookies["session_id"], browser.get("/id").json()["id"]
    browser.get("/regenerate")
    assert browser.cookies["session_id"] != old
    assert browser.get("/id").json()["id"] != before
    assert browser.get("/get/a").json() == "1"
    browser.cookies.clear()
    assert browser.get("/keys", headers={"cookie": f"session_id={old}"}).json() == []


def test_f_18_a_login_changes_the_id(browser: SessionClient) -> None:
    """To set ``user_id`` is to log in: the id from before is dead."""
    browser.get("/set/a/1")
    old = browser.cookies["session_id"]
    browser.get("/sign-in/7")
    assert browser.cookies["session_id"] != old
    assert browser.get("/keys").json() == ["a", "user_id"]
    browser.cookies.clear()
    assert browser.get("/keys", headers={"cookie": f"session_id={old}"}).json() == []


def test_f_19_all_in_one_handler() -> None:
    """One handler may do everything, in any order, and end the session at last."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store="memory:")

    @app.get("/")
    async def everything(request: Request, end: bool = False) -> dict[str, Any]:
        session = request.state.session
        known = session.get("known")
        session.set("known", True)
        session["count"] = session.get("count", 0) + 1
        session.delete("nothing")
        count = session["count"]
        if end:
            session.clear()
        return {"known": known, "count": count}

    with client(app) as browser:
        assert browser.get("/").json() == {"known": None, "count": 1}
        assert browser.get("/?end=1").json() == {"known": True, "count": 2}
        assert browser.get("/").json() == {"known": None, "count": 1}


class Shelf(SessionStore):
    """Three methods over a dict."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.asked: list[str] = []

    async def load(self, session_id: str) -> Session:
        self.asked.append(session_id)
        found = self.kept.get(session_id)
        return Session(session_id, json.loads(found) if found else {})

    async def save(self, session: Session) -> None:
        assert session.id is not None
        self.kept[session.id] = json.dumps(session.data)

    async def delete(self, session_id: str) -> None:
        self.kept.pop(session_id, None)


def test_f_20_the_cookie_is_signed() -> None:
    """A bare id is refused although the store knows it, and a changed cookie never reaches the store."""
    shelf = Shelf()
    with client(site(secret_key=SECRET, store=shelf)) as browser:
        browser.get("/set/a/1")
        good = browser.cookies["session_id"]
        (key,) = shelf.kept
        shelf.asked.clear()
        browser.cookies.clear()
        flipped = [good[:i] + ("A" if good[i] != "A" else "B") + good[i + 1 :] for i in range(len(good))]
        for forged in (key, *flipped):
            assert browser.get("/keys", headers={"cookie": f"session_id={forged}"}).json() == []
        assert shelf.asked == []
        assert browser.get("/keys", headers={"cookie": f"session_id={good}"}).json() == ["a"]


def test_f_20_another_secret_refuses_it() -> None:
    """A cookie that was signed with another secret is refused."""
    shelf = Shelf()
    with client(site(secret_key=SECRET, store=shelf)) as browser:
        browser.get("/set/a/1")
        good = browser.cookies["session_id"]
    with client(site(secret_key="another" + SECRET, store=shelf)) as browser:
        assert browser.get("/keys", headers={"cookie": f"session_id={good}"}).json() == []


def test_f_21_store_in_three_methods() -> None:
    """A store of one's own is given sessions with ``id`` and ``data``, and gives them back."""
    shelf = Shelf()
    with client(site(secret_key=SECRET, store=shelf)) as browser:
        browser.get("/set/a/1")
        found = browser.get("/id").json()
        assert list(shelf.kept) == [found["id"]]
        assert json.loads(shelf.kept[found["id"]])["a"] == found["data"]["a"] == "1"
        browser.get("/regenerate")
        assert found["id"] not in shelf.kept
        browser.get("/clear")
        assert shelf.kept == {}


def test_f_21_session_by_hand() -> None:
    """``Session(session_id, data)`` has both as attributes."""
    session = Session("abc", {"a": 1})
    assert (session.id, session.data) == ("abc", {"a": 1})
    assert Session("abc", {}).data == {}


def test_f_21_expiry_whatever_the_store_does() -> None:
    """A store that keeps everything for ever serves no session after its time."""
    shelf, clock = Shelf(), FakeClock()
    with client(site(secret_key=SECRET, store=shelf, max_age=60, clock=clock)) as browser:
        browser.get("/set/a/1")
        token = browser.cookies["session_id"]
        browser.cookies.clear()
        clock.advance(61)
        assert shelf.kept
        assert browser.get("/keys", headers={"cookie": f"session_id={token}"}).json() == []


def test_f_21_types_survive() -> None:
    """What JSON has no form for comes back as it went in, through a store that knows only JSON."""
    app = site(secret_key=SECRET, store=Shelf())
    moment = datetime(2024, 2, 29, 12, tzinfo=UTC)

    @app.get("/put")
    async def put(request: Request) -> None:
        request.state.session["seen"] = {"at": moment, "tags": {"a", "b"}}

    @app.get("/take")
    async def take(request: Request) -> bool:
        return bool(request.state.session["seen"] == {"at": moment, "tags": {"a", "b"}})

    with client(app) as browser:
        browser.get("/put")
        assert browser.get("/take").json() is True


def test_f_22_store_on_redis(redis_url: str, redis_prefix: str) -> None:
    """A store over the client library of Redis, in three methods and with an expiry of its own, works."""

    class OnRedis(SessionStore):
        def __init__(self) -> None:
            self.client = redis_client.Redis.from_url(redis_url, protocol=2)

        async def load(self, session_id: str) -> Session:
            found = await self.client.get(redis_prefix + session_id)
            return Session(session_id, json.loads(found) if found else {})

        async def save(self, session: Session) -> None:
            await self.client.set(f"{redis_prefix}{session.id}", json.dumps(session.data), ex=3600)

        async def delete(self, session_id: str) -> None:
            await self.client.delete(redis_prefix + session_id)

    store = OnRedis()
    with client(site(secret_key="secret", store=store)) as browser:
        assert [browser.get("/visits").json() for _ in range(3)] == [1, 2, 3]
        browser.get("/regenerate")
        assert browser.get("/visits").json() == 4
        browser.get("/clear")
        assert browser.get("/visits").json() == 1
        assert browser.portal is not None
        browser.portal.call(store.client.aclose)


def test_f_23_server_side(tmp_path: Path) -> None:
    """The cookie holds an id and nothing of the data, which is on the server."""
    with client(site(secret_key=SECRET, store=f"sqlite:///{tmp_path}/sessions.db")) as browser:
        browser.get("/set/colour/ultramarine")
        small = len(browser.cookies["session_id"])
        browser.get("/set/text/" + "x" * 4000)
        assert len(browser.cookies["session_id"]) == small < 200
        assert "ultramarine" not in browser.cookies["session_id"]
    assert b"ultramarine" in (tmp_path / "sessions.db").read_bytes()


def test_f_24_csrf_uses_the_session() -> None:
    """``CSRFMiddleware`` takes the session's own token and refuses everything else."""
    app = FastAPI()
    app.add_middleware(CSRFMiddleware, exclude_paths={"/hook"})
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store="memory:")

    @app.get("/form")
    async def form(request: Request) -> str:
        return csrf_token(request)

    @app.post("/send")
    async def send() -> str:
        return "sent"

    @app.post("/hook")
    async def hook() -> str:
        return "hooked"

    with client(app) as browser:
        token = browser.get("/form").json()
        assert browser.post("/send").status_code == 403
        assert browser.post("/send", headers={"x-csrf-token": token}).json() == "sent"
        assert browser.post("/send", data={"csrf_token": token}).json() == "sent"
        assert browser.post("/hook").json() == "hooked"
