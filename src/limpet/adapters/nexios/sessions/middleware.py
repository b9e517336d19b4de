"""What turns sessions on."""

from limpet.adapters.nexios._middleware import FileSessionMiddleware as SessionMiddleware

__all__ = ["SessionMiddleware"]
