"""What BlackSheep's documentation says about using sessions, rows from B-14 on."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from blacksheep import Request, Response, text
from blacksheep.server.responses import json as as_json

from limpet import CookiePolicy
from limpet.adapters.blacksheep.sessions.abc import Session, SessionStore
from limpet.adapters.blacksheep.sessions.memory import InMemorySessionStore
from tests.contract.blacksheep_site import KEY, Drawer, Site, cookie_in, count


def read(request: Request) -> Response:
    """Handle a request: answer what is in the session."""
    return as_json(request.session.to_dict())


def test_b_14_in_memory_store() -> None:
    """`InMemorySessionStore` can be imported from ``sessions.memory`` and made without arguments."""
    assert isinstance(InMemorySessionStore(), SessionStore)


def test_b_15_in_memory_store_counts() -> None:
    """`InMemorySessionStore` keeps the data on the server: the cookie, always the same, holds an id and no more."""
    site = Site(count, InMemorySessionStore())
    first = site.first.get("/")
    token = cookie_in(first).value
    assert len(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))) == 32
    again = [site.first.get("/") for _ in range(2)]
    assert [answer.text for answer in again] == ["2", "3"]
    assert all("set-cookie" not in answer.headers for answer in again)


def test_b_16_words_of_the_session() -> None:
    """The session can be set, read with and without a default, asked, deleted from and updated."""

    def use(request: Request) -> Response:
        session = request.session
        session["fruit"] = "fig"
        seen = [session["fruit"], session.get("nut"), session.get("nut", 7), "fruit" in session, "nut" in session]
        with pytest.raises(KeyError):
            session["nut"]
        with pytest.raises(KeyError):
            del session["nut"]
        del session["fruit"]
        session.update({"herb": "dill", "root": ["beet"]})
        return as_json([*seen, session.to_dict()])

    site = Site(use)
    kept = {"herb": "dill", "root": ["beet"]}
    assert site.first.get("/").json() == ["fig", None, 7, True, False, kept]
    with site.first.session() as session:
        assert dict(session) == kept


def test_b_16_words_of_the_class() -> None:
    """`set`, `to_dict` and comparison with a dict work in a handler too."""

    def use(request: Request) -> Response:
        session: Any = request.session
        session.set("a", 1)
        copy = session.to_dict()
        copy["b"] = 2
        return as_json([session.to_dict(), session == {"a": 1}, isinstance(session, Session)])

    assert Site(use).first.get("/").json() == [{"a": 1}, True, True]


def test_b_17_always_populated() -> None:
    """Every request has a session: without a cookie, with a bad one, where no route is found, where one fails."""
    site = Site(read)
    seen: list[dict[str, Any]] = []

    async def not_found(app: Any, request: Request, error: Exception) -> Response:
        seen.append(request.session.to_dict())
        return text("no such page", 404)

    site.app.exceptions_handlers[404] = not_found
    assert site.first.get("/").json() == {}
    assert site.browser("garbage").get("/").json() == {}
    assert site.first.get("/nowhere").status_code == 404
    assert seen == [{}]


def _count_if_asked(request: Request) -> str:
    return count(request) if request.query.get("write") else str(request.session.get("visits", 0))


def test_b_18_saved_when_modified() -> None:
    """A change is saved and sets the cookie; a request that only looks, or does not even look, sets none."""
    site = Site(_count_if_asked)
    assert "set-cookie" not in site.first.get("/").headers
    assert "set-cookie" in site.first.get("/?write=1").headers
    assert "set-cookie" not in site.first.get("/").headers
    assert site.first.get("/").text == "1"


@pytest.mark.parametrize("make", [lambda: KEY, InMemorySessionStore, Drawer], ids=["cookie", "memory", "own"])
def test_b_19_nested_change(make: Callable[[], Any]) -> None:
    """A change deep inside a value is a modification."""

    def grow(request: Request) -> Response:
        if "plan" not in request.session:
            request.session["plan"] = {"rooms": {}}
        elif not request.query.get("look"):
            request.session["plan"]["rooms"]["attic"] = 1
        return as_json(request.session["plan"])

    site = Site(grow, make())
    for _ in range(2):
        site.first.get("/")
    answer = site.first.get("/?look=1")
    assert answer.json() == {"rooms": {"attic": 1}}
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("make", [lambda: KEY, InMemorySessionStore, Drawer], ids=["cookie", "memory", "own"])
def test_b_20_changes_before_an_exception(make: Callable[[], Any]) -> None:
    """What a handler changed before it raised is saved, as every modification is."""

    def stumble(request: Request) -> str:
        visits = count(request)
        if visits == "2":
            raise RuntimeError("stumbled")
        return visits

    site = Site(stumble, make())
    assert [site.first.get("/").status_code for _ in range(3)] == [200, 500, 200]
    assert site.first.get("/").text == "4"


def test_b_21_same_site() -> None:
    """The cookie is SameSite=Lax and HttpOnly; `cookie=CookiePolicy(...)` says everything else."""
    plain = cookie_in(Site(count).first.get("/"))
    assert (plain["samesite"], plain["httponly"], plain["path"], plain["secure"]) == ("Lax", True, "/", "")
    policy = CookiePolicy(same_site="strict", path="/", domain="testserver.example", secure=True)
    strict = cookie_in(Site(count, cookie=policy).first.get("/"))
    assert (strict["samesite"], strict["secure"], strict["domain"]) == ("Strict", True, "testserver.example")


def test_b_21_missing_secure_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A cookie without Secure over https is BlackSheep's default: it is logged once, with the cure."""
    site = Site(count)
    with caplog.at_level(logging.WARNING, "limpet"):
        for _ in range(3):
            site.first.get("/")
    said = [record.getMessage() for record in caplog.records]
    assert len([line for line in said if "CookiePolicy(name='session')" in line]) == 1


