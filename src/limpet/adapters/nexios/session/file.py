"""The file backend, under both of its names."""

from limpet.adapters.nexios._interfaces import FileSessionInterface, FileSessionManager

__all__ = ["FileSessionInterface", "FileSessionManager"]
