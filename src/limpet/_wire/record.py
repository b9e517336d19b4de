"""What a store keeps of a session: a `Record`, and inside its payload a `Contents`.

A store sees the five fields of `Record` and nothing else. The payload is opaque to it: a format
byte, a checksum and the serialized `Contents`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from zlib import adler32, crc32

from limpet._native import caused
from limpet._wire.facts import are_rows, are_words, is_binding, is_text
from limpet._wire.tokens import b64decode, b64encode
from limpet.contract import Record
from limpet.errors import UnstorableValue

if TYPE_CHECKING:
    from limpet.protocols import Serializer

__all__ = [
    "LOGIN_FACTS",
    "SEALED",
    "Contents",
    "CorruptPayload",
    "ForeignPayload",
    "Found",
    "Predecessor",
    "pack",
    "same",
    "unpack",
    "without_predecessors",
]

_crc32: Final = crc32
SEALED: Final = b"X"
"""The first byte of a payload that is encrypted at rest, where a session has its serializer's."""
_ALWAYS: Final[Mapping[str, type]] = {"created": int, "data": dict}
_FACTS: Final[Mapping[str, type]] = {
    "authenticated": int,
    "ends": int,
    "remember": bool,
    "renewed": int,
    "predecessors": list,
    "previous": str,
    "origin": str,
    "tags": dict,
    "device": dict,
    "lineage": str,
    "seen": int,
    "order": int,
    "generation": int,
    "cookie": str,
    "bound": dict,
    "level": str,
    "methods": list,
}
_KINDS: Final = {**_ALWAYS, **_FACTS}
FACTS: Final = tuple(_FACTS)
"""What a `Contents` may say beside its creation time and data."""
LOGIN_FACTS: Final = frozenset({"ends", "remember", "tags", "level", "methods"})
"""What a login says anew, each of them, whatever it says: of two logins at once, those of one are never mixed."""
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class CorruptPayload(Exception):
    """A payload that cannot be read; the manager turns it into an anonymous session and an event."""


class ForeignPayload(CorruptPayload):
    """A payload that a later version, another serializer or another key wrote: its writers still read it."""