def _clear_if_asked(request: Request) -> str:
    if request.query.get("clear"):
        request.session.clear()
        return "cleared"
    return count(request)


def test_b_22_clear() -> None:
    """After `clear` the next request has an empty session."""
    site = Site(_clear_if_asked)
    site.first.get("/")
    assert cookie_in(site.first.get("/?clear=1"))["max-age"] == "0"
    assert site.first.get("/").text == "1"


def test_b_22b_clear_in_memory() -> None:
    """After `clear` the data is gone from the server too: the old cookie leads nowhere."""
    site = Site(_clear_if_asked, InMemorySessionStore())
    token = cookie_in(site.first.get("/")).value
    assert site.replay(token) == "2"
    site.first.get("/?clear=1")
    assert site.first.get("/").text == "1"
    assert site.replay(token) == "1"


def test_b_23_flow() -> None:
    """A first request gets an id in a cookie, and the next one is answered from what the store has under it."""
    site = Site(count, "memory:")
    answer = site.first.get("/", headers={"Cookie": "unrelated=1"})
    token = cookie_in(answer).value
    assert site.replay(token) == "2"
    assert site.browser().get("/").text == "1"


def test_b_24_valkey(redis_url: str, redis_prefix: str) -> None:
    """A Valkey server keeps the sessions: `use_sessions` takes its URL."""
    url = f"{redis_url}?prefix={quote(redis_prefix)}"
    _check_service(url)


def test_b_24_postgresql(postgres_url: str, postgres_schema: str) -> None:
    """A PostgreSQL server keeps the sessions: `use_sessions` takes its URL."""
    glue = "&" if "?" in postgres_url else "?"
    _check_service(f"{postgres_url}{glue}schema={quote(postgres_schema)}")


def _check_service(url: str) -> None:
    """Two processes' worth of applications over one service know the same sessions, and a logout holds in both."""
    one, two = Site(_clear_if_asked, url), Site(_clear_if_asked, url)
    with one.first as here, two.first as there:
        token = cookie_in(here.get("/")).value
        there.cookies.set("session", token)
        assert there.get("/").text == "2"
        assert here.get("/").text == "3"
        here.get("/?clear=1")
        assert there.get("/").text == "1"
