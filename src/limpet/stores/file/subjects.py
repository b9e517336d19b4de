"""Which session files belong to a subject: one folder per subject, one empty file per key.

An entry may lack its record, a record never lacks its entry: the entry is made first and removed last. A
search that finds one without a record, or with the record of another subject, removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import AbstractContextManager

from limpet.stores.file.folder import Folder

__all__ = ["Subjects"]


class Subjects:
    """The index by subject. The folder of a subject is named by its SHA-256 digest.

    Args:
        path: The folder of the index.
        durable: Whether an entry waits until it has reached the disk.
    """

    def __init__(self, path: str, *, durable: bool) -> None:
        self._path = path
        self._durable = durable
        self._listed: tuple[str, Sequence[str]] = ("", ())  # a subject that is walked through, and its sorted keys

    def keys(self, subject: str) -> Sequence[str]:
        """Return the names of all entries."""
        try:
            return os.listdir(self._index(subject).path)
        except FileNotFoundError:
            return ()

    def page(self, subject: str, cursor: str | None, limit: int) -> tuple[Sequence[str], str | None]:
        """Return the ``limit`` next names after ``cursor`` (None: from the first), and the last of them or None.

        A folder can only be listed as a whole, so a long list is kept from the first page to the last.
        """
        listed, keys = self._listed
        if cursor is None or listed != subject:
            keys = sorted(self.keys(subject))
        start = 0 if cursor is None else bisect_right(keys, cursor)
        page = keys[start : start + limit]
        ended = start + limit >= len(keys)
        if not ended:
            self._listed = subject, keys
        elif listed == subject:
            self._listed = "", ()
        return page, None if ended else page[-1]

    def add(self, subject: str, key: str) -> None:
        """Make an entry; one that is there is made new once it is old enough to be taken for a left-over."""
        index = self._index(subject)
        while not os.path.exists(index.at(key)) or index.is_stale(index.at(key)):
            os.makedirs(self._path, mode=0o700, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # the folder was empty and somebody removed it just now
                index.make()
                index.mark(key)

    def check(self, subject: str, key: str, owner: AbstractContextManager[tuple[bool, str | None]]) -> None:
        """Remove an entry unless it is right. ``owner`` locks the record: whether there is one, and whose it is."""
        index = self._index(subject)
        with owner as (present, found):
            # Without a record, a young entry may be of one that is being created.
            if (found != subject) if present else index.is_stale(index.at(key)):
                self.remove(subject, key)

    def remove(self, subject: str, key: str) -> None:
        """Remove an entry, and the folder with the last one."""
        index = self._index(subject)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(index.at(key))
        with contextlib.suppress(OSError):  # other entries are in it, or somebody else removed it
            os.rmdir(index.path)

    def _index(self, subject: str) -> Folder:
        digest = hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()
        return Folder(os.path.join(self._path, digest), durable=self._durable, wait=0)
