"""Sessions as one small JSON file each; see `limpet.stores.file.store`."""

from __future__ import annotations

from limpet.stores.file.store import FileStore

__all__ = ["FileStore"]
