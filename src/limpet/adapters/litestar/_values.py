"""Values as Litestar's own sessions give them back, for packages that were written for those."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
from litestar.serialization import default_serializer

from limpet.serializers.json import JSONSerializer

__all__ = ["PlainSerializer"]

_SAME: Final = (str, bool, int, float, type(None))


class PlainSerializer(JSONSerializer):
    """Keeps values as Litestar's JSON does: a UUID, a date or a Decimal comes back as text, a tuple or set as a list.

    The usual serializer gives a UUID back as a UUID. A package that puts one into the session and reads text, such as
    litestar-users, needs this one: ``SessionManager("sqlite:///sessions.db", serializer=PlainSerializer())``. It reads
    what `JSONSerializer` has written, and nothing that the usual one has: choose it before there are sessions.
    """

    __slots__ = ()

    def encode(self, value: Any) -> bytes:
        """Return the canonical bytes of one value, as `JSONSerializer.encode`."""
        return super().encode(_plain(value))

    def encode_in_order(self, value: Any) -> bytes:
        """Return bytes that keep the order of dicts, as `JSONSerializer.encode_in_order`."""
        return super().encode_in_order(_plain(value))


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _SAME:
        return value
    if kind is dict:
        return {key: _plain(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_plain(item) for item in value]
    if kind is set or kind is frozenset:
        return sorted((_plain(item) for item in value), key=json.dumps)
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=default_serializer)
    except (TypeError, ValueError, RecursionError):
        return value  # refused by name, as by every serializer
