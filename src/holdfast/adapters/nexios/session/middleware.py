"""What turns sessions on."""

from holdfast.adapters.nexios._middleware import SessionMiddleware

__all__ = ["SessionMiddleware"]