class Contents:
    """What a payload says. All times are milliseconds since 1970.

    Attributes:
        created: When the session began; the absolute timeout counts from here. Renewal keeps it, login resets it.
        data: The handler's own keys and values.
        authenticated: When somebody last logged in, if anybody did.
        ends: The session's own deadline (`Session.expire_in`), if it has one.
        remember: True for a login with ``remember=True``.
        renewed: When the id was last renewed, if ever.
        predecessors: The sessions that this one takes the place of, until they have ended: a row for each, see
            `Predecessor`.
        previous: The store key of the forward record that a renewal left, until its grace began.
        origin: What locks know the session by, if not by its store key: the key of its first id, if that was renewed
            or regenerated, or that of the note that it was moved in.
        tags: Labels that the application put on the login, such as an OIDC session id.
        device: What is known of the client: its user agent and address, as configured.
        lineage: Where sessions are limited: the ids that it came from, see `limpet._core.places`. In a cookie session
            that can be ended: what all its cookies since the login have in common.
        seen: The revocations that were taken into account when it began, see `limpet._core.positions`.
        order: Which login of its subject it was, where sessions are limited.
        generation: In a cookie session that can be ended: which change of its id, within its lineage.
        cookie: The attributes that its cookie was last sent with (`CookiePolicy.fingerprint`); None: the defaults.
        bound: The device that it is bound to, or may still be (`limpet.bound`); None: to none.
        level: The ``acr`` of the login; None: it had none. It and `methods` are stored under names that sort after
            ``authenticated``, which is to come first.
        methods: The ``amr`` of the login.
    """

    __slots__ = (
        "authenticated",
        "bound",
        "cookie",
        "created",
        "data",
        "device",
        "ends",
        "generation",
        "level",
        "lineage",
        "methods",
        "order",
        "origin",
        "predecessors",
        "previous",
        "remember",
        "renewed",
        "seen",
        "tags",
    )

    def __init__(
        self,
        created: int,
        data: dict[str, Any] | None = None,
        *,
        authenticated: int | None = None,
        ends: int | None = None,
        remember: bool = False,
        renewed: int | None = None,
        predecessors: Sequence[list[Any]] = (),
        previous: str | None = None,
        origin: str | None = None,
        tags: Mapping[str, str] = _NONE,
        device: Mapping[str, str] = _NONE,
        lineage: str | None = None,
        seen: int = 0,
        order: int = 0,
        generation: int = 0,
        cookie: str | None = None,
        bound: dict[str, Any] | None = None,
        level: str | None = None,
        methods: Sequence[str] = (),
    ) -> None:
        self.created: int = created
        self.data: dict[str, Any] = {} if data is None else data
        self.authenticated: int | None = authenticated
        self.ends: int | None = ends
        self.remember: bool = remember
        self.renewed: int | None = renewed
        self.predecessors: Sequence[list[Any]] = predecessors
        self.previous: str | None = previous
        self.origin: str | None = origin
        self.tags: Mapping[str, str] = tags
        self.device: Mapping[str, str] = device
        self.lineage: str | None = lineage
        self.seen: int = seen
        self.order: int = order
        self.generation: int = generation
        self.cookie: str | None = cookie
        self.level: str | None = level
        self.methods: Sequence[str] = methods
        self.bound: dict[str, Any] | None = bound

    def copy(self, data: dict[str, Any]) -> Contents:
        """Return the same facts over other data."""
        return Contents(**{**self.document(), "data": data})

    def document(self) -> dict[str, Any]:
        """Return what is to be serialized: creation time, data, and the facts that there are, sorted by name.

        So `authenticated` comes first: serializers look for times at the beginning.
        """
        facts: dict[str, Any]
        if self.authenticated:
            facts = {"authenticated": self.authenticated, "created": self.created, "data": self.data}
        else:
            facts = {"created": self.created, "data": self.data}
        if self.bound is not None:
            facts["bound"] = self.bound
        if self.cookie is not None:
            facts["cookie"] = self.cookie
        if self.device is not _NONE and self.device:
            facts["device"] = self.device
        if self.ends is not None:
            facts["ends"] = self.ends
        if self.generation:
            facts["generation"] = self.generation
        if self.level is not None:
            facts["level"] = self.level
        if self.lineage is not None:
            facts["lineage"] = self.lineage
        if self.methods:
            facts["methods"] = list(self.methods)
        if self.order:
            facts["order"] = self.order
        if self.origin is not None:
            facts["origin"] = self.origin
        if self.predecessors:
            facts["predecessors"] = list(self.predecessors)
        if self.previous is not None:
            facts["previous"] = self.previous
        if self.remember:
            facts["remember"] = self.remember
        if self.renewed is not None:
            facts["renewed"] = self.renewed
        if self.seen:
            facts["seen"] = self.seen
        if self.tags is not _NONE and self.tags:
            facts["tags"] = self.tags
        return facts


class Predecessor(NamedTuple):
    """A session that another one takes the place of, as the record of that one names it until this one has ended.

    Attributes:
        key: Its store key.
        version: The version of its record that was read.
        how: ``"login"`` or ``"regenerate"``.
        base: The payload that was read: what others save into it meanwhile is merged into the new record. None: it
            is not.
        increments: What was added to numbers since it was read, by key, and is saved in the new record.
    """

    key: str
    version: int
    how: str
    base: bytes | None
    increments: dict[str, Any]

    def plus(self, increments: Mapping[str, Any]) -> Self:
        """Return it with more that was added to numbers and is saved in the new record."""
        more = {key: self.increments.get(key, 0) + by for key, by in increments.items()}
        return self._replace(increments={**self.increments, **more})

    def row(self) -> list[Any]:
        """Return it as it is stored."""
        base = None if self.base is None else b64encode(self.base)
        return [self.key, self.version, self.how, base, self.increments]

    @classmethod
    def of(cls, row: list[Any]) -> Self:
        """Return what a row says."""
        key, version, how, base, increments = row
        return cls(key, version, how, None if base is None else b64decode(base), dict(increments))


class Found(NamedTuple):
    """A live session as the store has it.

    Attributes:
        raw: The bytes of its id; b"" where it was found by its key.
        key: Its store key.
        record: The record as read.
        contents: What the payload says.
        forwarded: A renewed id led here.
    """

    raw: bytes
    key: str
    record: Record
    contents: Contents
    forwarded: bool = False

    def __repr__(self) -> str:
        """Say which session it is, by what is worthless as an id."""
        return f"<Found {self.key[:8]}>"


_HEAD: Final = 5  # one format byte, four bytes of CRC-32


