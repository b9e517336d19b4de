"""The record that a renewal leaves under the old key, so that requests under way with the old id are still served.

It holds the new id, sealed under a key that only the old id gives (HKDF-SHA-256, then AES-256-GCM): a stolen
store does not yield a single id that could be sent as a cookie. Two things stand in front in clear: the end of the
grace, because the request that starts it knows only the new id, and the store key of the new record, for whoever
knows the session by its public id and wants to end it.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

__all__ = ["FORMAT", "Forward", "is_forward", "open_forward", "seal_forward", "successor", "with_grace"]

FORMAT: Final = b"F"
_GRACE: Final = slice(1, 9)
_SUCCESSOR: Final = slice(9, 41)
_NONCE: Final = slice(41, 53)
_SEALED: Final = slice(53, None)


class Forward(NamedTuple):
    """Where a renewed id leads: the new raw id, and until when (milliseconds since 1970; 0: not begun)."""

    raw: bytes
    grace_ends: int


def is_forward(payload: bytes) -> bool:
    """Tell a forward record from a session's by its first byte."""
    return payload[:1] == FORMAT


def seal_forward(old_raw: bytes, old_key: str, new_raw: bytes, new_key: str) -> bytes:
    """Return the payload that leads from the old id and key to the new ones; its grace has not begun."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(12)
    sealed = AESGCM(_key_of(old_raw)).encrypt(nonce, new_raw, old_key.encode())
    return FORMAT + bytes(8) + bytes.fromhex(new_key) + nonce + sealed


def successor(payload: bytes) -> str:
    """Return the store key of the record that it leads to."""
    return payload[_SUCCESSOR].hex()


def open_forward(payload: bytes, old_raw: bytes, old_key: str) -> Forward | None:
    """Return where it leads, or None when it cannot be read with that old id."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        raw = AESGCM(_key_of(old_raw)).decrypt(payload[_NONCE], payload[_SEALED], old_key.encode())
    except (InvalidTag, ValueError):
        return None
    return Forward(raw, int.from_bytes(payload[_GRACE], "big"))


def with_grace(payload: bytes, ends: int) -> bytes:
    """Return the payload with the end of its grace set; a grace that has begun is not moved."""
    if int.from_bytes(payload[_GRACE], "big"):
        return payload
    return FORMAT + ends.to_bytes(8, "big") + payload[9:]


def _key_of(raw: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, None, b"limpet/1 forward").derive(raw)
