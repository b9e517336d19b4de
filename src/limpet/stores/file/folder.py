"""Files that are whole or not there: private, locked by themselves, replaced in one step, synced.

Plain blocking functions; `limpet.stores.file.store` decides on which thread they run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from typing import Final

from limpet.errors import StoreUnavailable

__all__ = ["STALE", "TEMPORARY", "Folder", "Irregular", "unavailable"]

STALE: Final = 3600
"""Seconds after which a temporary file or an index entry without a record is left over from a process that died."""
TEMPORARY: Final = ".tmp"
_CHUNK: Final = 1 << 20
_READ: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class Irregular(Exception):
    """Under this name is something that is no regular file."""


class Folder:
    """The files of one folder, named without their path.

    Args:
        path: The folder.
        durable: Whether a write waits until it has reached the disk.
        wait: Seconds to wait for a lock that another process holds.
    """

    def __init__(self, path: str, *, durable: bool, wait: float) -> None:
        self.path = path
        self._durable = durable
        self._wait = wait

    def at(self, name: str) -> str:
        """Return the path of a file."""
        return os.path.join(self.path, name)

    def make(self) -> bool:
        """Create the folder, for this user alone, where it is missing, and return whether it was."""
        if os.path.isdir(self.path):
            return False
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        try:
            self._sync_folder(os.path.dirname(self.path))
        except BaseException:  # whoever comes next makes it again, and syncs that
            with contextlib.suppress(OSError):
                os.rmdir(self.path)
            raise
        return True

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, or None when there is none.

        Raises:
            Irregular: It is a symbolic link, a pipe or a device.
        """
        handle = self._open(name)
        if handle is None:
            return None
        try:
            return self.read_from(handle)
        finally:
            os.close(handle)

    def read_from(self, handle: int) -> bytes:
        """Return what an open file holds, from its beginning."""
        parts: list[bytes] = []
        offset = 0
        while part := os.pread(handle, _CHUNK, offset):
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[int | None]:
        """Hold the only lock on the file that has this name; None when there is none.

        The lock is on the record's own file, so that no lock files are left behind. A write replaces the
        file and so takes the locked one's name away: a lock counts only if its file still has the name once it is held.

        Raises:
            Irregular: It is a symbolic link, a pipe or a device.
            StoreUnavailable: Another process did not let go of it in time.
        """
        deadline = time.monotonic() + self._wait
        while True:
            handle = self._open(name)
            if handle is None:
                yield None
                return
            try:
                self._lock(handle, deadline)
                if self._is_current(handle, name):
                    yield handle
                    return
            finally:
                self._unlock(handle)
                os.close(handle)

    def create(self, name: str, data: bytes, expires: int) -> bool:
        """Write a new file, whole from its first moment; return False when the name is taken."""
        temporary = self._write(data, expires)
        try:
            os.link(self.at(temporary), self.at(name))
        except FileExistsError:
            return False
        finally:
            self._discard(temporary)
        self._sync_folder(self.path)
        return True

    def replace(self, name: str, data: bytes, expires: int) -> None:
        """Put new contents in a file's place in one step. The caller holds its lock."""
        temporary = self._write(data, expires)
        try:
            os.replace(self.at(temporary), self.at(name))
        except BaseException:
            self._discard(temporary)
            raise
        self._sync_folder(self.path)

    def remove(self, name: str, *, for_good: bool = True) -> None:
        """Delete a file, durably unless it may come back. The caller holds its lock."""
        os.unlink(self.at(name))
        if for_good:
            self._sync_folder(self.path)

    def mark(self, name: str) -> None:
        """Create an empty file, or make the one that is there new."""
        was_there = os.path.exists(self.at(name))
        handle = os.open(self.at(name), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.utime(handle)
        finally:
            os.close(handle)
        try:
            self._sync_folder(self.path)
        except BaseException:
            if not was_there:  # whoever comes next creates it again, and syncs that
                self._discard(name)
            raise

    def sync(self) -> None:
        """See to it that what was created, replaced and deleted until now has reached the disk."""
        self._sync_folder(self.path)

    def is_stale(self, path: str) -> bool:
        """Return whether a file was last written more than an hour ago, by the clock of the file system."""
        try:
            return time.time() - os.lstat(path).st_mtime > STALE
        except FileNotFoundError:
            return False

    def clean(self) -> None:
        """Delete temporary files that a crashed process left more than an hour ago.

        Their time of modification is a deadline, so it is the time of the last change of the inode that counts.
        """
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.startswith(".") and entry.name.endswith(TEMPORARY):
                    with contextlib.suppress(FileNotFoundError):  # another process cleans up too, or was done with it
                        if time.time() - os.lstat(entry.path).st_ctime > STALE:
                            os.unlink(entry.path)

    def names(self) -> Iterator[str]:
        """Yield the names of the files one by one, without a list of all."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                yield entry.name

    def _open(self, name: str) -> int | None:
        try:
            handle = os.open(self.at(name), _READ)
        except FileNotFoundError:
            if not os.path.isdir(self.path):  # a session is absent; a folder that vanished is trouble
                raise
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
                raise Irregular(name) from error
            raise
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise Irregular(name)
        return handle

    def _lock(self, handle: int, deadline: float) -> None:
        import fcntl  # POSIX only

        pause = 0.0005
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise StoreUnavailable(
                        f"a session file in {self.path} is unavailable: "
                        f"another process kept it locked for more than {self._wait:g} s",
                        waited=True,
                    ) from None
            time.sleep(pause)
            pause = min(pause * 2, 0.02)

    def _unlock(self, handle: int) -> None:
        """Let go of the lock, also for a child that was forked meanwhile, which has the same open file for longer."""
        import fcntl  # POSIX only

        fcntl.flock(handle, fcntl.LOCK_UN)

    def _is_current(self, handle: int, name: str) -> bool:
        try:
            found = os.lstat(self.at(name))
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(handle))

    def _write(self, data: bytes, expires: int) -> str:
        """Write a temporary file, synced, whose time of modification says when it may be forgotten."""
        name = f".{secrets.token_hex(8)}{TEMPORARY}"
        handle = os.open(self.at(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            try:
                rest = memoryview(data)
                while rest:  # a disk that is nearly full takes a part, and fails on the next
                    rest = rest[os.write(handle, rest) :]
                os.utime(handle, ns=(expires, expires))
                if self._durable:
                    os.fsync(handle)
            finally:
                os.close(handle)
        except BaseException:
            self._discard(name)
            raise
        return name

    def _discard(self, name: str) -> None:
        with contextlib.suppress(OSError):  # what cannot be deleted now is cleaned up an hour later
            os.unlink(self.at(name))

    def _sync_folder(self, path: str) -> None:
        if not self._durable:
            return
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def unavailable(path: str, error: OSError) -> StoreUnavailable:
    """Return the error that says what the system said."""
    cause = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EFBIG: "the limit on the size of files is reached",
        errno.EROFS: "the disk is read-only",
        errno.EACCES: "this user may not use it",
        errno.EIO: "the disk failed",
        errno.EMFILE: "this process has too many open files",
        errno.EPERM: "the file system refuses it (it must know hard links)",
        errno.ENOENT: "it was deleted or moved; the next call makes it again",
    }.get(error.errno or 0, error.strerror or str(error))
    return StoreUnavailable(f"the session folder {path} is unavailable: {cause}")
