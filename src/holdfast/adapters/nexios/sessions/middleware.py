"""What turns sessions on."""

from holdfast.adapters.nexios._middleware import FileSessionMiddleware as SessionMiddleware

__all__ = ["SessionMiddleware"]
