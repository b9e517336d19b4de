"""What BlackSheep's documentation says about sessions, row by row, on the real framework."""

from __future__ import annotations

import base64
import inspect
import json
import string
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from blacksheep import Request
from itsdangerous import Serializer as PlainSigner
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

from limpet.adapters.blacksheep import Application
from limpet.adapters.blacksheep.sessions import JSONSerializer, Serializer
from limpet.adapters.blacksheep.sessions.abc import Session, SessionStore
from limpet.adapters.blacksheep.sessions.memory import InMemorySessionStore
from limpet.transports import HeaderTransport
from tests.contract.blacksheep_site import KEY, Drawer, Shelf, Site, cookie_in, count

SCRIPT = f"""
from limpet.adapters.blacksheep import Application, Request, get, text
from limpet.testing import client

app = Application()
app.use_sessions("{KEY}")

@get("/colour")
def colour(request: Request):
    session = request.session
    session["colour"] = "teal"
    return text(session["colour"])

@get("/kept")
def kept(request: Request):
    return text(request.session["colour"])

with client(app) as browser:
    print(browser.get("/colour").text, browser.get("/kept").text)
"""

BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def test_b_01_key_and_decorated_handler() -> None:
    """`use_sessions` takes a key, and a handler of the module's `get` reads back what it set."""
    # A process of its own, because `get` registers with the one router that a process has.
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["teal", "teal"]


def test_b_02_cookie_is_called_session() -> None:
    """Without an option the cookie's name is ``session``."""
    assert cookie_in(Site(count).first.get("/"), "session").value


def test_b_03_session_cookie() -> None:
    """`session_cookie` names the cookie."""
    site = Site(count, session_cookie="trolley")
    assert cookie_in(site.first.get("/"), "trolley").value
    assert site.first.get("/").text == "2"
    assert list(site.first.cookies) == ["trolley"]


class Shouting(Serializer):
    """Keeps sessions as upper-case JSON."""

    def read(self, value: str) -> Session:
        return Session(json.loads(value.lower()))

    def write(self, session: Session) -> str:
        return json.dumps(session.to_dict()).upper()


def test_b_04_serializer() -> None:
    """`serializer` writes what is sealed into the cookie, and reads it again."""

    def remember(request: Request) -> str:
        if "word" not in request.session:
            request.session["word"] = "Quiet"
        return str(request.session["word"])

    site = Site(remember, serializer=Shouting())
    assert site.first.get("/").text == "Quiet"
    assert site.first.get("/").text == "quiet"


def test_b_05_json_serializer() -> None:
    """`JSONSerializer` can be named, writes JSON, and is what serves when nothing is named."""
    assert json.loads(JSONSerializer().write(Session({"a": [1, None]}))) == {"a": [1, None]}
    assert JSONSerializer().read('{"a": 1}') == {"a": 1}
    token = cookie_in(Site(count, serializer=JSONSerializer()).first.get("/")).value
    assert Site(count).replay(token) == "2"


def test_b_05b_serializer_type() -> None:
    """`Serializer` can be imported and subclassed; a subclass has to write and to read."""
    assert inspect.isabstract(Serializer)
    assert Serializer.__abstractmethods__ == {"read", "write"}
    assert issubclass(JSONSerializer, Serializer)


def test_b_06_signer() -> None:
    """`signer` vouches for the cookie: what another one signed is no session."""
    ours, theirs = URLSafeTimedSerializer("one key"), URLSafeTimedSerializer("another key")
    site = Site(count, signer=ours)
    token = cookie_in(site.first.get("/")).value
    assert ours.loads(token)
    assert site.replay(token) == "2"
    assert Site(count, signer=theirs).replay(token) == "1"


@pytest.mark.parametrize("signer", [PlainSigner("key"), URLSafeSerializer("key")], ids=["quotes", "no time"])
def test_b_06_any_signer(signer: Any) -> None:
    """A signer may write what cookies cannot hold, and need know no time for `session_max_age` to hold."""
    site = Site(count, signer=signer, session_max_age=60)
    clock = site.clock()
    assert [site.first.get("/").text for _ in range(3)] == ["1", "2", "3"]
    clock.advance(60)
    assert site.first.get("/").text == "1"


@pytest.mark.parametrize("signer", [None, URLSafeTimedSerializer("key")], ids=["encrypted", "signed"])
def test_b_07_session_max_age(signer: Any) -> None:
    """`session_max_age` is seconds, and a cookie that is replayed after them is refused by the server."""
    site = Site(count, session_max_age=600, signer=signer)
    clock = site.clock()
    token = cookie_in(site.first.get("/")).value
    clock.advance(599)
    assert site.replay(token) == "2"
    clock.advance(1)
    assert site.replay(token) == "1"


