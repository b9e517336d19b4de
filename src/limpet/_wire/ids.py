"""Session ids: the tokens that clients have of them, and the keys that stores have."""

from __future__ import annotations

import logging
from collections.abc import Callable
from hashlib import sha256

from limpet._wire import tokens
from limpet.protocols import Sealer

__all__ = ["Ids"]

log = logging.getLogger("limpet")


class Ids:
    """Turns ids into tokens and keys.

    Args:
        namespace: What keys are derived under.
        sealer: Signs ids; None: they go out as they are.
        unsigned_until: Until then, in milliseconds since 1970, ids that go without a signature are accepted.
        clock: Returns milliseconds since 1970.
        size: Bytes of a new id.
    """

    __slots__ = ("_digest", "_sealer", "_size", "_unsigned_until", "_warned", "clock")

    def __init__(
        self,
        namespace: str,
        sealer: Sealer | None,
        unsigned_until: int,
        clock: Callable[[], int],
        size: int = tokens.ID_BYTES,
    ) -> None:
        self.clock: Callable[[], int] = clock
        self._digest = sha256(tokens.key_prefix(namespace))
        self._sealer = sealer
        self._unsigned_until = unsigned_until
        self._warned = False
        self._size = size

    def new(self) -> bytes:
        """Return a new raw id."""
        return tokens.new_id(self._size)

    def verify(self, token: str) -> bytes | None:
        """Return the raw id in a token; None: it is no id, or, with a secret, was not signed with that."""
        if self._sealer is None:
            raw = tokens.decode_id(token)
            return tokens.id_of_signed(token) if raw is None else raw
        raw = self._sealer.open(token)
        if raw is None and self.clock() < self._unsigned_until:
            return tokens.decode_id(token)
        return raw if raw is not None and len(raw) in (tokens.ID_BYTES, tokens.SHORT_BYTES) else None

    def note_refused(self, token: str) -> None:
        """Say once what can be done about ids of a time without a secret, if this token looks like one."""
        if self._warned or self._unsigned_until or self._sealer is None or tokens.decode_id(token) is None:
            return
        self._warned = True
        log.warning(
            "a cookie holds an id without a signature, as it was handed out before there was a secret, and counts as "
            "anonymous: LIMPET_UNSIGNED_UNTIL=2030-01-31, or SessionManager(unsigned_until=...), lets such ids in "
            "until that day, and signs them"
        )

    def present(self, raw: bytes) -> str:
        """Return the token that a client is given for an id."""
        return tokens.encode_id(raw) if self._sealer is None else self._sealer.seal(raw)

    def key_of(self, raw: bytes) -> str:
        """Return the store key of an id."""
        digest = self._digest.copy()
        digest.update(raw)
        return digest.hexdigest()

    def current(self, token: str) -> bool:
        """Return whether the token is signed under the newest key, if at all."""
        return self._sealer is None or self._sealer.current(token)
