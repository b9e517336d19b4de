"""What a store keeps of a session: a `Record`, and inside its payload a `Contents`.

A store sees the five fields of `Record` and nothing else. The payload is opaque to it: a format
byte, a checksum and the serialized `Contents`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from holdfast.errors import UnstorableValue

if TYPE_CHECKING:
    from holdfast._core.protocols import Serializer

__all__ = ["NEVER", "Contents", "CorruptPayload", "ForeignPayload", "Found", "Record", "pack", "unpack"]

NEVER: Final = 2**63 - 1
"""The time of a deadline that does not exist, in milliseconds; the largest signed 64-bit integer."""


class Record(NamedTuple):
    """One session as a store keeps it.

    Attributes:
        version: A random signed 64-bit token, chosen anew by the writer for every attempt.
        payload: Opaque bytes, returned as given.
        accessed: When a request last used the session, in milliseconds since 1970.
        expires: When the store may forget the record, in milliseconds since 1970, or `NEVER`.
        subject: Whose session it is, or None; what an index by subject is kept over.
    """

    version: int
    payload: bytes
    accessed: int
    expires: int = NEVER
    subject: str | None = None


class CorruptPayload(Exception):
    """A payload that cannot be read; the manager turns it into an anonymous session and an event."""


class ForeignPayload(CorruptPayload):
    """A payload that is whole, and that a later version or another serializer wrote: its writers still read it."""


@dataclass(slots=True)
class Contents:
    """What a payload says. All times are milliseconds since 1970.

    Attributes:
        created: When the session began; the absolute timeout counts from here. Renewal keeps it, login resets it.
        data: The handler's own keys and values.
        authenticated: When somebody last logged in, if anybody did.
        ends: The session's own deadline (`Session.expire_in`), if it has one.
        remember: True for a login with ``remember=True``.
        renewed: When the id was last renewed, if ever.
        previous: The store key of the forward record that a renewal left, until its grace began.
        tags: Labels that the application put on the login, such as an OIDC session id.
        device: What is known of the client: its user agent and address, as configured.
        lineage: In a cookie session that can be ended: what all its cookies since the login have in common.
    """

    created: int
    data: dict[str, Any] = field(default_factory=dict)
    authenticated: int | None = None
    ends: int | None = None
    remember: bool = False
    renewed: int | None = None
    previous: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    device: dict[str, str] = field(default_factory=dict)
    lineage: str | None = None


class Found(NamedTuple):
    """A live session as the store has it.

    Attributes:
        raw: The 32 bytes of its id; b"" where it was found by its key.
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


FACTS: Final = ("authenticated", "ends", "remember", "renewed", "previous", "tags", "device", "lineage")
_facts_of: Final = attrgetter(*FACTS)
_HEAD: Final = 5  # one format byte, four bytes of CRC-32


def pack(contents: Contents, serializer: Serializer) -> bytes:
    """Return the payload: format byte, CRC-32 of what follows, the serialized contents.

    Raises:
        UnstorableValue: A value in the data would not come back as it went in.
    """
    document: dict[str, Any] = {"created": contents.created, "data": contents.data}
    facts = _facts_of(contents)
    if any(facts):
        document |= {name: value for name, value in zip(FACTS, facts, strict=True) if value}
    try:
        body = serializer.encode(document)
    except UnstorableValue as error:
        # The handler knows its own keys, and nothing of the document around them.
        raise UnstorableValue(error.path.removeprefix("data."), error.problem) from error
    return serializer.format + zlib.crc32(body).to_bytes(4, "big") + body


def unpack(payload: bytes, serializer: Serializer) -> Contents:
    """Return what `pack` was given.

    Raises:
        CorruptPayload: The bytes are not what `pack` wrote with this serializer.
        ForeignPayload: They are what some other one wrote.
    """
    body = payload[_HEAD:]
    if payload[:1] != serializer.format:
        whole = body and zlib.crc32(body) == int.from_bytes(payload[1:_HEAD], "big")
        raise (ForeignPayload if whole else CorruptPayload)("unknown payload format")
    if zlib.crc32(body) != int.from_bytes(payload[1:_HEAD], "big"):
        raise CorruptPayload("checksum does not match")
    try:
        document = serializer.decode(body)
    except (ValueError, TypeError, RecursionError) as error:
        raise CorruptPayload(f"the {type(serializer).__name__} cannot read it") from error
    if type(document) is not dict:
        raise CorruptPayload("not a mapping")
    data = document.pop("data", None)
    created = document.pop("created", None)
    if type(data) is not dict or type(created) is not int:
        raise CorruptPayload("data or creation time is missing")
    try:
        return Contents(created, data, **document) if document else Contents(created, data)
    except TypeError as error:
        raise ForeignPayload("it has fields of a later version") from error
