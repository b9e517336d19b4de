"""What we hand out: challenges, and the value of the cookie that holds the last proof.

A challenge is for a registration or for a proof, and good for nothing else: who is asked for a proof may be somebody
who has copied the cookie, and would register a key of their own with it.

All are signed under keys of their own purpose and kept nowhere, so that a client that never answers costs nothing.
All name the session by its identifier for devices, which is in its record and stays the same when its id changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, NamedTuple

from limpet._wire.tokens import b64decode, b64encode
from limpet.keyring import Keyring
from limpet.sealers.signed import SignedSealer

__all__ = ["Challenge", "Tokens", "new_identifier"]

_IDENTIFIER: Final = 16
_TIME: Final = 8
_COUNT: Final = 4
_NONCE: Final = 12
_THUMBPRINT: Final = 32  # bytes of SHA-256 (RFC 7638, section 3)


class Challenge(NamedTuple):
    """A challenge that was ours.

    Attributes:
        identifier: The session that it was made for.
        proofs: How many proofs that session had had by then: a challenge is good for the next one, and so only once.
        at: When it was made, in milliseconds since 1970.
    """

    identifier: str
    proofs: int
    at: int


def new_identifier() -> str:
    """Return a random name for a session among devices: 128 bits, in base64url."""
    return b64encode(os.urandom(_IDENTIFIER))


class Tokens:
    """Makes and reads both kinds for one manager.

    Args:
        keyring: Where the keys come from.
        name: What they are bound to: the name of the session's cookie.
        clock: Milliseconds since 1970.
    """

    def __init__(self, keyring: Keyring, name: str, clock: Callable[[], int]) -> None:
        self._registrations = SignedSealer(keyring, purpose="device-registration", name=name, clock=clock)
        self._challenges = SignedSealer(keyring, purpose="device-challenge", name=name, clock=clock)
        self._cookies = SignedSealer(keyring, purpose="device-proof", name=name, clock=clock)

    def challenge(self, identifier: str, proofs: int, now: int, *, registers: bool) -> str:
        """Return a challenge for the registration of a session's device, or for its next proof."""
        data = _named(identifier) + proofs.to_bytes(_COUNT, "big") + now.to_bytes(_TIME, "big") + os.urandom(_NONCE)
        return (self._registrations if registers else self._challenges).seal(data)

    def read_challenge(self, text: str, *, registers: bool) -> Challenge | None:
        """Return what a challenge says; None: it is none of ours, or for the other purpose."""
        data = (self._registrations if registers else self._challenges).open(text)
        if data is None or len(data) != _IDENTIFIER + _COUNT + _TIME + _NONCE:
            return None
        rest = data[_IDENTIFIER:]
        proofs, at = rest[:_COUNT], rest[_COUNT : _COUNT + _TIME]
        return Challenge(b64encode(data[:_IDENTIFIER]), int.from_bytes(proofs, "big"), int.from_bytes(at, "big"))

    def cookie(self, identifier: str, thumbprint: str, until: int) -> str:
        """Return the value of the cookie that says until when the device of a session is proven."""
        return self._cookies.seal(_named(identifier) + (b64decode(thumbprint) or b"") + until.to_bytes(_TIME, "big"))

    def until(self, text: str, identifier: str, thumbprint: str) -> int | None:
        """Return until when such a cookie proves the device of this session and key; None: it is not about them."""
        data = self._cookies.open(text)
        if data is None or len(data) != _IDENTIFIER + _THUMBPRINT + _TIME:
            return None
        if data[:-_TIME] != _named(identifier) + (b64decode(thumbprint) or b""):
            return None
        return int.from_bytes(data[-_TIME:], "big")


def _named(identifier: str) -> bytes:
    return (b64decode(identifier) or b"").ljust(_IDENTIFIER, b"\0")[:_IDENTIFIER]
