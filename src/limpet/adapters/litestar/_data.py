"""What takes the place of a session, as the plain data that a session holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from litestar.types import Empty

from limpet import _form_tokens as form_tokens
from limpet._core.session import Session
from limpet._scopes import loaded

__all__ = ["replace"]

_KEPT: Final = (bytes, date, datetime, time, timedelta, Decimal, UUID)  # what a session stores as it is


async def replace(session: Session, value: Any) -> None:
    """Carry out what Litestar means by a value in the place of the session: None and ``Empty`` end it.

    Anything else takes the place of what was in it: a dict, or a dataclass, Struct, attrs or pydantic object. The
    CSRF token of `limpet.csrf` stays.
    """
    if value is None or value is Empty:
        session.clear()
        return
    data = _plain(value)
    await loaded(session)
    for key in [key for key in session if key not in data and key != form_tokens.KEY]:
        del session[key]
    session.update(data)


def _plain(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    return cast("Mapping[str, Any]", msgspec.to_builtins(value, builtin_types=_KEPT) if dump is None else dump())
