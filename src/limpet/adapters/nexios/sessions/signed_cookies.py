"""The backend that keeps sessions in their cookies."""

from limpet.adapters.nexios._interfaces import SignedSessionManager

__all__ = ["SignedSessionManager"]
