"""Stores over an application's own documents, FastMVC's three methods and Nexios' backend: they keep sessions only."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from limpet import Session, SessionBusy, SessionManager
from limpet.adapters import fastmvc, nexios
from limpet.adapters._documents import DocumentStore
from limpet.adapters.fastmvc._store import OwnStore
from limpet.adapters.nexios._backend_store import BackendStore
from limpet.serializers.json import JSONSerializer
from limpet.serializers.msgpack import MsgpackSerializer
from limpet.stores import Store
from limpet.testing import FakeClock, StoreSuite


class Documents:
    """What an application keeps, and all that it was ever given.

    Attributes:
        kept: The documents by their key.
        seen: Those that were saved.
        lost: Removals that happen and whose reply is lost.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.seen: list[dict[str, Any]] = []
        self.lost = 0

    def load(self, key: str) -> dict[str, Any]:
        return copy.deepcopy(self.kept.get(key, {}))

    def save(self, key: str, document: dict[str, Any]) -> None:
        self.seen.append(document)
        self.kept[key] = copy.deepcopy(document)

    def remove(self, key: str) -> None:
        self.kept.pop(key, None)
        if self.lost:
            self.lost -= 1
            raise ConnectionResetError


class ThreeMethods(fastmvc.SessionStore):
    """As FastMVC documents a store."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents

    async def load(self, session_id: str) -> fastmvc.Session:
        return fastmvc.Session(session_id, self.documents.load(session_id))

    async def save(self, session: fastmvc.Session) -> None:
        self.documents.save(str(session.id), session.data)

    async def delete(self, session_id: str) -> None:
        self.documents.remove(session_id)


class Backend(nexios.BaseSessionInterface):
    """As Nexios 3.12 documents a backend."""

    def __init__(self, documents: Documents) -> None:
        super().__init__()
        self.documents = documents

    async def load(self, session: Any) -> None:  # type: ignore[override]
        session._session_cache = self.documents.load(session.get_session_key())

    async def save(self, session: Any) -> None:  # type: ignore[override]
        if session.deleted:
            self.documents.remove(session.get_session_key())
        else:
            self.documents.save(session.get_session_key(), session._session_cache)


class Visitor:
    """A browser of an application that keeps its documents itself."""

    def __init__(self, kind: str) -> None:
        self.documents = Documents()
        self.clock = FakeClock()
        serializer: Any = JSONSerializer() if kind == "fastmvc" else MsgpackSerializer()
        self.store: DocumentStore = (
            OwnStore(ThreeMethods(self.documents))
            if kind == "fastmvc"
            else BackendStore(Backend(self.documents), serializer, self.clock)
        )
        self.manager = SessionManager(self.store, serializer=serializer, clock=self.clock)
        self.token = ""

    async def visit(self, act: Callable[[Session], object], token: str | None = None) -> bytes | None:
        """Send a request; return its ``Set-Cookie``, which the browser keeps."""
        sent = self.token if token is None else token
        session = self.manager.begin([(b"cookie", f"{self.manager.cookie_name}={sent}".encode())] if sent else [])
        await self.manager.load(session)
        act(session)
        await self.manager.commit(session)
        header = self.manager.header(session)
        if header is not None and token is None:
            self.token = header[1].decode().partition(";")[0].partition("=")[2]
        return None if header is None else header[1]

    async def seen(self, token: str | None = None) -> dict[str, Any]:
        """Return what the session holds."""
        found: dict[str, Any] = {}
        await self.visit(found.update, token)
        return found


class TestThreeMethods(StoreSuite):
    """Within one process three methods keep every promise of a store."""

    @pytest.fixture
    def store(self) -> Store:
        """Return what drives them."""
        return OwnStore(ThreeMethods(Documents()))


class TestBackend(StoreSuite):
    """So does a backend."""

    @pytest.fixture
    def store(self) -> Store:
        """Return what drives it."""
        return BackendStore(Backend(Documents()), MsgpackSerializer(), FakeClock())


@pytest.fixture(params=["fastmvc", "nexios"])
def visitor(request: pytest.FixtureRequest) -> Visitor:
    """Return a browser with nothing in it."""
    return Visitor(request.param)


async def test_only_sessions_are_kept(visitor: Visitor) -> None:
    """Logins, changes of id, locks and logouts give the application no document that is not a session."""
    documents = visitor.documents
    await visitor.visit(lambda session: session.update(cart=["tea"]))
    await visitor.visit(lambda session: session.login("ann"))
    assert len(documents.kept) == 1
    await visitor.visit(Session.regenerate)
    assert len(documents.kept) == 1
    session = visitor.manager.begin([(b"cookie", f"{visitor.manager.cookie_name}={visitor.token}".encode())])
    await visitor.manager.load(session)
    async with session.exclusive("pay"):
        assert len(documents.kept) == 1
        with pytest.raises(SessionBusy):
            async with (
                visitor.manager.exclusive(f"other {visitor.token}", wait=0),
                visitor.manager.exclusive(f"other {visitor.token}", wait=0),
            ):
                pytest.fail("two held one lock")
    assert await visitor.seen() == {"cart": ["tea"]}
    await visitor.visit(Session.logout)
    assert documents.kept == {}
    assert documents.seen
    for document in documents.seen:
        assert set(document) == {"cart", "_limpet"}
        assert "payload" not in document["_limpet"]


async def test_an_id_that_ended_is_known_for_a_minute(visitor: Visitor) -> None:
    """Within this process: whoever comes with it stores nothing and gets no cookie; afterwards it is any old id."""
    for end in (Session.regenerate, Session.logout):
        await visitor.visit(lambda session: session.update(cart=["tea"]))
        old = visitor.token
        await visitor.visit(end)
        before = copy.deepcopy(visitor.documents.kept)
        assert await visitor.visit(lambda session: session.update(late=1), old) is None
        assert visitor.documents.kept == before
        visitor.clock.advance(61)
        assert await visitor.visit(lambda session: session.update(late=1), old) is not None
        visitor.token = ""


async def test_a_removal_whose_reply_is_lost(visitor: Visitor) -> None:
    """The session lives on under its new id, whole: that the old document is gone is no logout."""
    await visitor.visit(lambda session: session.update(cart=["tea"]))
    old = visitor.token
    visitor.documents.lost = 1
    await visitor.visit(Session.regenerate)
    assert visitor.token != old
    assert await visitor.seen() == {"cart": ["tea"]}
    assert await visitor.seen(old) == {}
    assert len(visitor.documents.kept) == 1


@pytest.mark.parametrize(
    "noted", [{"version": "x"}, {}, [1], 7, {"version": 1, "accessed": 2, "expires": 3, "payload": "~"}]
)
async def test_notes_that_were_changed(visitor: Visitor, noted: Any) -> None:
    """A document whose ``_limpet`` is not what was saved is an anonymous visitor, and not an error."""
    await visitor.visit(lambda session: session.login("ann"))
    [document] = visitor.documents.kept.values()
    document["_limpet"] = noted
    session = visitor.manager.begin([(b"cookie", f"{visitor.manager.cookie_name}={visitor.token}".encode())])
    await visitor.manager.load(session)
    assert session.subject is None
    await visitor.visit(lambda session: session.update(a=1))
    assert await visitor.seen() == {"a": 1}
