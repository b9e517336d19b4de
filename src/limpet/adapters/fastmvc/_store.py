"""A store of one's own in three methods or four, and what drives it."""

from __future__ import annotations

import json
import zlib
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from collections.abc import Awaitable
from typing import Any, Final, Self, TypeVar

from limpet._cookies import MAX_AGE
from limpet.adapters._documents import DocumentStore
from limpet.adapters.fastmvc._session import Session
from limpet.contract import NEVER, Record
from limpet.errors import StoreUnavailable, UnstorableValue
from limpet.serializers.json import JSONSerializer

__all__ = ["OwnStore", "SessionStore", "driven"]

T = TypeVar("T")

_META: Final = "_limpet"
_FORMAT: Final = JSONSerializer.format
_HEAD: Final = 5  # the format byte and the checksum, see `limpet._wire.record.pack`
_UNREADABLE: Final = Record(0, b"", 0, 0)
_MISTAKES: Final = (TypeError, LookupError, AttributeError, NameError, AssertionError, NotImplementedError)


class SessionStore(ABC):
    """Where to keep sessions. Subclass it and pass an object as ``store=``.

    Three methods are enough: `load`, `save` and `delete`, as FastMVC documents them. Those of its releases do as well:
    `get`, `set`, `delete`, and `cleanup`, which is called from time to time.

    ``session.id`` is a digest of the visitor's id: whoever reads the store can impersonate nobody. ``session.data`` can
    be written as JSON; values that JSON does not have look like ``{"$datetime": "..."}``. One of its keys is
    ``_limpet``: keep it with the rest. It holds the deadlines among other things, so that sessions end in time
    whatever the store does, and may be forgotten by the store when it likes.

    What three such methods cannot give, and every store of `limpet.stores` does: within one process requests to one
    session wait for each other here, so that both count and a late one does not revive what was ended; **between
    processes** the later save wins, and one that comes just after a logout can bring the session back. There is no
    list of somebody's sessions and no sweep of expired ones. A lock (`limpet.Session.exclusive`) is held against the
    others of one process only. The store is given sessions and nothing else.

    What a method raises counts as "the store is not available" and is answered with 503, mistakes in the program
    (`TypeError`, `KeyError`, `AttributeError` and their like) excepted. A `ValueError` while loading says that what is
    stored cannot be read: the visitor begins anew.
    """

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        """Return a new object.

        Raises:
            TypeError: The class can neither read nor write.
        """
        for one, other in (("load", "get"), ("save", "set")):
            if all(getattr(cls, name) is getattr(SessionStore, name) for name in (one, other)):
                raise TypeError(f"{cls.__name__} is no SessionStore yet: write {one}(), or {other}()")
        return super().__new__(cls)

    async def load(self, session_id: str) -> Session | None:
        """Return the session, or None (or one without data) when there is none."""
        data = await self.get(session_id)
        return None if data is None else Session(session_id, data)

    async def save(self, session: Session) -> None:
        """Keep ``session.data`` under ``session.id``."""
        assert session.id is not None
        await self.set(session.id, session.data, MAX_AGE)

    async def get(self, session_id: str) -> dict[str, Any] | None:
        """Return the data, or None when there is none."""
        session = await self.load(session_id)
        return None if session is None or not session.data else session.data

    async def set(self, session_id: str, data: dict[str, Any], max_age: int) -> None:
        """Keep the data for so many seconds."""
        await self.save(Session(session_id, data))

    async def cleanup(self) -> None:  # noqa: B027 - not every store has something to forget
        """Forget what has expired. Does nothing, for stores that forget by themselves."""

    @abstractmethod
    async def delete(self, session_id: str) -> None:
        """Forget the session; that it is not there is fine."""


def driven(store: SessionStore) -> OwnStore:
    """Return what drives a store; it sweeps if the store has a ``cleanup``."""
    swept = type(store).cleanup is not SessionStore.cleanup
    return SweptStore(store) if swept else OwnStore(store)


class OwnStore(DocumentStore):
    """A `limpet.stores.Store` over a `SessionStore`, as far as reading before writing goes.

    Args:
        store: The user's.
    """

    def __init__(self, store: SessionStore) -> None:
        super().__init__()
        self.store = store

    async def read(self, key: str) -> Record | None:
        """Return what the store has, or None."""
        try:
            session = await self._call("load", self.store.load(key))
            return None if session is None else _record(session.data)
        except ValueError:
            return _UNREADABLE

    async def write(self, key: str, record: Record, now: int, *, new: bool) -> None:
        """Let the store keep a session."""
        document = _document(record)
        if type(self.store).save is not SessionStore.save:
            await self._call("save", self.store.save(Session(key, document)))
        else:
            life = MAX_AGE if record.expires == NEVER else max(1, -(-(record.expires - now) // 1000))
            await self._call("set", self.store.set(key, document, life))

    async def remove(self, key: str) -> None:
        """Let the store forget a session."""
        await self._call("delete", self.store.delete(key))

    async def _call(self, name: str, call: Awaitable[T]) -> T:
        try:
            return await call
        except (StoreUnavailable, *_MISTAKES):
            raise
        except Exception as error:
            if isinstance(error, ValueError) and name == "load":
                raise
            what = f"{type(self.store).__name__}.{name}() failed: {type(error).__name__}"
            raise StoreUnavailable(what) from error


class SweptStore(OwnStore):
    """The same over a store that has a ``cleanup``."""

    async def sweep(self, now: int, limit: int) -> int:
        """Let the store forget what has expired; how much that was it does not say."""
        await self._call("cleanup", self.store.cleanup())
        return 0


def _document(record: Record) -> dict[str, Any]:
    """Return what a store is given: the application's own keys, and ours under one name."""
    meta: dict[str, Any] = {"version": record.version, "accessed": record.accessed, "expires": record.expires}
    if record.subject is not None:
        meta["subject"] = record.subject
    document = _open(record.payload)
    if document is None:  # the forward record of a renewal
        return {_META: {**meta, "payload": b64encode(record.payload).decode()}}
    data: dict[str, Any] = document.pop("data")
    if _META in data:
        raise UnstorableValue(_META, "a store of your own keeps what is limpet's under this key: take another")
    return {**data, _META: {**meta, **document}}


def _record(document: dict[str, Any]) -> Record | None:
    """Return what `_document` was given.

    Raises:
        ValueError: This is not what was saved.
    """
    if not document:
        return None
    data = dict(document)
    meta = data.pop(_META, None)
    try:
        meta = dict(meta)
        version, accessed, expires = int(meta.pop("version")), int(meta.pop("accessed")), int(meta.pop("expires"))
        subject, raw = meta.pop("subject", None), meta.pop("payload", None)
        if raw is not None:
            return Record(version, b64decode(raw), accessed, expires, subject)
        return Record(version, _close({**meta, "data": data}), accessed, expires, subject)
    except (TypeError, KeyError) as error:
        raise ValueError(f"a session without what was noted under {_META!r}") from error


def _open(payload: bytes) -> dict[str, Any] | None:
    """Return the document in a payload, if it is one that comes out of `_close` again."""
    try:
        document = json.loads(payload[_HEAD:])
        return document if isinstance(document["data"], dict) and _close(document) == payload else None
    except (ValueError, TypeError, LookupError):
        return None


def _close(document: dict[str, Any]) -> bytes:
    body = _dumps(document).encode()
    return _FORMAT + zlib.crc32(body).to_bytes(4, "big") + body


_dumps: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
