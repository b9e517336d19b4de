"""The file backend, under both of its names."""

from holdfast.adapters.nexios._backends import FileSessionInterface, FileSessionManager

__all__ = ["FileSessionInterface", "FileSessionManager"]
