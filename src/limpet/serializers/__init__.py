"""Serializers: how the values of a session become bytes and come back with the type they went in with.

`MsgpackSerializer` is the default: compact and fast. `JSONSerializer` is for people who read their store with other
tools. Both keep the same types (None, bool, int of any size, float, str, bytes, list, dict with str keys, tuple, set,
frozenset, datetime, date, time, timedelta, UUID, Decimal), refuse the rest with `UnstorableValue`, and never run
code when they decode. Each is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet._lazy import lazily

if TYPE_CHECKING:
    from limpet.serializers.json import JSONSerializer
    from limpet.serializers.msgpack import MsgpackSerializer

__all__ = ["JSONSerializer", "MsgpackSerializer"]

_HOMES: Final = {
    "JSONSerializer": "json",
    "MsgpackSerializer": "msgpack",
}

if not TYPE_CHECKING:  # a type checker is to know every name, and no others
    __getattr__, __dir__ = lazily(__name__, _HOMES, __all__)
