"""What ``req.session`` is."""

from limpet.adapters.nexios._words import Session

__all__ = ["Session"]
