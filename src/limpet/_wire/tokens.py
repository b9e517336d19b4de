"""Session ids, store keys, record versions, and the one spelling of base64url they use.

An id is 256 bits (240 where a framework's keys are short) from the operating system's generator (OWASP Session
Management Cheat Sheet asks for at least 64 bits of entropy, ASVS 5.0 V7 for 128). The store never sees it: a record is
kept under the SHA-256 digest of the id, so that what a leaked store holds cannot be sent as a cookie.
"""

from __future__ import annotations

import os
from binascii import Error, a2b_base64, b2a_base64
from hashlib import sha256
from typing import Final

__all__ = [
    "ID_BYTES",
    "ID_CHARS",
    "SHORT_BYTES",
    "SHORT_CHARS",
    "b64decode",
    "b64encode",
    "b64read",
    "decode_id",
    "encode_id",
    "id_of_signed",
    "key_prefix",
    "new_id",
    "new_version",
    "store_key",
    "tag",
]

ID_BYTES: Final = 32
"""Bytes of a raw session id."""
_SIGNED_CHARS: Final = 94  # version, mode, four bytes of key id, id, HMAC-SHA-256
ID_CHARS: Final = 43
"""Characters of a session id as it travels: base64url (RFC 4648, section 5) without padding."""
SHORT_BYTES: Final = 30
"""Bytes of a short id, for applications whose columns for one hold 40 characters, as Django's do."""
SHORT_CHARS: Final = 40
"""Characters of a short id as it travels."""

_decode: Final = a2b_base64  # what compiled code imports it looks up in a dict at each use, unless it is Final
_encode: Final = b2a_base64
_KEY_TAG: Final = b"limpet:key:1"
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
# What is not of the URL alphabet becomes a byte that the strict decoder refuses.
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/\x00\x00\x00")
_PADDING: Final = (b"", None, b"==", b"=")
# The characters whose unused low bits are zero: four bits are left over after one byte, two after two.
_LAST: Final = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")


def new_id(size: int = ID_BYTES) -> bytes:
    """Return random bytes: 32, unless another number is asked for.

    Raises:
        OSError: The operating system has no randomness to give; nothing weaker takes its place.
    """
    return os.urandom(size)


def new_version() -> int:
    """Return a random signed 64-bit integer, the version of one attempt to write a record."""
    return int.from_bytes(os.urandom(8), "big", signed=True)


def encode_id(raw: bytes) -> str:
    """Return the 43 characters of a raw id."""
    return b64encode(raw)


def decode_id(text: str) -> bytes | None:
    """Return the raw id, or None for anything but the one spelling of 32 bytes, or of the 30 of a short id."""
    return b64decode(text) if len(text) == ID_CHARS or len(text) == SHORT_CHARS else None


def store_key(namespace: str, raw: bytes) -> str:
    """Return the key of a session's record: 64 hexadecimal digits.

    The digest covers a version tag, the namespace with its length in front, and the id, so that no two
    namespaces can mean the same key.
    """
    return sha256(key_prefix(namespace) + raw).hexdigest()


def key_prefix(namespace: str) -> bytes:
    """Return what stands before the id in the digest that a store key is."""
    space = namespace.encode()
    return b"%b%b%b" % (_KEY_TAG, len(space).to_bytes(4, "big"), space)


def tag(key: str) -> str:
    """Return the first eight digits of a store key: enough to tell sessions apart in a log, useless as a key."""
    return key[:8]


def b64encode(data: bytes) -> str:
    """Return the bytes in base64url without padding."""
    return _encode(data, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def b64decode(text: str) -> bytes | None:
    """Return the bytes, or None for anything that `b64encode` does not produce; see `b64read`."""
    try:
        return b64read(text.encode("ascii"))
    except UnicodeEncodeError:
        return None


def b64read(data: bytes) -> bytes | None:
    """Return the bytes, or None for anything that `b64encode` does not produce.

    Refused: characters outside the alphabet, padding, impossible lengths, and unused low bits that are not zero
    (RFC 4648, sections 3.2, 3.3 and 3.5), so that no two texts mean the same bytes.
    """
    left = len(data) & 3
    padding = _PADDING[left]
    if padding is None or (left and data[-1] not in _LAST[left]):
        return None
    try:
        return _decode(data.translate(_FROM_URL) + padding, strict_mode=True)
    except Error:
        return None


def id_of_signed(token: str) -> bytes | None:
    """Return the raw id in a token that some secret has signed, without checking it; None for anything else.

    For managers without a secret, for which an id is its own proof: taking a secret away logs nobody out.
    """
    data = b64decode(token) if len(token) == _SIGNED_CHARS else None
    if data is None or data[:2] != b"\x01S":
        return None
    return data[6 : 6 + ID_BYTES]
