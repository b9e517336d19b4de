"""Keeps sessions in the format of ``SESSION_SERIALIZER``, where that is not Django's own."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from limpet.errors import UnstorableValue

__all__ = ["SettingsSerializer"]


class SettingsSerializer:
    """A `limpet.protocols.Serializer` over a class that ``SESSION_SERIALIZER`` names.

    Args:
        serializer: Has ``dumps`` and ``loads``, of values and bytes.
    """

    DEFAULT: ClassVar[str] = "django.contrib.sessions.serializers.JSONSerializer"
    format: Final = b"D"

    def __init__(self, serializer: Any) -> None:
        self._serializer = serializer

    def encode(self, value: Any) -> bytes:
        """Return the bytes of one value.

        Raises:
            UnstorableValue: The serializer refuses it.
        """
        try:
            data: bytes = self._serializer.dumps(value)
        except (TypeError, ValueError) as error:
            raise UnstorableValue("(somewhere)", str(error)) from error
        return data

    def decode(self, data: bytes) -> Any:
        """Return the value.

        Raises:
            ValueError: These bytes are not of this format.
        """
        return self._serializer.loads(data)
