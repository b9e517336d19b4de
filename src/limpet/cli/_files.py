"""Where a store that keeps files keeps them, and whether this user may write there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

__all__ = ["made", "missing", "missing_file", "missing_folder", "path_of", "path_problems"]


def path_of(store: object) -> str | None:
    """Return the file or folder that a store keeps, or None for a store without one."""
    for name in ("path", "directory"):
        path = getattr(store, name, None)
        if isinstance(path, str):
            return path
    return None


def missing_file(store: object) -> str | None:
    """Return the path of a store whose file or folder does not exist yet.

    Opening such a store would make it, owned by the user of the command instead of the application's.
    """
    path = path_of(store)
    return None if path is None or os.path.lexists(path) else path


def missing_folder(path: str) -> str | None:
    """Return the folder that a store's file or folder is to be made in, if that does not exist either."""
    folder = os.path.dirname(path)
    return None if os.path.lexists(folder) else folder


def missing(store: object) -> list[str]:
    """Return what opening a store makes: the folder that its file or folder is in, and that, as far as they are not."""
    path = missing_file(store)
    return [] if path is None else [each for each in (missing_folder(path), path) if each is not None]


def made(paths: Sequence[str]) -> str:
    """Return a sentence on what was missing and has been made, so that a mistyped path is seen."""
    return f"{' and '.join(paths)} did not exist, and {'was' if len(paths) == 1 else 'were'} made"


def path_problems(path: str) -> Iterator[str]:
    """Yield one sentence for each thing that keeps this user from making or changing ``path``."""
    if os.path.exists(path):
        if not _may(path, os.R_OK | os.W_OK):
            yield f"this user may not read and write {path}: {_owner(path)}"
        folder = os.path.dirname(path)
        if os.path.isfile(path) and not _may(folder, os.W_OK | os.X_OK):
            yield f"this user may not create files in {folder}, as the database has to: {_owner(folder)}"
        return
    nearest = os.path.dirname(path)
    while not os.path.lexists(nearest):
        nearest = os.path.dirname(nearest)
    if not os.path.isdir(nearest):
        yield f"{path} cannot be made, since {nearest} is not a folder: name another place"
    elif not _may(nearest, os.W_OK | os.X_OK):
        yield f"{path} cannot be made, since this user may not write to {nearest}: {_owner(nearest)}"


def _may(path: str, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _owner(path: str) -> str:
    """Say whose it is, and who asks, so that one of them can be changed."""
    found = os.stat(path)
    asks = f"user {os.geteuid()}" if hasattr(os, "geteuid") else "this one"
    mode = found.st_mode & 0o7777
    return f"it belongs to user {found.st_uid} (mode {mode:o}) and you are {asks}; change its owner or mode"
