"""The contents of a session file: one line of JSON around the payload, with a checksum over it."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from typing import Any, Final

from limpet.contract import Record
from limpet.errors import StoreUnavailable

__all__ = ["damaged", "deadline", "decode", "encode"]

_CHECKSUM: Final = b',"crc32":'
_LATEST: Final = 2**31 * 1000 - 1  # 2038, in milliseconds: not every file system knows later times. It is a hint only


def deadline(record: Record) -> int:
    """Return the time of modification that the file gets, in nanoseconds."""
    return max(0, min(record.expires, _LATEST)) * 1_000_000


def encode(record: Record) -> bytes:
    version, payload, accessed, expires, subject = record
    body = (
        f'{{"limpet":1,"version":{version},"accessed":{accessed},"expires":{expires},"subject":{json.dumps(subject)},'
        f'"payload":"{base64.b64encode(payload).decode("ascii")}"'
    ).encode("ascii")
    return body + _CHECKSUM + b"%d}\n" % zlib.crc32(body)


def decode(data: bytes, directory: str) -> Record:
    body, found, checksum = data.rpartition(_CHECKSUM)
    if not found or checksum != b"%d}\n" % zlib.crc32(body):
        return damaged(data)
    try:
        fields: dict[str, Any] = json.loads(data)
        if fields["limpet"] != 1:
            raise StoreUnavailable(
                f"a session file in {directory} has format {fields['limpet']!r} and this limpet knows 1: "
                "it was written by a later version, upgrade this one"
            )
        return Record(
            int(fields["version"]),
            base64.b64decode(fields["payload"], validate=True),
            int(fields["accessed"]),
            int(fields["expires"]),
            fields["subject"],
        )
    except (ValueError, KeyError, TypeError):
        return damaged(data)


def damaged(what: bytes) -> Record:
    """Return a record that no manager can read, that may be forgotten, and that this very content can be deleted by."""
    version = int.from_bytes(hashlib.sha256(what).digest()[:8], "big", signed=True)
    return Record(version, b"", 0, 0)
