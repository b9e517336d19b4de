"""Where a session went whose id was changed: what lies under its old key says so."""

from __future__ import annotations

from limpet._wire import forward, marks
from limpet.contract import Record

__all__ = ["led_to"]


def led_to(key: str, record: Record) -> str | None:
    """Return the store key under which a session goes on after a renewal or `Session.regenerate`.

    A login leads nowhere, as it begins a session of its own, unless the id had been regenerated before.

    Args:
        key: The store key of the old id.
        record: What lies under it.

    Returns:
        None: The record is the session itself, or what is left of one that is over.
    """
    if forward.is_forward(record.payload):
        return forward.successor(record.payload)
    gone = marks.ended(key, record, 0, met_alive=True)
    return None if gone is None else gone.goes_on
