"""Django: moving in without logging anyone out, Django's own middleware, and one session for two frameworks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.contrib.auth import login
from django.test import AsyncClient, override_settings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from limpet.adapters.django import SessionStore
from limpet.adapters.django.importing import EngineImporter
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.errors import ConfigurationError
from limpet.events import SessionImported
from limpet.manager import SessionManager
from limpet.policy import CookiePolicy
from limpet.stores import MemoryStore
from tests.adapters.django.begun import Browser, Configure, Hook, asked, heard, visitor
from tests.django_site import MIDDLEWARE

UNTIL = datetime.now(UTC) + timedelta(days=30)
ENGINES = [f"django.contrib.sessions.backends.{name}" for name in ("db", "cached_db", "cache", "signed_cookies")]
STOCK = ["django.contrib.sessions.middleware.SessionMiddleware", *MIDDLEWARE[1:]]


def two_with(old: str) -> tuple[Browser, Browser]:
    """Return two tabs, which have the same old cookie."""
    browser, tab = visitor(), visitor()
    browser.cookies["sessionid"] = tab.cookies["sessionid"] = old
    return browser, tab


def logged_in(engine: str, user: Any, **data: Any) -> str:
    """Log somebody in with another session engine; return what the cookie holds."""
    request = asked()
    with override_settings(SESSION_ENGINE=engine):
        request.session = import_module(engine).SessionStore()
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        request.session.update(data)
        request.session.save()
    return str(request.session.session_key)


@pytest.mark.parametrize("engine", ENGINES)
def test_nobody_is_logged_out_by_moving_in(configure: Configure, ann: Any, engine: str) -> None:
    """The next request of a browser moves its session; the old cookie is replaced, and leads nowhere new."""
    old = logged_in(engine, ann, basket=["tea"])
    kept = configure({"importers": [EngineImporter(engine, until=UNTIL)]})
    events = heard(kept)
    browser = visitor()
    browser.cookies["sessionid"] = old
    answer = browser.get("/do/who")
    assert answer.json() == "ann"
    assert answer.cookies["sessionid"].value != old
    assert browser.get("/do/read").json() == {"basket": ["tea"]}
    assert [event.origin for event in events if isinstance(event, SessionImported)] == ["django"]
    assert [(info.current, info.amr) for info in browser.session.limpet.sessions()] == [(True, ("import",))]
    assert not browser.session.limpet.is_fresh()
    browser.get("/do/logout")
    browser.cookies["sessionid"] = old
    assert browser.get("/do/who").json() == ""


async def test_moving_in_on_an_event_loop(configure: Configure, ann: Any) -> None:
    """The old engine is asked through its a-forms."""
    from asgiref.sync import sync_to_async

    old = await sync_to_async(logged_in)(ENGINES[0], ann)
    configure({"importers": [EngineImporter(until=UNTIL)]})
    browser: Browser = AsyncClient()
    browser.cookies["sessionid"] = old
    assert (await browser.get("/ado/who")).json() == "ann"
    assert browser.cookies["sessionid"].value != old


@pytest.mark.parametrize("anonymous", [False, True], ids=["logged in", "anonymous"])
def test_two_first_requests_at_once_both_count(configure: Configure, hook: Hook, ann: Any, anonymous: bool) -> None:
    """A page and what it fetches come with the old cookie together: one session, which holds what both did."""
    old = logged_in(ENGINES[0], ann, basket=["tea"])
    if anonymous:
        before = import_module(ENGINES[0]).SessionStore()
        before.update({"basket": ["tea"]})
        before.save()
        old = before.session_key
    kept = configure({"importers": [EngineImporter(until=UNTIL)]})
    browser, tab = two_with(old)

    def meanwhile(request: Any) -> None:
        request.session.limpet.increment("n")
        assert tab.get("/do/increment").status_code == 200

    hook("meanwhile", meanwhile)
    answer = browser.get("/do/meanwhile")
    assert answer.status_code == 200
    assert "sessionid" not in answer.cookies, "the other response has the cookie of the one session"
    assert tab.get("/do/read").json() == browser.get("/do/read").json() == {"basket": ["tea"], "n": 2}
    assert [each.get("/do/who").json() for each in (tab, browser)] == ["" if anonymous else "ann"] * 2
    assert len(kept.blocking.sessions_of(str(ann.pk))) == (0 if anonymous else 1)


def test_a_new_key_is_new_when_two_first_requests_meet(configure: Configure, hook: Hook, ann: Any) -> None:
    """As at a change of the password: the key that the other request was given is dead, and what it saved is kept."""
    old = logged_in(ENGINES[0], ann)
    kept = configure({"importers": [EngineImporter(until=UNTIL)]})
    browser, tab = two_with(old)

    def change(request: Any) -> Any:
        request.session.limpet.increment("n")
        assert tab.get("/do/increment").status_code == 200
        request.session.cycle_key()
        return request.session.session_key

    hook("change", change)
    key = browser.get("/do/change").json()
    assert browser.cookies["sessionid"].value == key != tab.cookies["sessionid"].value
    assert not SessionStore().exists(tab.cookies["sessionid"].value)
    assert (browser.get("/do/who").json(), browser.get("/do/read").json()) == ("ann", {"n": 2})
    assert len(kept.blocking.sessions_of(str(ann.pk))) == 1


def test_a_login_replaces_an_old_session(configure: Configure, ann: Any, bob: Any) -> None:
    """The old cookie is worth nothing from then on."""
    old = logged_in(ENGINES[0], ann)
    configure({"importers": [EngineImporter(until=UNTIL)]})
    browser = visitor()
    browser.cookies["sessionid"] = old
    assert browser.get("/do/login?name=bob").status_code == 200
    assert browser.get("/do/who").json() == "bob"
    browser.cookies["sessionid"] = old
    assert browser.get("/do/who").json() == ""


def test_an_importer_names_an_engine() -> None:
    """A wrong name is refused at once."""
    with pytest.raises(ConfigurationError, match="no session engine"):
        EngineImporter("django.contrib.sessions.nowhere", until=UNTIL)


def test_an_importer_reads_the_settings_below_it(configure: Configure, ann: Any) -> None:
    """It is made in the settings, whatever stands below it there, and finds the cookie by its name."""
    old = logged_in(ENGINES[0], ann)
    moves = EngineImporter(until=UNTIL)
    configure({"importers": [moves]}, SESSION_COOKIE_NAME="shop", SESSION_COOKIE_PATH="/do")
    browser = visitor()
    browser.cookies["shop"] = old
    assert browser.get("/do/who").json() == "ann"
    assert browser.cookies["shop"].value != old
    _, deletion = moves.clear()
    assert deletion.startswith(b"shop=; ")
    assert b"Path=/do" in deletion


# -- under Django's own middleware


def test_the_engine_alone_works_under_djangos_middleware(configure: Configure, ann: Any) -> None:
    """One setting to begin with."""
    configure(MIDDLEWARE=STOCK)
    browser = visitor()
    browser.get("/do/set?a=1")
    key = browser.get("/do/login?name=ann").json()
    assert browser.cookies["sessionid"].value == key
    assert browser.get("/do/who").json() == "ann"
    browser.get("/do/logout")
    assert not browser.cookies["sessionid"].value
    assert not SessionStore().exists(key)


def test_two_saves_that_raced_are_no_error_under_djangos_middleware(configure: Configure, hook: Hook) -> None:
    """Both count. Only where the session was ended meanwhile, Django's middleware says so."""
    configure(MIDDLEWARE=STOCK)
    browser = visitor()

    def race(request: Any) -> None:
        request.session["mine"] = 1
        other = SessionStore(request.session.session_key)
        other["theirs"] = 1
        other.save()

    def end(request: Any) -> None:
        request.session["mine"] = 2
        SessionStore(request.session.session_key).flush()

    hook("race", race)
    hook("end", end)
    browser.get("/do/set?a=1")
    assert browser.get("/do/race").status_code == 200
    assert browser.get("/do/read").json() == {"a": "1", "mine": 1, "theirs": 1}
    assert browser.get("/do/end").status_code == 400