def pack(contents: Contents, serializer: Serializer) -> bytes:
    """Return the payload: format byte, CRC-32 of what follows, the serialized contents.

    Dicts keep their order where the serializer can keep it (`InOrder`): equal contents may have different payloads,
    see `same`.

    Raises:
        UnstorableValue: A value in the data would not come back as it went in.
    """
    facts = contents.document()
    try:
        try:
            body: bytes = serializer.encode_in_order(facts)  # type: ignore[attr-defined]  # asks for `InOrder`
        except AttributeError:
            if hasattr(serializer, "encode_in_order"):
                raise
            body = serializer.encode(facts)
    except UnstorableValue as error:
        # The handler knows its own keys, and nothing of the document around them.
        raise caused(UnstorableValue(error.path.removeprefix("data."), error.problem), error) from error
    return serializer.format + _crc32(body).to_bytes(4, "big") + body


def same(payload: bytes, base: bytes, serializer: Serializer) -> bool:
    """Tell whether two payloads of one serializer hold equal contents, whatever the order of their dicts.

    Order changes neither the length nor the sum of the bytes; only where both agree are the payloads decoded.

    Raises:
        ValueError: One of them is not what `pack` wrote with this serializer.
    """
    if payload == base:
        return True
    if len(payload) != len(base) or payload[:1] != base[:1]:
        return False
    body, other = payload[_HEAD:], base[_HEAD:]
    if (adler32(body) ^ adler32(other)) & 0xFFFF:  # its lower half is the sum, as fast as it can be had
        return False
    decode, encode = serializer.decode, serializer.encode
    return encode(decode(body)) == encode(decode(other))


def unpack(payload: bytes, serializer: Serializer, *, sealed: bool = False) -> Contents:
    """Return what `pack` was given.

    Args:
        sealed: A signature has shown that not one bit was changed, which a checksum need not show once more.

    Raises:
        CorruptPayload: The bytes are not what `pack` wrote with this serializer.
        ForeignPayload: They are what some other one wrote.
    """
    body = payload[_HEAD:]
    if sealed and payload[:1] == serializer.format:
        pass
    elif payload[:_HEAD] != serializer.format + _crc32(body).to_bytes(4, "big"):
        raise _damaged(payload, serializer)
    try:
        document = serializer.decode(body)
    except (ValueError, TypeError, RecursionError) as error:
        raise caused(CorruptPayload(f"the {type(serializer).__name__} cannot read it"), error) from error
    if type(document) is not dict:
        raise CorruptPayload("not a mapping")
    created, data = document.get("created"), document.get("data")
    authenticated, cookie = document.get("authenticated"), document.get("cookie")
    if type(created) is int and type(data) is dict:
        if len(document) == 2:
            return Contents(created, data)
        if len(document) == 2 + (type(authenticated) is int) + (type(cookie) is str):
            return Contents(created, data, authenticated=authenticated, cookie=cookie)
    return _taken(document)


def without_predecessors(payload: bytes, serializer: Serializer) -> bytes:
    """Return a payload without what it names as its predecessors, which is no part of the session.

    Raises:
        CorruptPayload: As for `unpack`.
    """
    contents = unpack(payload, serializer)
    if not contents.predecessors:
        return payload
    contents.predecessors = ()
    return pack(contents, serializer)


def _taken(document: dict[str, Any]) -> Contents:
    """Look at every fact of a payload, and return them.

    Raises:
        CorruptPayload: There is none that was written here.
        ForeignPayload: A later version wrote it.
    """
    if "created" not in document or "data" not in document:
        raise CorruptPayload("data or creation time is missing")
    for name, value in document.items():
        kind = _KINDS.get(name)
        if type(value) is not kind or (name in _CHECKS and not _CHECKS[name](document[name])):
            if kind is None:
                raise ForeignPayload("it has fields of a later version")
            raise CorruptPayload(f"{name} is of another type")
    return Contents(**document)


_CHECKS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "tags": is_text,
    "device": is_text,
    "predecessors": are_rows,
    "bound": is_binding,
    "methods": are_words,
}


def _damaged(payload: bytes, serializer: Serializer) -> CorruptPayload:
    """Tell what is wrong with the first five bytes of a payload."""
    body = payload[_HEAD:]
    whole = bool(body) and _crc32(body) == int.from_bytes(payload[1:_HEAD], "big")
    if payload[:1] == serializer.format:
        return CorruptPayload("checksum does not match")
    if payload[:1] == SEALED:
        return ForeignPayload("it is encrypted under a key that this manager does not have")
    return ForeignPayload("unknown payload format") if whole else CorruptPayload("unknown payload format")
