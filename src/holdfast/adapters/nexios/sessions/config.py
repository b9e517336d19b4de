"""The settings of sessions."""

from holdfast.adapters.nexios._config import SessionConfig

__all__ = ["SessionConfig"]
