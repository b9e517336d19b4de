"""Serializers: how the values of a session become bytes and come back with the type they went in with.

`MsgpackSerializer` is the default: compact and fast. `JSONSerializer` is for people who read their store with other
tools. Both keep the same types (None, bool, int of any size, float, str, bytes, list, dict with str keys, tuple, set,
frozenset, datetime, date, time, timedelta, UUID, Decimal), refuse the rest with `UnstorableValue`, and never run
code when they decode. Each is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from holdfast.serializers.json import JSONSerializer
    from holdfast.serializers.msgpack import MsgpackSerializer

__all__ = ["JSONSerializer", "MsgpackSerializer"]

_HOMES: Final = {
    "JSONSerializer": "holdfast.serializers.json",
    "MsgpackSerializer": "holdfast.serializers.msgpack",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
