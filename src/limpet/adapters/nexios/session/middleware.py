"""What turns sessions on."""

from limpet.adapters.nexios._middleware import SessionMiddleware

__all__ = ["SessionMiddleware"]
