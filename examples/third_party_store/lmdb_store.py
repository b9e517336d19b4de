"""Sessions in LMDB, a memory-mapped B+ tree in one folder: a store that is not part of limpet.

It reads and writes within LMDB's transactions, of which at most one writes at a time, in all processes together. That
is what makes "look at the version, then write" one step; a store over a service has to find such a step there: a
conditional write, a script, a row lock. LMDB opens a folder once in a process: share the object.

The first six methods are all that a store needs. The four behind them are powers that it may have, each found by its
name: `load_many` saves a round trip, `find_page` lets sessions be listed and ended by subject, `replace` lets what an
ended id leaves be forgotten after a minute, `sweep` deletes what has expired.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import lmdb

from limpet import StoreUnavailable
from limpet.stores import ABSENT, DONE, Outcome, Record

T = TypeVar("T")
HEAD = struct.Struct(">qqqi")  # version, accessed, expires, length of the subject (-1: none)
INDEX = b"s"  # before the digest of a subject and a key; sorts behind every key, which is hexadecimal


class LmdbStore:
    """Keeps records in the LMDB environment in a folder. What was acknowledged is on disk.

    Args:
        folder: Made when it is missing.
        size: The most that it can grow to, in bytes.
    """

    def __init__(self, folder: str | os.PathLike[str], size: int = 2**30) -> None:
        self._folder, self._size = os.fspath(folder), size
        self._environment: lmdb.Environment | None = None
        self._thread = ThreadPoolExecutor(1, "lmdb")  # LMDB waits for locks and for the disk: not on the event loop

    async def open(self) -> None:
        await self._transact(lambda transaction: None)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)

    async def load(self, key: str) -> Record | None:
        return await self._transact(lambda transaction: get(transaction, key))

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        def create(transaction: lmdb.Transaction) -> Outcome:
            there = get(transaction, key)
            if there is None:
                put(transaction, key, record)
            return there or DONE

        return await self._transact(create, write=True)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        def update(transaction: lmdb.Transaction) -> Outcome:
            there = get(transaction, key)
            if there is None:
                return ABSENT  # it was ended: never write it back to life
            if there.version != expected:
                return there  # somebody was faster: the engine merges and tries again
            put(transaction, key, later(record, there.accessed, there.expires), there)
            return DONE

        return await self._transact(update, write=True)

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        def touch(transaction: lmdb.Transaction) -> Outcome:
            there = get(transaction, key)
            if there is None:
                return ABSENT
            put(transaction, key, later(there, accessed, expires), there)
            return DONE

        return await self._transact(touch, write=True)

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        def delete(transaction: lmdb.Transaction) -> Outcome:
            there = get(transaction, key)
            if there is None:
                return ABSENT
            if version not in (None, there.version):
                return there
            remove(transaction, key, there)
            return DONE

        return await self._transact(delete, write=True)

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return await self._transact(lambda transaction: [get(transaction, key) for key in keys])

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Do what `update` does, but take the times as they are."""

        def replace(transaction: lmdb.Transaction) -> Outcome:
            there = get(transaction, key)
            if there is None or there.version != expected:
                return there or ABSENT
            put(transaction, key, record, there)
            return DONE

        return await self._transact(replace, write=True)

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Go on behind the last key of the page before: the index is in the order of the keys."""

        def find_page(transaction: lmdb.Transaction) -> tuple[Sequence[tuple[str, Record]], str | None]:
            prefix, page = entry(subject, ""), list[tuple[str, Record]]()
            place = transaction.cursor()
            place.set_range(entry(subject, f"{cursor}~" if cursor else ""))  # ~ sorts behind every digit
            for found in map(bytes, place.iternext(values=False)):
                if not found.startswith(prefix):
                    return page, None
                if len(page) == limit:
                    return page, page[-1][0]
                key = found[len(prefix) :].decode()
                record = get(transaction, key)
                if record is not None:
                    page.append((key, record))
            return page, None

        return await self._transact(find_page)

    async def sweep(self, now: int, limit: int) -> int:
        """Walk through everything; with millions of sessions, keep an index by deadline."""

        def sweep(transaction: lmdb.Transaction) -> int:
            expired = list[tuple[str, Record]]()
            for key, value in transaction.cursor():
                if bytes(key).startswith(INDEX) or len(expired) == limit:
                    break
                record = decode(bytes(value))
                if record.expires <= now:
                    expired.append((bytes(key).decode(), record))
            for name, record in expired:
                remove(transaction, name, record)
            return len(expired)

        return await self._transact(sweep, write=True)

    async def _transact(self, work: Callable[[lmdb.Transaction], T], *, write: bool = False) -> T:
        def run() -> T:
            try:
                with self._opened().begin(write=write) as transaction:  # committed where the block ends, or undone
                    return work(transaction)
            except (lmdb.Error, OSError) as error:
                raise StoreUnavailable(f"LMDB in {self._folder}: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def _opened(self) -> lmdb.Environment:
        if self._environment is None:
            self._environment = lmdb.open(self._folder, map_size=self._size)
        return self._environment

    def _close(self) -> None:
        environment, self._environment = self._environment, None
        if environment is not None:
            environment.close()


def get(transaction: lmdb.Transaction, key: str) -> Record | None:
    value = transaction.get(key.encode())
    return None if value is None else decode(bytes(value))


def put(transaction: lmdb.Transaction, key: str, record: Record, there: Record | None = None) -> None:
    """Write a record, and keep the index by subject in step; ``there`` is what it takes the place of."""
    if there is not None and there.subject not in (None, record.subject):
        transaction.delete(entry(there.subject, key))
    if record.subject is not None:
        transaction.put(entry(record.subject, key), b"")
    subject = b"" if record.subject is None else record.subject.encode()
    head = HEAD.pack(record.version, record.accessed, record.expires, -1 if record.subject is None else len(subject))
    transaction.put(key.encode(), head + subject + record.payload)


def remove(transaction: lmdb.Transaction, key: str, there: Record) -> None:
    transaction.delete(key.encode())
    if there.subject is not None:
        transaction.delete(entry(there.subject, key))


def entry(subject: str, key: str) -> bytes:
    """A subject's digest, since LMDB takes keys of 511 bytes and a subject may be longer."""
    return INDEX + hashlib.sha256(subject.encode()).digest() + key.encode()


def decode(value: bytes) -> Record:
    version, accessed, expires, length = HEAD.unpack_from(value)
    end = HEAD.size + max(length, 0)
    subject = None if length < 0 else value[HEAD.size : end].decode()
    return Record(version, value[end:], accessed, expires, subject)


def later(record: Record, accessed: int, expires: int) -> Record:
    """Times never move back."""
    return record._replace(accessed=max(record.accessed, accessed), expires=max(record.expires, expires))
