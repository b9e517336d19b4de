"""Encrypted tokens: neither read nor made by anybody without the key.

XAES-256-GCM as C2SP publishes it (https://c2sp.org/XAES-256-GCM): a 192-bit random nonce, half of which derives a
key for this one token, so that the long-lived key does not wear out after 2^32 random nonces as AES-GCM's would.
The associated data is version, mode, key id, name and purpose.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, ClassVar, Final

from limpet._native import mypyc_attr
from limpet.sealers._token import TokenSealer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import CipherContext
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["XAES256GCM", "EncryptedSealer"]

_BLOCK: Final = 16
_NONCE_BYTES: Final = 24
_TAG_BYTES: Final = 16


class XAES256GCM:
    """AES-256-GCM with a 24-byte nonce and a key derived from its first half (NIST SP 800-108r1, CMAC, counter mode).

    Args:
        key: 32 bytes.

    Raises:
        ValueError: The key has another length.
    """

    __slots__ = ("_aead", "_cipher", "_invalid", "_local", "_mask")

    def __init__(self, key: bytes) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if len(key) != 32:
            raise ValueError(f"XAES-256-GCM takes a key of 32 bytes, not {len(key)}")
        self._aead = AESGCM
        self._invalid = InvalidTag
        # Single blocks under a key of their own: the bare block cipher, as SP 800-38B builds CMAC from it.
        self._cipher = Cipher(algorithms.AES256(key), modes.ECB())  # noqa: S305
        self._local = threading.local()
        # SP 800-38B, section 6.1: the subkey for whole blocks, and the two messages' fixed bytes, in one mask.
        subkey = int.from_bytes(self._cipher.encryptor().update(bytes(_BLOCK)), "big") << 1
        if subkey >> 128:
            subkey ^= (1 << 128) | 0x87
        fixed = [int.from_bytes(bytes((0, counter, ord("X"), 0)) + bytes(12), "big") for counter in (1, 2)]
        self._mask = ((subkey ^ fixed[0]) << 128) | (subkey ^ fixed[1])

    def encrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        """Return ciphertext and tag. The nonce is 24 bytes, random, used once."""
        return self._derive(nonce).encrypt(nonce[12:], data, associated)

    def decrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes | None:
        """Return the plaintext, or None when the tag does not fit."""
        try:
            return self._derive(nonce).decrypt(nonce[12:], data, associated)
        except self._invalid:
            return None

    def _derive(self, nonce: bytes) -> AESGCM:
        if len(nonce) != _NONCE_BYTES:
            raise ValueError(f"XAES-256-GCM takes a nonce of {_NONCE_BYTES} bytes, not {len(nonce)}")
        # A context has no state between whole blocks, and each thread has its own.
        try:
            context: CipherContext = self._local.context
        except AttributeError:
            context = self._local.context = self._cipher.encryptor()
        part = int.from_bytes(nonce[:12], "big")
        return self._aead(context.update(((part << 128 | part) ^ self._mask).to_bytes(2 * _BLOCK, "big")))


@mypyc_attr(allow_interpreted_subclasses=True)
class EncryptedSealer(TokenSealer[tuple[XAES256GCM, bytes]]):
    """Encrypts the data under a key of its own for every token."""

    mode: ClassVar[bytes] = b"E"

    def _prepare(self, key: bytes, associated: bytes) -> tuple[XAES256GCM, bytes]:
        return XAES256GCM(key), associated

    def _close(self, key: tuple[XAES256GCM, bytes], data: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + key[0].encrypt(nonce, data, key[1])

    def _reveal(self, key: tuple[XAES256GCM, bytes], body: bytes) -> bytes | None:
        if len(body) < _NONCE_BYTES + _TAG_BYTES:
            return None
        return key[0].decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], key[1])
