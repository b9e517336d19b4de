"""Serializers of BlackSheep's kind, which write a session as text, for the engine."""

from __future__ import annotations

from typing import Any, cast

from blacksheep.sessions.abc import SessionSerializer as BlackSheepSerializer

from limpet.adapters.blacksheep._session import Session
from limpet.adapters.blacksheep.sessions.json import JSONSerializer
from limpet.errors import ConfigurationError, UnstorableValue
from limpet.protocols import Serializer
from limpet.serializers import JSONSerializer as TypedJSON
from limpet.serializers import MsgpackSerializer

__all__ = ["engine_serializer"]


def engine_serializer(given: object) -> Serializer:
    """Return the engine's serializer for what an application gave.

    Raises:
        ConfigurationError: It is no serializer.
    """
    if type(given) is JSONSerializer:
        return TypedJSON()
    if all(callable(getattr(given, word, None)) for word in ("read", "write")):
        return _Bridge(cast("BlackSheepSerializer", given))
    if all(hasattr(given, word) for word in ("encode", "decode", "format")):
        return cast("Serializer", given)
    raise ConfigurationError(
        f"serializer={given!r} is none: give an object with read(text) and write(session), as "
        "limpet.adapters.blacksheep.sessions.Serializer has them"
    )


class _Bridge:
    """Lets the application's serializer write the values, and MessagePack what limpet notes beside them."""

    format = b"T"

    def __init__(self, words: BlackSheepSerializer) -> None:
        self._words = words
        self._plain = MsgpackSerializer()

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a whole session, or of one value to compare it."""
        if type(value) is dict and type(value.get("data")) is dict and "created" in value:
            return self._plain.encode({**value, "data": self._text(value["data"])})
        try:
            return self._plain.encode(value)
        except UnstorableValue:  # the application's serializer may know more types
            return self._text({"value": value}).encode()

    def decode(self, data: bytes) -> Any:
        """Return the whole session.

        Raises:
            ValueError: The application's serializer cannot read what it wrote.
        """
        value = self._plain.decode(data)
        try:
            value["data"] = self._words.read(value["data"]).to_dict()
        except Exception as error:
            raise ValueError(f"{type(self._words).__name__} cannot read it") from error
        return value

    def _text(self, values: dict[str, Any]) -> str:
        try:
            return self._written(values)
        except UnstorableValue:
            raise
        except Exception as error:
            raise UnstorableValue(self._culprit(values), f"{type(self._words).__name__} cannot write it") from error

    def _culprit(self, values: dict[str, Any]) -> str:
        for key, value in values.items():
            try:
                self._written({key: value})
            except Exception:  # noqa: BLE001 - whatever it raises, this is the value that it cannot write
                return key
        return "the whole"

    def _written(self, values: dict[str, Any]) -> str:
        session: Any = Session(values)
        return self._words.write(session)
