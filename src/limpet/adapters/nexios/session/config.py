"""The settings of sessions."""

from limpet.adapters.nexios._config import SessionConfig

__all__ = ["SessionConfig"]
