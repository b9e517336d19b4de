"""The store that drives a user's own backend class."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from limpet._cookies import MAX_AGE
from limpet._wire.record import FACTS, Contents, CorruptPayload, pack, unpack
from limpet.adapters._documents import DocumentStore
from limpet.adapters.nexios._backends import BaseSessionInterface
from limpet.contract import NEVER, Record
from limpet.errors import ConfigurationError, StoreUnavailable
from limpet.protocols import Serializer

__all__ = ["BackendStore"]

_META: Final = "_limpet"
_UNREADABLE: Final = Record(0, b"", 0, 0)  # the engine deletes it
_MISTAKES: Final = (TypeError, ValueError, LookupError, AttributeError, NameError, AssertionError, NotImplementedError)


class BackendStore(DocumentStore):
    """A `limpet.stores.Store` over a user's own class, with what `BaseSessionInterface` says it cannot give.

    Three shapes are taken: ``load()`` and ``save()`` on an object made with a session key, which a new visitor either
    lacks (``__init__(self, session_key=None)``) or has (``__init__(self, session_key)``); and, as in Nexios 3.12,
    ``load(session)`` and ``save(session)`` on an object made with nothing, or on one that the application has made.

    Args:
        backend: The class, or the object.
        serializer: The one of the manager.
        clock: Milliseconds since 1970; asked only for sessions that came back without what the engine had noted.
    """

    def __init__(
        self,
        backend: type[BaseSessionInterface] | BaseSessionInterface,
        serializer: Serializer,
        clock: Callable[[], int],
    ) -> None:
        super().__init__()
        self._made = None if isinstance(backend, type) else backend
        backend = backend if isinstance(backend, type) else type(backend)
        self.backend = backend
        self._serializer = serializer
        self._clock = clock
        taken = list(inspect.signature(backend).parameters.values())
        self._on_other = bool(_required(backend.load))
        if self._made is not None and not self._on_other:
            raise ConfigurationError(
                f"manager= is given an object of {backend.__name__}, whose load() takes no session, so that it is one "
                f"session's alone: give the class, manager={backend.__name__}"
            )
        self._takes_key = not self._on_other and bool(taken)
        self._key_first = self._takes_key and taken[0].default is inspect.Parameter.empty
        self._own_keys = backend.generate_sid is not BaseSessionInterface.generate_sid

    async def read(self, key: str) -> Record | None:
        """Return what the class loads, or None."""
        try:
            session, call = self._make(key, new=False)
            await self._call(call, "load")
        except ValueError:
            return _UNREADABLE
        try:
            return self._record(session._data)
        except (ValueError, TypeError, LookupError):  # what the engine had noted is not there as it was
            return _UNREADABLE

    async def write(self, key: str, record: Record, now: int, *, new: bool) -> None:
        """Let the class save a session.

        Raises:
            ConfigurationError: It kept it under another key.
        """
        session, call = self._make(key, new=new)
        session._data = self._document(record)
        session._life = MAX_AGE if record.expires == NEVER else max(1, -(-(record.expires - now) // 1000))
        session.modified = True
        await self._call(call, "save")
        if session.session_key not in (None, key):
            raise ConfigurationError(
                f"{self.backend.__name__}.save() kept a session under a key of its own: take self.session_key, or "
                "self.generate_sid() while that is None"
            )

    async def remove(self, key: str) -> None:
        """Save the session empty, which is how such a class is told that it has ended."""
        try:
            session, call = self._make(key, new=False)
        except ValueError:
            return  # a class that loads when it is made, and cannot: to the engine there is nothing
        session._data, session._life = {}, 1
        session.modified = session.deleted = True
        await self._call(call, "save")

    # -- inside

    def _make(self, key: str, *, new: bool) -> tuple[BaseSessionInterface, Callable[[str], Any]]:
        """Return an object of the class, or of the base class for a class that works on another's session."""
        make: Any = self.backend
        made: BaseSessionInterface
        if self._made is not None:
            made = self._made
        else:
            with self._as_outage("__init__"):
                made = make(key) if self._takes_key and (self._key_first or not new) else make()
        session = BaseSessionInterface(key) if self._on_other else made
        session._next_key = key
        if not new or session.session_key is not None or self._own_keys:
            session.session_key = key  # whatever key the class found for a session that is not its to name
        if self._on_other:
            return session, lambda name: getattr(made, name)(session)
        return session, lambda name: getattr(made, name)()

    async def _call(self, call: Callable[[str], Any], name: str) -> None:
        with self._as_outage(name):
            result = call(name)
            if isinstance(result, Awaitable):
                await result

    @contextmanager
    def _as_outage(self, name: str) -> Iterator[None]:
        """Let what a driver raises mean that its service is away, and a mistake in the class be one.

        Raises:
            StoreUnavailable: In the place of the driver's error.
        """
        try:
            yield
        except (StoreUnavailable, *_MISTAKES):
            raise
        except Exception as error:
            raise StoreUnavailable(f"{self.backend.__name__}.{name}() failed: {type(error).__name__}") from error

    def _document(self, record: Record) -> dict[str, Any]:
        meta: dict[str, Any] = {"version": record.version, "accessed": record.accessed, "expires": record.expires}
        if record.subject is not None:
            meta["subject"] = record.subject
        try:
            contents = unpack(record.payload, self._serializer)
        except CorruptPayload:  # the forward record of a renewal
            return {_META: {**meta, "payload": record.payload.hex()}}
        meta["created"] = contents.created
        meta.update({fact: value for fact in FACTS if (value := getattr(contents, fact))})
        return {**contents.data, _META: meta}

    def _record(self, document: dict[str, Any]) -> Record | None:
        if not document:
            return None
        data = {name: value for name, value in document.items() if name != _META}
        meta = dict(document.get(_META) or {})
        if not meta:  # the class keeps nothing but the keys that it knows: its own expiry is all there is
            now = self._clock()
            payload = pack(Contents(0, data), self._serializer)
            return Record(zlib.crc32(payload), pack(Contents(now, data), self._serializer), now)
        version, accessed, expires = meta.pop("version"), meta.pop("accessed"), meta.pop("expires")
        subject, raw = meta.pop("subject", None), meta.pop("payload", None)
        payload = (
            bytes.fromhex(raw)
            if raw is not None
            else pack(Contents(meta.pop("created"), data, **meta), self._serializer)
        )
        return Record(version, payload, accessed, expires, subject)


def _required(method: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters that a method of a class demands beside ``self``."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    return [each for each in parameters if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD]
