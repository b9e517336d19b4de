"""What `use_sessions` of BlackSheep may be given: own stores, keys, signers, serializers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from blacksheep import Request, Response, Router, WebSocket
from itsdangerous import URLSafeSerializer

import limpet
from limpet import (
    ConfigurationError,
    CookiePolicy,
    Keyring,
    LimpetWarning,
    SessionClosed,
    SessionError,
    SessionManager,
    SessionPolicy,
    StoreUnavailable,
    UnstorableValue,
)
from limpet.adapters.blacksheep import Application, get_session
from limpet.adapters.blacksheep.sessions import Serializer
from limpet.adapters.blacksheep.sessions.abc import Session, SessionStore
from limpet.adapters.blacksheep.sessions.memory import InMemorySessionStore
from limpet.keyring import generate_secret
from limpet.testing import client
from limpet.transports import HeaderTransport
from tests.adapters.blacksheep_site import count, site

KEY = "p3Zt0vKQx9hWmYc7LrNaE5uJdSf1GbTo2HiXqVwDk8M"


class Own(SessionStore):
    """A store that keeps one session for everybody."""

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        self.values = values or {}
        self.saves = 0

    async def load(self, request: Request) -> Session:
        return Session(self.values)

    async def save(self, request: Request, response: Response, session: Session) -> None:
        self.saves += 1
        self.values = session.to_dict()


def test_own_store_is_told_only_of_changes() -> None:
    """A store of the application's own is asked to save what changed, an object inside too, and never else."""
    stored = SimpleNamespace(n=1)
    store = Own({"thing": stored, "list": [1]})

    def look(request: Request) -> str:
        session = get_session(request)
        if request.query.get("change"):
            session["thing"].n += 1
        return f"{session['list']} {session['thing'].n} {session.modified}"

    _, browser = site(look, store)
    assert browser.get("/").text == "[1] 1 False"
    assert store.saves == 0
    assert browser.get("/?change=1").text == "[1] 2 True"
    assert store.saves == 1


@pytest.mark.parametrize(("word", "arguments"), [("login", ["ann"]), ("regenerate", []), ("expire_in", [5])])
def test_own_store_has_no_ids(word: str, arguments: list[Any]) -> None:
    """What a store of the application's own cannot do raises, with what can."""

    def ask(request: Request) -> str:
        session = get_session(request)
        with pytest.raises(SessionError, match="URL"):
            getattr(session, word)(*arguments)
        return str(session.modified)

    assert site(ask, Own())[1].get("/").text == "False"


async def test_own_store_saves_at_its_own_time() -> None:
    """`save` of such a session raises, and so does a write after the response has started."""
    held: list[limpet.Session] = []

    async def keep(request: Request) -> str:
        session = get_session(request)
        session["a"] = 1
        with pytest.raises(SessionError):
            await session.save()
        held.append(session)
        return "kept"

    store = Own()
    _, browser = site(keep, store)
    assert browser.get("/").text == "kept"
    assert store.values == {"a": 1}
    with pytest.raises(SessionClosed):
        held[0]["b"] = 2


def test_own_store_that_fails() -> None:
    """What a store of the application's own raises goes the way of a handler's errors."""

    class Broken(Own):
        async def load(self, request: Request) -> Session:
            if request.query.get("load"):
                raise StoreUnavailable(retry_after=7)
            return Session()

        async def save(self, request: Request, response: Response, session: Session) -> None:
            raise LookupError

    _, browser = site(count, Broken())
    assert browser.get("/").status_code == 500
    unavailable = browser.get("/?load=1")
    assert (unavailable.status_code, unavailable.headers["retry-after"]) == (503, "7")


def test_own_store_on_a_socket() -> None:
    """On a WebSocket a store of the application's own is read, and writing raises."""
    app, browser = site(count, Own({"name": "ann"}))

    async def socket(socket: WebSocket) -> None:
        session = get_session(socket)
        await socket.accept()
        try:
            session["name"] = "eve"
        except SessionClosed:
            await socket.send_text(f"{session['name']} stays")
        await socket.close()

    app.router.add_ws("/socket", socket)
    with browser.websocket_connect("/socket") as talk:
        assert talk.receive_text() == "ann stays"


def test_clearing_an_own_stores_session() -> None:
    """`clear` hands a store of the application's own an empty session; clearing an empty one changes nothing."""

    def clear(request: Request) -> str:
        get_session(request).clear()
        return "cleared"

    store = Own({"a": 1})
    _, browser = site(clear, store)
    browser.get("/")
    assert (store.values, store.saves) == ({}, 1)
    browser.get("/")
    assert store.saves == 1


