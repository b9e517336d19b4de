"""Payloads as a store keeps them when it is not to be read: encrypted, and bound to where they are.

::

    X (1) | key id (4) | nonce (24) | ciphertext and tag

XAES-256-GCM, as for tokens. The associated data is the store key, the version and the subject of the record, so that a
payload is worthless under another key, beside another version, or in another subject's record.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, NamedTuple

from limpet._wire.record import SEALED
from limpet.contract import Record
from limpet.keyring import KEY_ID_BYTES, Keyring
from limpet.sealers.encrypted import XAES256GCM

__all__ = ["AtRestSealer"]

_NONCE_BYTES: Final = 24
_HEAD: Final = 1 + KEY_ID_BYTES
_TAG: Final = b"limpet:at-rest:1"


class _Ring(NamedTuple):
    generation: int
    newest: bytes
    keys: dict[bytes, tuple[XAES256GCM, int | None]]


class AtRestSealer:
    """Seals the payloads of records under the newest key, and opens those of every listed key.

    Args:
        keyring: Where the keys come from. A `Keyring.replace` takes effect on the next call.
        name: What the keys are bound to: the manager's namespace.
        clock: Milliseconds since 1970; asked about keys that have an end date.
    """

    def __init__(self, keyring: Keyring, *, name: str, clock: Callable[[], int]) -> None:
        self._keyring = keyring
        self._name = name
        self._clock = clock
        self._ring: _Ring | None = None

    def seal(self, key: str, record: Record) -> Record:
        """Return the record with its payload sealed for this store key."""
        ring = self._prepared()
        nonce = os.urandom(_NONCE_BYTES)
        head = SEALED + ring.newest
        sealed = ring.keys[ring.newest][0].encrypt(nonce, record.payload, _associated(head, key, record))
        return record._replace(payload=head + nonce + sealed)

    def open(self, key: str, record: Record) -> Record | None:
        """Return the record with its payload opened, or None when it was not sealed for this place."""
        payload, ring = record.payload, self._prepared()
        found = ring.keys.get(payload[1:_HEAD]) if payload[:1] == SEALED else None
        body = payload[_HEAD:]
        if found is None or len(body) < _NONCE_BYTES:
            return None
        cipher, until = found
        if until is not None and self._clock() >= until:
            return None
        data = cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], _associated(payload[:_HEAD], key, record))
        return None if data is None else record._replace(payload=data)

    def is_foreign(self, payload: bytes) -> bool:
        """Tell whether a payload was sealed under a key that is not listed here, perhaps a newer one."""
        return payload[:1] == SEALED and payload[1:_HEAD] not in self._prepared().keys

    def _prepared(self) -> _Ring:
        ring = self._ring
        if ring is None or ring.generation != self._keyring.generation:
            generation = self._keyring.generation
            derived = self._keyring.derive("at rest", self._name)
            # Should two key ids ever be equal, the newer key has it.
            keys = {each.key_id: (XAES256GCM(each.key), each.until) for each in reversed(derived)}
            self._ring = ring = _Ring(generation, derived[0].key_id, keys)
        return ring


def _associated(head: bytes, key: str, record: Record) -> bytes:
    subject = b"" if record.subject is None else b"\x01" + record.subject.encode("utf-8", "surrogatepass")
    return _TAG + head + key.encode() + record.version.to_bytes(8, "big", signed=True) + subject