# -- one session for two frameworks


async def _who(request: Request) -> Response:
    return JSONResponse(get_session(request).subject)


async def _count(request: Request) -> Response:
    return JSONResponse(get_session(request).increment("n"))


async def _logout(request: Request) -> Response:
    get_session(request).logout()
    return JSONResponse(None)


def test_a_login_in_django_is_one_in_starlette(configure: Configure, ann: Any) -> None:
    """Same store, same cookie, short ids: what one sets the other reads, and a logout ends both."""
    store = MemoryStore()
    configure({"store": store})
    manager = SessionManager(
        store, short_ids=True, cookie=CookiePolicy(name="sessionid", secure=False), namespace="sessionid"
    )
    routes = [Route("/who", _who), Route("/count", _count), Route("/logout", _logout)]
    app = Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, manager=manager)])
    django = visitor()
    with TestClient(app) as starlette:
        key = django.get("/do/login?name=ann").json()
        starlette.cookies.set("sessionid", key)
        assert starlette.get("/who").json() == str(ann.pk)
        assert starlette.get("/count").json() == 1
        assert django.get("/do/increment").json() == 2
        assert starlette.get("/count").json() == 3
        starlette.get("/logout")
        assert django.get("/do/who").json() == ""


def test_a_session_of_starlette_is_one_in_django(configure: Configure) -> None:
    """Its id fits into Django's columns."""
    store = MemoryStore()
    configure({"store": store})
    manager = SessionManager(
        store, short_ids=True, cookie=CookiePolicy(name="sessionid", secure=False), namespace="sessionid"
    )
    app = Starlette(routes=[Route("/count", _count)], middleware=[Middleware(SessionMiddleware, manager=manager)])
    with TestClient(app) as starlette:
        starlette.get("/count")
        key = starlette.cookies["sessionid"]
    assert len(key) == 40
    assert SessionStore(key)["n"] == 1