@pytest.mark.parametrize(
    ("given", "settings", "complaint"),
    [
        (None, {}, "environment variable is not set"),
        (b"bytes", {}, "not bytes"),
        ("", {}, "empty"),
        (KEY, {"session_max_age": 5, "policy": SessionPolicy()}, "one of them"),
        (KEY, {"session_max_age": 0}, "too short"),
        (KEY, {"session_cookie": "a", "cookie": CookiePolicy(name="b")}, "differ"),
        (KEY, {"session_cookie": "a b"}, "no token"),
        (KEY, {"serializer": json}, "read"),
        ("memory:", {"signer": URLSafeSerializer("k")}, "in place of the store"),
        ("mysql://localhost/app", {}, "scheme"),
        (InMemorySessionStore(), {"transport": HeaderTransport()}, "InMemorySessionStore"),
        (SessionManager("memory:"), {"policy": SessionPolicy()}, "SessionManager"),
        (Own(), {"lazy": True}, "lazy"),
        (Own(), {"exclude": ("/a",)}, "exclude"),
    ],
)
def test_settings_that_cannot_work(given: Any, settings: dict[str, Any], complaint: str) -> None:
    """A setting that cannot work is refused where it is given, with the cure, and never shows a key."""
    with pytest.raises(ConfigurationError, match=complaint):
        Application(router=Router()).use_sessions(given, **settings)


def test_sessions_are_given_once() -> None:
    """A second `use_sessions` is refused."""
    app, _ = site(count)
    with pytest.raises(ConfigurationError, match="once"):
        app.use_sessions("memory:")


def test_weak_keys_are_taken_with_a_warning() -> None:
    """A key as in documentation works, and is warned about; with a signer it has nothing to protect."""
    with pytest.warns(LimpetWarning, match="keygen"):
        _, browser = site(count, "<a key>")
    assert browser.get("/").text == "1"
    assert site(count, "<a key>", signer=URLSafeSerializer("k"))[1].get("/").text == "1"


def test_endless_cookies_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    """A cookie session without an end is BlackSheep's default: it is logged once, with the cure."""
    site(count, KEY, session_max_age=60)
    site(count, KEY, policy=SessionPolicy())
    site(count, "memory:")
    assert caplog.text == ""
    _, browser = site(count, KEY)
    browser.get("/")
    assert caplog.text.count("session_max_age=86400") == 1


def test_keys_can_be_rotated() -> None:
    """A keyring in the key's place reads the cookies of its older keys and writes under the newest."""
    old, new = generate_secret(), generate_secret()
    _, before = site(count, old)
    before.get("/")
    _, after = site(count, Keyring([new, old]))
    after.cookies.update(before.cookies)
    assert after.get("/").text == "2"
    _, later = site(count, new)
    later.cookies.update(after.cookies)
    assert later.get("/").text == "3"


def test_default_serializer_keeps_types() -> None:
    """What a cookie session holds comes back with its type."""
    values = {"when": datetime(2030, 1, 31, tzinfo=UTC), "price": Decimal("1.10"), "pair": (1, 2), "set": {"a"}}

    def keep(request: Request) -> str:
        session = get_session(request)
        if not session:
            session.update(values)
        return str(dict(session) == values and type(session["pair"]) is tuple)

    _, browser = site(keep, KEY)
    assert [browser.get("/").text for _ in range(2)] == ["True", "True"]


class Words(Serializer):
    """A serializer that knows plain JSON and complex numbers."""

    def read(self, value: str) -> Session:
        return Session({key: complex(*v) if type(v) is list else v for key, v in json.loads(value).items()})

    def write(self, session: Session) -> str:
        return json.dumps(session.to_dict(), default=lambda value: [value.real, value.imag])


def test_own_serializer_keeps_its_types() -> None:
    """A serializer of the application's own may know types that limpet does not, beside a login and its deadline."""

    def keep(request: Request) -> str:
        session = get_session(request)
        if session.subject is None:
            session.login("ann")
            session["user"] = 2 + 3j
        return f"{session.subject} {session['user']}"

    _, browser = site(keep, KEY, serializer=Words())
    assert [browser.get("/").text for _ in range(2)] == ["ann (2+3j)", "ann (2+3j)"]


def test_own_serializer_that_cannot_write() -> None:
    """What it cannot write is refused with the key's name; what it cannot read is no session, and no error."""

    class Picky(Words):
        def read(self, value: str) -> Session:
            raise RuntimeError("never")

    def keep(request: Request) -> str:
        get_session(request)["fine"] = 1
        if request.query.get("bad"):
            get_session(request)["bad"] = object()
        return str(len(get_session(request)))

    _, browser = site(keep, KEY, serializer=Picky())
    with pytest.raises(UnstorableValue, match="bad"):
        client(browser.app).get("/?bad=1")
    assert [browser.get("/").text for _ in range(2)] == ["1", "1"]


def test_signed_cookies_keep_the_login() -> None:
    """Under an own signer the subject is kept, and a signature for another purpose is no session."""

    def who(request: Request) -> str:
        session = get_session(request)
        if request.query.get("name"):
            session.login(request.query["name"][0])
        return str(session.subject)

    signer = URLSafeSerializer("k")
    _, browser = site(who, KEY, signer=signer)
    assert browser.get("/?name=zoë").text == "zoë"
    assert browser.get("/").text == "zoë"
    for text in ("reset my password", "", 7, {"a": 1}, "limpet.", "limpet.AAAA", "limpet.é"):
        browser.cookies.clear()
        browser.cookies.set("session", str(signer.dumps(text)))
        assert browser.get("/").text == "None"
