"""What the compiled build could do otherwise than the pure one: the same tests run on both."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from decimal import Decimal
from typing import Any

import pytest

import limpet
from limpet import Session, SessionManager, UnstorableValue
from limpet.adapters._dict import DictSession
from limpet.asgi import SessionMiddleware
from limpet.contract import Outcome, Record
from limpet.serializers.msgpack import MsgpackSerializer
from limpet.stores.memory import MemoryStore
from limpet.testing import client
from limpet.transports.cookie import CookieTransport


class Basket(Session):
    """A session of an application's own, with an attribute, a method, and one that it replaces."""

    def put(self, item: str) -> int:
        """Add an item and return how many there are."""
        self.setdefault("items", []).append(item)
        return len(self["items"])

    def login(
        self,
        subject: Any,
        *,
        remember: bool = False,
        tags: Mapping[str, str] | None = None,
        acr: str | None = None,
        amr: Iterable[str] = (),
    ) -> None:
        """Log in under a name in lower case."""
        super().login(subject.lower(), remember=remember, tags=tags, acr=acr, amr=amr)


class Counting(MemoryStore):
    """A store that counts what it is asked, and keeps the numbers in attributes of its own."""

    def __init__(self) -> None:
        super().__init__(max_records=10)
        self.loads = self.updates = 0

    async def load(self, key: str) -> Record | None:
        """Count, and load."""
        self.loads += 1
        return await super().load(key)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Count, and update."""
        self.updates += 1
        return await super().update(key, record, expected, now=now)


class Loud(MsgpackSerializer):
    """A serializer that was changed a little."""

    def decode(self, data: bytes) -> Any:
        """Decode, and note that it was asked."""
        self.asked = True
        return super().decode(data)


class Middleware(SessionMiddleware):
    """A middleware whose sessions are baskets."""

    make = Basket


async def _shop(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    session = scope["session"]
    if scope["path"] == "/put":
        session.put("tea")
    elif scope["path"] == "/login":
        session.login("ANN")
    text = f"{type(session).__name__} {len(session.get('items', []))} {session.subject}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text})


def test_classes_of_an_application_take_the_place_of_ours() -> None:
    """Subclasses of session, store, serializer and middleware are what a request goes through."""
    store, serializer = Counting(), Loud()
    app = Middleware(_shop, SessionManager(store, serializer=serializer))
    with client(app) as browser:
        assert browser.get("/put").text == "Basket 1 None"
        assert browser.get("/put").text == "Basket 2 None"
        assert browser.get("/login").text == "Basket 2 ann"
    assert store.loads >= 2
    assert store.updates >= 1
    assert serializer.asked


def test_a_transport_can_be_changed() -> None:
    """A subclass of the transport writes what it likes."""

    class Short(CookieTransport):
        def write(self, token: str, max_age: int | None) -> tuple[bytes, bytes]:
            name, line = super().write(token, max_age)
            return name, line + b"; Priority=High"

    cookie = limpet.CookiePolicy(secure=False)
    transport = Short("session", cookie)
    app = Middleware(_shop, SessionManager("memory:", transport=transport, cookie=cookie))
    with client(app) as browser:
        assert browser.get("/put").headers["set-cookie"].endswith("; Priority=High")


def test_a_session_is_a_mapping() -> None:
    """It is a `MutableMapping` with everything that comes with one, equal by what it holds, and not hashable."""
    session = Session.standalone({"a": 1})
    assert isinstance(session, MutableMapping)
    assert session == {"a": 1} == dict(session)
    assert session != {"a": 2}
    assert session == Session.standalone({"a": 1})
    assert session | {"b": 2} == {"a": 1, "b": 2}
    assert copy.copy(session) == copy.deepcopy(session) == {"a": 1}
    assert session.pop("a") == 1
    assert [*session.items()] == []
    with pytest.raises(TypeError, match="unhashable"):
        hash(session)


@pytest.mark.parametrize(("by", "kind"), [(1, int), (0.5, float), (Decimal("0.1"), Decimal)])
def test_a_number_keeps_its_type(by: Any, kind: type) -> None:
    """What is added decides: an int is no float, and a Decimal is exact."""
    session = Session.standalone()
    assert type(session.increment("n", by)) is kind
    assert type(session["n"]) is kind


def test_what_is_nested_too_deep_is_refused() -> None:
    """Compiled recursion has no limit of its own: a value of a million levels is an error, and not the end."""
    value: Any = []
    for _ in range(1_000_000):
        value = [value]
    with pytest.raises(UnstorableValue, match="nested"):
        MsgpackSerializer().encode({"value": value})
    while value:  # taken apart from outside, as the interpreter would run out of stack
        value = value[0]


def test_a_traceback_shows_our_lines() -> None:
    """An error names the file and the function in which it was raised, whatever the build."""
    session: Any = Session.standalone()
    with pytest.raises(UnstorableValue) as refused:
        session[7] = 1
    told = "".join(traceback.format_exception(refused.value))
    assert "mapping.py" in told
    assert "in __setitem__" in told


def test_the_session_that_is_a_dict_follows_the_methods_of_the_session() -> None:
    """What `login`, `logout` and `increment` do shows in the dict at once."""
    shown = DictSession({"a": 1})
    assert shown["a"] == 1
    assert shown.increment("a") == 2
    assert dict(shown) == {"a": 2}
    shown.logout()
    assert dict(shown) == {}


def test_a_dict_is_no_session() -> None:
    """Only what was registered is: a plain dict is a mapping, and no session."""
    plain: Any = {}
    assert not isinstance(plain, Session)
    assert isinstance(DictSession(), Session)
    assert not isinstance(plain, Basket)


async def test_the_engine_takes_the_session_that_is_a_dict() -> None:
    """What a framework hands out for a session goes wherever a session goes."""
    manager = SessionManager("memory:")
    session = manager.begin([])
    shown: Any = DictSession(session)
    session.login("ann")
    await manager.commit(session)
    assert [each.current for each in await manager.sessions_of("ann", current=shown)] == [True]
