"""The base class of a backend of one's own."""

from limpet.adapters.nexios._backends import BaseSessionInterface

__all__ = ["BaseSessionInterface"]
