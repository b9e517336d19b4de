"""Messages of ``django.contrib.messages`` that two requests leave or show at once, where the session keeps them.

Django keeps them in one key, as text; so one request's text would take the place of the other's.
"""

from __future__ import annotations

import json
from typing import Any, Final

from limpet import MISSING

__all__ = ["KEY", "merged"]

KEY: Final = "_messages"


def merged(base: Any, mine: Any, theirs: Any) -> Any:
    """Return what both requests left, without what either of them has shown; a rule of `SessionPolicy.merge`."""
    before, here, there = (_read(value) for value in (base, mine, theirs))
    if before is None or here is None or there is None:
        return mine  # not Django's messages: as without a rule
    unread = _begins_with(here, before) and _begins_with(there, before)
    left = [*(before if unread else ()), *_added(before, there), *_added(before, here)]
    return json.dumps(left) if left else MISSING


def _read(value: Any) -> list[Any] | None:
    if value is MISSING or value is None:
        return []
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _begins_with(messages: list[Any], before: list[Any]) -> bool:
    return messages[: len(before)] == before


def _added(before: list[Any], messages: list[Any]) -> list[Any]:
    return messages[len(before) :] if _begins_with(messages, before) else messages
