"""What ``set_session`` is given, as the plain data that a session holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, cast
from uuid import UUID

import msgspec

__all__ = ["plain"]

_KEPT: Final = (bytes, date, datetime, time, timedelta, Decimal, UUID)  # what a session stores as it is


def plain(value: Any) -> Mapping[str, Any]:
    """Return the data of a session that was set: a dict, or a dataclass, Struct, attrs or pydantic object."""
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    return cast("Mapping[str, Any]", msgspec.to_builtins(value, builtin_types=_KEPT) if dump is None else dump())