def test_b_07b_no_limit() -> None:
    """Without `session_max_age` the cookie has no Max-Age, and the server takes it after any time."""
    site = Site(count)
    clock = site.clock()
    cookie = cookie_in(site.first.get("/"))
    assert (cookie["max-age"], cookie["expires"]) == ("", "")
    clock.advance(20 * 365 * 86_400)
    assert site.replay(cookie.value) == "2"


def test_b_07c_browser_is_told() -> None:
    """`session_max_age` is the Max-Age of the cookie."""
    assert cookie_in(Site(count, session_max_age=1800).first.get("/"))["max-age"] == "1800"


@pytest.mark.parametrize("signer", [None, URLSafeTimedSerializer("key")], ids=["encrypted", "signed"])
def test_b_08_tampered_cookie(signer: Any) -> None:
    """A cookie that somebody changed anywhere is an empty session and no error."""
    site = Site(count, signer=signer)
    token = cookie_in(site.first.get("/")).value
    assert site.replay(token) == "2"
    for place in range(0, len(token), 7):
        # The highest bit: the lowest ones of a last character may be padding, which itsdangerous does not look at.
        other = BASE64[BASE64.index(token[place]) ^ 32] if token[place] in BASE64 else "A"
        assert site.replay(token[:place] + other + token[place + 1 :]) == "1"


def test_b_09_client_cannot_read() -> None:
    """The cookie is encrypted: the client finds no value in it, in whatever way it decodes it."""

    def confide(request: Request) -> str:
        request.session["confession"] = "I like tea"
        return "told"

    token = cookie_in(Site(confide).first.get("/")).value
    plain = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for word in (b"confession", b"tea", base64.b64encode(b"I like tea")[:12]):
        assert word not in plain
        assert word not in token.encode()


def test_b_10_abc() -> None:
    """`Session` and `SessionStore` can be imported from ``sessions.abc``: a mapping, and a class to fill in."""
    assert Session({"a": 1})["a"] == 1
    assert SessionStore.__abstractmethods__ == {"load", "save"}


def test_b_11_own_store() -> None:
    """`use_sessions` takes a store that the application wrote: it is asked before the handler and told after it."""
    store = Drawer()
    site = Site(count, store)
    assert [site.first.get("/").text for _ in range(3)] == ["1", "2", "3"]
    assert site.browser().get("/").text == "1"
    assert store.kept == {"d0": {"visits": 3}, "d1": {"visits": 1}}


def test_b_12_own_store_over_headers() -> None:
    """A store of the application's own may use headers: nothing is sent as a cookie."""
    site = Site(count, Shelf())
    answer = site.first.get("/")
    assert "set-cookie" not in answer.headers
    number = answer.headers["x-session-id"]
    assert site.first.get("/", headers={"X-Session-ID": number}).text == "2"
    assert site.first.get("/").text == "1"


@pytest.mark.parametrize("store", [KEY, "memory:"], ids=["whole session", "id"])
def test_b_12b_header_transport(store: str) -> None:
    """`transport=HeaderTransport(...)` does the same without a store of the application's own."""
    site = Site(count, store, transport=HeaderTransport("X-Session-ID"))
    answer = site.first.get("/")
    assert "set-cookie" not in answer.headers
    assert answer.headers["vary"] == "X-Session-ID"
    token = answer.headers["x-session-id"]
    second = site.first.get("/", headers={"X-Session-ID": token})
    assert second.text == "2"
    assert site.first.get("/", headers={"Cookie": f"session={token}"}).text == "1"


@pytest.mark.parametrize("make", [Drawer, lambda: InMemorySessionStore("drawer")], ids=["own", "memory"])
def test_b_13_other_parameters_are_ignored(make: Callable[[], SessionStore]) -> None:
    """With a store, the other documented parameters change nothing."""
    signer = URLSafeTimedSerializer("key")
    site = Site(count, make(), session_cookie="other", serializer=Shouting(), signer=signer, session_max_age=1)
    assert [site.first.get("/").text for _ in range(3)] == ["1", "2", "3"]
    assert list(site.first.cookies) == ["drawer"]


def test_b_25_keywords() -> None:
    """All that the signature documents can be given by keyword, beside a key by position."""
    site = Site(
        count,
        KEY,
        session_cookie="old",
        serializer=JSONSerializer(),
        signer=URLSafeTimedSerializer(KEY),
        session_max_age=5,
    )
    cookie = cookie_in(site.first.get("/"), "old")
    assert cookie["max-age"] == "5"
    assert site.first.get("/").text == "2"
    parameters = inspect.signature(Application.use_sessions).parameters
    documented = ["store", "session_cookie", "serializer", "signer", "session_max_age"]
    assert list(parameters)[1:6] == documented
    assert [parameters[name].default for name in documented[1:]] == ["session", None, None, None]
