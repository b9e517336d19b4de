"""Encrypts what a store keeps: the payload is encrypted on the way in and decrypted on the way out.

It stands between the engine and the store, so that the engine merges, and sees what changed, in plain payloads. A
payload that cannot be decrypted becomes an empty one, which is a corrupt one: an anonymous session, an event, a
deletion by version. A payload that was encrypted under a key that is not listed here is handed on as it is, which is a
foreign one: an anonymous session, and the record stays, because workers with other secrets may read it while a new
secret is being rolled out.

Marks (`limpet._wire.marks`) are left as they are: they hold no session, and a command line that revokes sessions need
not have the keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from limpet._wire import marks
from limpet._wire.record import SEALED
from limpet.contract import Record, Store
from limpet.stores.wrapping import WrappingStore

__all__ = ["EncryptedStore", "RecordSealer"]

_UNREADABLE: Final = b""


class RecordSealer(Protocol):
    """Encrypts the payload of a record for one store key; see `limpet.sealers.at_rest`."""

    def seal(self, key: str, record: Record) -> Record:
        """Return the record with its payload encrypted."""
        ...

    def open(self, key: str, record: Record) -> Record | None:
        """Return the record with its payload decrypted, or None when it was not encrypted for this place."""
        ...

    def is_foreign(self, payload: bytes) -> bool:
        """Tell whether a payload was encrypted under a key that is not listed here."""
        ...


class EncryptedStore(WrappingStore):
    """A `Store` over another one, with its optional powers.

    Args:
        store: Keeps the encrypted records.
        sealer: Encrypts and decrypts them.
        clock: Milliseconds since 1970.
        plain_until: Until then, in milliseconds since 1970, a payload that is not encrypted is read as it is; written,
            it is encrypted. None: it is corrupt.
    """

    def __init__(
        self,
        store: Store,
        sealer: RecordSealer,
        *,
        clock: Callable[[], int],
        plain_until: int | None = None,
    ) -> None:
        super().__init__(store)
        self._sealer = sealer
        self._clock = clock
        self._plain_until = plain_until

    def to_store(self, key: str, record: Record) -> Record:
        """Return the record with its payload encrypted."""
        return record if marks.is_mark(record.payload) else self._sealer.seal(key, record)

    def from_store(self, key: str, record: Record) -> Record:
        """Return the record with its payload decrypted, or empty where that cannot be done."""
        if marks.is_mark(record.payload):
            return record
        if self._plain_until is not None and record.payload[:1] != SEALED and self._clock() < self._plain_until:
            return record
        if self._sealer.is_foreign(record.payload):
            return record
        return self._sealer.open(key, record) or record._replace(payload=_UNREADABLE)
