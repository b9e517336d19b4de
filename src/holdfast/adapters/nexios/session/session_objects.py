"""What ``req.session`` is."""

from holdfast.adapters.nexios._words import Session

__all__ = ["Session"]
