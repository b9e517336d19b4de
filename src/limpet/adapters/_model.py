"""Plain values, as sessions store them, to dataclasses, msgspec Structs and pydantic models, and back."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

__all__ = ["Model"]

_KEPT: Final = (bytes, date, datetime, time, timedelta, Decimal, UUID)  # what a session stores as it is


class Model:
    """Turns a plain value into an object of a type, and back."""

    def __init__(self, model: Any) -> None:
        self.type = model
        self.name: str = getattr(model, "__name__", str(model))
        self.build: Callable[[Any], Any]
        self.dump: Callable[[Any], Any]
        if hasattr(model, "__struct_fields__"):
            import msgspec

            self.build = lambda plain: msgspec.convert(plain, model, builtin_types=_KEPT)
            self.dump = lambda value: msgspec.to_builtins(value, builtin_types=_KEPT)
        else:
            adapter = TypeAdapter[Any](model)
            self.build = adapter.validate_python
            self.dump = lambda value: _plain(adapter.dump_python(value, warnings="error"))

    def problem(self, error: Exception) -> str:
        """Return a sentence on stored data that does not fit, without what is stored."""
        if isinstance(error, ValidationError):
            found = error.errors(include_url=False, include_context=False, include_input=False)
            places = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the value'}: {each['msg']}" for each in found[:3])
        else:
            places = str(error)
        cure = "give new fields defaults, or take on_invalid='default'"
        return f"it was stored in another shape than {self.name} ({places}): {cure}"


def _plain(value: Any) -> Any:
    """Replace enum members, which a session does not store, by their values; the model turns them back."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return type(value)(map(_plain, value))
    return value
