"""Signed tokens: anyone who holds one can read it, and only a holder of the key can make one.

HMAC-SHA-256 (RFC 2104), untruncated, over version, mode, key id, name, purpose and data.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING, ClassVar, Final

from limpet._native import mypyc_attr
from limpet.sealers._token import TokenSealer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hmac import HMAC

__all__ = ["SignedSealer"]

_MAC_BYTES: Final = 32


@mypyc_attr(allow_interpreted_subclasses=True)
class SignedSealer(TokenSealer["HMAC"]):
    """Puts a MAC behind the data; compares it in constant time before the data is handed out."""

    mode: ClassVar[bytes] = b"S"

    def _prepare(self, key: bytes, associated: bytes) -> HMAC:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.hmac import HMAC

        state = HMAC(key, SHA256())
        state.update(associated)
        return state

    def _close(self, key: HMAC, data: bytes) -> bytes:
        state = key.copy()
        state.update(data)
        return data + state.finalize()

    def _reveal(self, key: HMAC, body: bytes) -> bytes | None:
        data = body[:-_MAC_BYTES]
        state = key.copy()
        state.update(data)
        return data if compare_digest(state.finalize(), body[-_MAC_BYTES:]) else None
