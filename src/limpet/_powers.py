"""What a store can do beside the contract, asked once: to check a protocol takes microseconds."""

from __future__ import annotations

from typing import Final, NoReturn

from limpet.contract import Finds, Immediate, LoadsMany, Pages, Replaces, Scans, Settles, Store, Urgent, supports
from limpet.errors import LimpetError

__all__ = ["NO_RECORDS", "NoRecords", "Powers"]

NO_RECORDS: Final = "a cookie session has no record on the server: use a store such as sqlite:///sessions.db"


class NoRecords:
    """Stands where a store on the server would."""

    def __getattr__(self, name: str) -> NoReturn:
        raise LimpetError(NO_RECORDS)


class Powers:
    """The optional powers of one store, or of none.

    Attributes:
        many: Reads several records at once; None: it cannot. The same goes for the next four.
        urgent: Takes what ends sessions also while it is full.
        replaces: Shortens the life of a record.
        pages: Hands out the records of a subject by pages.
        finds: Hands out all records of a subject.
        immediate: Its calls never wait.
        is_findable: There is a way to records beside their keys, so that sessions can be revoked.
        settles_within: Seconds after which a read has ended by itself, or None.
    """

    __slots__ = ("finds", "immediate", "is_findable", "many", "pages", "replaces", "settles_within", "urgent")

    def __init__(self, store: Store | None) -> None:
        self.immediate = store is not None and supports(store, Immediate)
        self.many: LoadsMany | None = store if store is not None and supports(store, LoadsMany) else None
        self.urgent: Urgent | None = store if store is not None and supports(store, Urgent) else None
        self.replaces: Replaces | None = store if store is not None and supports(store, Replaces) else None
        self.pages: Pages | None = store if store is not None and supports(store, Pages) else None
        self.finds: Finds | None = store if store is not None and supports(store, Finds) else None
        scans = store is not None and supports(store, Scans)
        looks_up = self.many is not None or self.finds is not None or self.pages is not None
        self.is_findable = looks_up or scans
        settles = store is not None and supports(store, Settles)
        self.settles_within: float | None = getattr(store, "settles_within", None) if settles else None
