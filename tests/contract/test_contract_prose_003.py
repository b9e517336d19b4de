"""What BlackSheep's documentation promises between its tables, on the real framework and real services."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from urllib.parse import quote

import pytest
from blacksheep import Request, Response, Router, text
from blacksheep.server.rendering.jinja2 import JinjaRenderer
from blacksheep.server.responses import view
from blacksheep.settings.html import html_settings
from itsdangerous import URLSafeSerializer
from jinja2 import DictLoader

from limpet import SessionManager
from limpet.adapters.blacksheep import Application
from limpet.adapters.blacksheep.sessions.memory import InMemorySessionStore
from limpet.stores import MemoryStore
from limpet.testing import client
from limpet.transports import HeaderTransport
from tests.contract.blacksheep_site import KEY, Shelf, Site, cookie_in, count
from tests.kept import kept_in

PAGE = Path(__file__).resolve().parents[2] / "docs" / "frameworks" / "blacksheep.md"


def test_p_15_id_alone_or_the_whole_session() -> None:
    """One handler serves both: with a key the cookie grows with the session, with a store it stays an id."""

    def fill(request: Request) -> str:
        request.session[f"page {len(request.session)}"] = "read and liked, " * 10
        return str(len(request.session))

    def sizes(store: object) -> list[int]:
        site = Site(fill, store)
        sizes = []
        for number in range(1, 4):
            assert site.first.get("/").text == str(number)
            sizes.append(len(site.first.cookies["session"]))
        return sizes

    whole, alone = sizes(KEY), sizes(InMemorySessionStore())
    assert whole[0] < whole[1] < whole[2]
    assert alone == [43, 43, 43]


def test_p_16_cookies_or_headers() -> None:
    """The id travels in a cookie, or in a header both ways, by a setting or by a store of the application's own."""
    for site in (Site(count, "memory:", transport=HeaderTransport("X-Visit")), Site(count, Shelf())):
        name = "x-visit" if site.app._sessions else "x-session-id"
        answer = site.first.get("/")
        assert site.first.get("/", headers={name: answer.headers[name]}).text == "2"
        assert "set-cookie" not in answer.headers


def test_p_16_cookies_and_headers() -> None:
    """Browsers with cookies and programs with headers meet in one store, on the same sessions."""
    store = MemoryStore()
    pages = Site(count, SessionManager(store, namespace="shop"))
    calls = Site(count, SessionManager(store, namespace="shop", transport=HeaderTransport("X-Session-ID")))
    token = cookie_in(pages.first.get("/"), "__Host-Http-session").value
    assert calls.first.get("/", headers={"X-Session-ID": token}).text == "2"
    assert pages.first.get("/").text == "3"


def test_p_17_valkey(redis_url: str, redis_prefix: str) -> None:
    """Valkey holds one record for a session, whatever happens to it, and none after its end."""
    _check_records(f"{redis_url}?prefix={quote(redis_prefix)}")


def test_p_17_postgresql(postgres_url: str, postgres_schema: str) -> None:
    """PostgreSQL holds one record for a session, whatever happens to it, and none after its end."""
    glue = "&" if "?" in postgres_url else "?"
    _check_records(f"{postgres_url}{glue}schema={quote(postgres_schema)}")


def _check_records(url: str) -> None:
    def note(request: Request) -> str:
        if request.query.get("end"):
            request.session.clear()
        else:
            request.session["note"] = f"noted {len(request.query)}"
        return "done"

    site = Site(note, url)
    with site.first as browser:
        browser.get("/")
        browser.get("/?again=1")
        (payload,) = kept_in(url)
        assert b"noted 1" in payload
        browser.get("/?end=1")
        assert kept_in(url) == []


def test_p_18_memory_is_of_one_object() -> None:
    """Another `InMemorySessionStore`, as after a restart or in another process, knows none of the sessions."""
    before, after = Site(count, InMemorySessionStore()), Site(count, InMemorySessionStore())
    token = cookie_in(before.first.get("/")).value
    assert before.replay(token) == "2"
    assert after.replay(token) == "1"


@pytest.mark.parametrize("store", [KEY, "memory:"], ids=["cookie", "store"])
def test_p_19_anti_forgery(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """BlackSheep's anti-forgery works beside the session: a form needs its token, and the session is saved."""
    csrf = import_module("limpet.adapters.blacksheep.server.csrf")
    page = JinjaRenderer(DictLoader({"form.jinja": "<form>{% af_input %}</form>"}))
    monkeypatch.setattr(html_settings, "_renderer", page)
    router = Router()
    app = Application(router=router)
    app.use_sessions(store)
    csrf.use_anti_forgery(app, csrf.AntiForgeryHandler(serializer=URLSafeSerializer("anti-forgery key")))

    @router.get("/form")
    def form(request: Request) -> Response:
        request.session["forms"] = request.session.get("forms", 0) + 1
        return view("form", request=request)

    @router.post("/form")
    def submit(request: Request) -> Response:
        request.session["sent"] = request.session.get("sent", 0) + 1
        return text(f"{request.session['forms']} {request.session['sent']}")

    with client(app) as browser:
        found = re.search('value="(.+?)"', browser.get("/form").text)
        assert found is not None
        token = found[1]
        assert {"session", "aftoken"} == set(browser.cookies)
        assert browser.post("/form").status_code == 401
        assert browser.post("/form", headers={"RequestVerificationToken": token[:-1]}).status_code == 401
        assert browser.post("/form", headers={"RequestVerificationToken": token}).text == "1 1"
        assert browser.post("/form", data={"__RequestVerificationToken": token}).text == "1 2"


def test_p_20_max_age_counts_from_the_last_save() -> None:
    """A change starts `session_max_age` anew, and looking at the session does not; the page says so."""

    def handle(request: Request) -> str:
        return count(request) if request.query.get("write") else str(request.session.get("visits", 0))

    for store in (KEY, "memory:"):
        site = Site(handle, store, session_max_age=600)
        clock = site.clock()
        site.first.get("/?write=1")
        clock.advance(500)
        assert site.first.get("/?write=1").text == "2"
        clock.advance(500)
        assert site.first.get("/").text == "2"
        clock.advance(100)
        assert site.first.get("/").text == "0"
    assert "counts from the last save" in PAGE.read_text("utf-8")
