"""The backend that keeps sessions in their cookies."""

from holdfast.adapters.nexios._backends import SignedSessionManager

__all__ = ["SignedSessionManager"]
