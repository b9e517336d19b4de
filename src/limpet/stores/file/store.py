"""Sessions as one small JSON file each, in one folder: durable, shared by all processes of one machine, readable.

A record is ``<prefix><key>.json``: one line of JSON with the payload in base64 and a checksum. It is only ever
replaced as a whole, so a reader needs no lock. Its time of modification is the deadline: a sweep need not read what
is alive. Sessions of a subject are found through ``.<prefix>subjects/<SHA-256 of the subject>/<key>``, empty files
that are made before the record that they stand for, and checked against it when they are read.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar
from urllib.parse import unquote

from limpet._checks import flag, interval
from limpet.contract import ABSENT, DONE, Outcome, Record
from limpet.errors import ConfigurationError
from limpet.stores._aio.threads import Threads
from limpet.stores._folders import log_made
from limpet.stores._url import boolean, options, seconds, text
from limpet.stores.file.envelope import damaged, deadline, decode, encode
from limpet.stores.file.folder import TEMPORARY, Folder, Irregular, unavailable
from limpet.stores.file.subjects import Subjects

__all__ = ["FileStore"]

T = TypeVar("T")
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}|")
_THREADS: Final = 4
_PART: Final = 0.25  # seconds that one call of `sweep` looks at files; a large folder takes several


class FileStore:
    """Keeps records as files.

    `DONE` means that the record has reached the disk. Works under any number of event loops and with none: then every
    call blocks until it is done. Needs a local POSIX file system with hard links.

    A file that cannot be read as a record (cut off, changed, a link or a pipe in its place) is loaded as a record
    with an empty payload, which no manager can read, with a deadline long past, and with a version made from what is
    there: by that version it can be deleted, unless it was changed meanwhile.

    Args:
        directory: The folder, made for this user alone (0700) when it is missing; a relative path is
            taken from the current directory, now.
        prefix: What file names begin with: letters, digits, ``_``, ``-`` and ``.``.
        durable: Wait until a write has reached the disk. Without, a power failure can undo the last
            writes and damage the files written last; a crash of the process cannot.
        lock_timeout: Seconds to wait for a record that another process has locked; by default a little less
            than the second that a session manager waits, so that the error names the cause.
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, prefix: str = "", durable: bool = True, lock_timeout: float = 0.9
    ) -> None:
        if os.name != "posix":
            raise ConfigurationError("a file store needs POSIX file locks: use 'sqlite:///sessions.db' on this system")
        if not os.fspath(directory):
            raise ConfigurationError("a file store needs a folder: write 'file:./sessions'")
        if not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                f"prefix is {prefix!r}: file names may begin with up to 64 letters, digits, '_', '-' and '.', "
                "and not with a dot"
            )
        flag("durable", durable)
        interval("lock_timeout", lock_timeout, zero=True)
        self.directory: str = os.path.abspath(directory)
        self.prefix = prefix
        self._durable = durable
        self._folder = Folder(self.directory, durable=durable, wait=lock_timeout)
        self._subjects = Subjects(os.path.join(self.directory, f".{prefix}subjects"), durable=durable)
        self._ready = False
        self._threads = Threads("limpet-file", _THREADS)
        self._listed: Sequence[str] = ()  # the sorted keys of all records, while somebody walks through them
        self._walk: Iterator[str] = iter(())
        self._is_whole = False  # whether that walk has begun with this sweep, of which a call may be a part
        self.sweep_goes_on: bool = False
        self._place: tuple[int, object] = os.getpid(), threading.Lock
        self._sweeping = threading.Lock()

    @classmethod
    def from_url(cls, url: str) -> FileStore:
        """Return the store of ``file:./sessions?prefix=session_`` or ``file:///var/lib/app/sessions``."""
        place, found = options(url, {"prefix": text, "durable": boolean, "lock_timeout": seconds})
        if place.startswith("//") and not place.startswith("///"):
            raise ConfigurationError(
                "a file URL has one slash before an absolute folder, or three, and none before a relative one: "
                f"write 'file:{place[2:]}' or 'file:/{place[2:]}'"
            )
        return cls(unquote(place.removeprefix("//")), **found)

    async def open(self) -> None:
        """Create the folder and delete what crashed processes have left in it."""
        await self._run(lambda: None)

    async def close(self) -> None:
        """Finish the writes under way and end the threads."""
        self._ready = False
        self._threads.close()

    async def load(self, key: str) -> Record | None:
        """Return the record, or None when there is none."""
        name = self._name(key)
        return await self._run(lambda: self._read(name))

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Write a record where there is none; return `DONE`, or the record that is already there."""
        name = self._name(key)

        def call() -> Outcome:
            while True:
                current = self._read(name)
                if current is not None:
                    return current
                if record.subject is not None:
                    self._subjects.add(record.subject, key)
                if self._folder.create(name, encode(record), deadline(record)):
                    return DONE

        return await self._run(call)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Replace the record whose version is ``expected``; return `DONE`, `ABSENT` or the record that is there."""

        def change(current: Record) -> Record | None:
            if current.version != expected:
                return None
            accessed, expires = max(current.accessed, record.accessed), max(current.expires, record.expires)
            return record._replace(accessed=accessed, expires=expires)

        return await self._run(lambda: self._change(key, change))

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Do what `update` does, and take ``accessed`` and ``expires`` as given."""
        return await self._run(
            lambda: self._change(key, lambda current: record if current.version == expected else None)
        )

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        """Move ``accessed`` and ``expires`` forward, never back; return `DONE` or `ABSENT`."""

        def change(current: Record) -> Record:
            return current._replace(accessed=max(current.accessed, accessed), expires=max(current.expires, expires))

        outcome = await self._run(lambda: self._change(key, change))
        return DONE if outcome is DONE else ABSENT  # what is no regular file has no times to move

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        """Delete the record, or only that version of it; return `DONE`, `ABSENT` or the record that was kept."""
        return await self._run(lambda: self._delete(key, lambda current: version in (None, current.version)))

    async def sweep(self, now: int, limit: int) -> int:
        """Delete at most ``limit`` expired records; return how many.

        A call goes on where the one before it stopped, and to the end of the folder at most. After a quarter of a
        second it stops; ``sweep_goes_on`` is True then.
        """
        return await self._run(lambda: self._sweep(now, limit))

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Return the records of these keys, None for each that is absent."""
        names = [self._name(key) for key in keys]
        return await self._run(lambda: [self._read(name) for name in names])

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        """Return the keys and records of that subject."""
        return await self._run(lambda: self._found(subject, self._subjects.keys(subject)))

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return the records of the ``limit`` next keys of that subject, and the last of these keys or None."""

        def call() -> tuple[Sequence[tuple[str, Record]], str | None]:
            keys, following = self._subjects.page(subject, cursor, max(limit, 1))
            return self._found(subject, keys), following

        return await self._run(call)

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Return the records with the ``limit`` next keys after ``cursor``, and the last of these keys or None.

        A folder can only be listed as a whole, so the list is kept from the first page to the last.
        """

        def call() -> tuple[Sequence[tuple[str, Record]], str | None]:
            listed = self._listed
            if cursor is None or not listed:  # or another walk has ended meanwhile
                listed = sorted(filter(None, map(self._key, os.listdir(self.directory))))
            start = 0 if cursor is None else bisect_right(listed, cursor)
            keys = listed[start : start + limit]
            ended = start + limit >= len(listed)
            self._listed = () if ended else listed
            loaded = ((key, self._read(self._name(key))) for key in keys)
            page = [(key, record) for key, record in loaded if record is not None]
            return page, None if ended else keys[-1]

        return await self._run(call)

    async def count(self) -> int:
        """Return how many records there are, by the names of their files."""
        return await self._run(lambda: sum(self._key(name) is not None for name in os.listdir(self.directory)))

    async def check(self) -> Sequence[str]:
        """Write and delete a file, and look at the permissions."""

        def call() -> Sequence[str]:
            probe = f".check-{os.getpid()}-{threading.get_ident()}{TEMPORARY}"
            self._folder.mark(probe)
            self._folder.remove(probe)
            found = []
            mode = stat.S_IMODE(os.stat(self.directory).st_mode)
            if mode & 0o077:
                path = self.directory
                found.append(f"other users may get at the session folder {path} (mode {mode:o}): chmod 700 {path}")
            if not self._durable:
                found.append("durable=False: a power failure can lose and damage the sessions written last")
            return found

        return await self._run(call)

    async def _run(self, call: Callable[[], T]) -> T:
        def safely() -> T:
            try:
                if not self._ready:
                    if self._folder.make():
                        log_made(self.directory)
                    self._folder.clean()
                    self._folder.sync()  # a call that failed may have done its work, and is about to be repeated
                    self._ready = True
                return call()
            except OSError as error:
                self._ready = False
                raise unavailable(self.directory, error) from error

        return await self._threads.run(safely)

    def _name(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise ValueError(f"a store key is 64 lower-case hexadecimal digits; this one has {len(key)} characters")
        return f"{self.prefix}{key}.json"

    def _key(self, name: str) -> str | None:
        key = name.removeprefix(self.prefix).removesuffix(".json")
        return key if _KEY.fullmatch(key) and name == f"{self.prefix}{key}.json" else None

    def _read(self, name: str) -> Record | None:
        try:
            data = self._folder.read(name)
        except Irregular:
            return self._irregular(name)
        return None if data is None else decode(data, self.directory)

    def _irregular(self, name: str) -> Record | None:
        try:
            found = os.lstat(self._folder.at(name))
        except FileNotFoundError:
            return None
        return damaged(f"{found.st_dev} {found.st_ino} {found.st_mode} {found.st_ctime_ns}".encode())

    def _change(self, key: str, change: Callable[[Record], Record | None]) -> Outcome:
        name = self._name(key)
        try:
            with self._folder.locked(name) as handle:
                if handle is None:
                    return ABSENT
                current = decode(self._folder.read_from(handle), self.directory)
                new = change(current)
                if new is None:
                    return current
                if new.subject is not None:
                    self._subjects.add(new.subject, key)
                self._folder.replace(name, encode(new), deadline(new))
        except Irregular:
            return self._irregular(name) or ABSENT
        if current.subject is not None and new.subject != current.subject:
            self._subjects.check(current.subject, key, self._owner(name))
        return DONE

    def _delete(self, key: str, wanted: Callable[[Record], bool], *, for_good: bool = True) -> Outcome:
        name = self._name(key)
        try:
            with self._folder.locked(name) as handle:
                if handle is None:
                    return ABSENT
                current = decode(self._folder.read_from(handle), self.directory)
                if not wanted(current):
                    return current
                self._folder.remove(name, for_good=for_good)
        except Irregular:
            # Nothing to lock, and nothing that this store has written: the link itself goes, not what it points to.
            found = self._irregular(name)
            if found is None:
                return ABSENT
            if not wanted(found):
                return found
            self._folder.remove(name)
            return DONE
        if current.subject is not None:
            # The key was random and is not used again: no record that needs this entry is about to be made.
            self._subjects.remove(current.subject, key)
        return DONE

    def _sweep(self, now: int, limit: int) -> int:
        swept = 0
        place = os.getpid(), threading.Lock
        # After a fork, the two would share one place in the folder, and who holds the lock is on the other side. Where
        # gevent has replaced the locks, a sweep pauses for a locked file.
        if self._place != place:
            self._place, self._sweeping, self._walk = place, threading.Lock(), iter(())
        end = time.monotonic() + _PART
        with self._sweeping:
            if not self.sweep_goes_on:
                self._is_whole = False
            self.sweep_goes_on = False
            while swept < limit and not self.sweep_goes_on:
                name = next(self._walk, None)
                if name is None:
                    if swept or self._is_whole:
                        break
                    self._walk, self._is_whole = self._folder.names(), True
                    continue
                key = self._key(name)
                if key is not None:
                    with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
                        if os.lstat(self._folder.at(name)).st_mtime_ns <= now * 1_000_000:
                            # What a power failure brings back has expired all the same.
                            gone = self._delete(key, lambda current: current.expires <= now, for_good=False)
                            swept += gone is DONE
                self.sweep_goes_on = time.monotonic() >= end
        return swept

    def _found(self, subject: str, keys: Sequence[str]) -> Sequence[tuple[str, Record]]:
        found: list[tuple[str, Record]] = []
        for key in filter(_KEY.fullmatch, keys):
            record = self._read(self._name(key))
            if record is not None and record.subject == subject:
                found.append((key, record))
            else:
                self._subjects.check(subject, key, self._owner(self._name(key)))
        return found

    @contextlib.contextmanager
    def _owner(self, name: str) -> Iterator[tuple[bool, str | None]]:
        """Hold the record's lock; say whether there is one and whose it is."""
        try:
            with self._folder.locked(name) as handle:
                if handle is None:
                    yield False, None
                else:
                    yield True, decode(self._folder.read_from(handle), self.directory).subject
        except Irregular:
            yield True, None
