"""Decode what an old library has signed; whatever is not of its format is None."""

from __future__ import annotations

import binascii
import json
import zlib
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any, Final

__all__ = ["from_base64", "from_json", "inflated"]

_LARGEST: Final = 1 << 20  # bytes that a compressed session may have when it is unpacked


def from_base64(text: bytes) -> bytes | None:
    """Return the bytes of base64, of either alphabet, with or without padding."""
    try:
        return urlsafe_b64decode(text.translate(bytes.maketrans(b"+/", b"-_")) + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None


def from_json(data: bytes | None, restore: Callable[[Any], Any] | None = None) -> Any:
    """Return the value of a JSON text, or None."""
    if data is None:
        return None
    try:
        value = json.loads(data)
        return value if restore is None else restore(value)
    except (ValueError, RecursionError, TypeError, AttributeError):
        return None


def inflated(data: bytes | None) -> bytes | None:
    """Return what zlib has packed, if it is not too large."""
    if data is None:
        return None
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(data, _LARGEST)
    except zlib.error:
        return None
    return plain if unpacking.eof else None
