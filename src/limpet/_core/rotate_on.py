"""Keys that stand for a login, such as ``user_id``: which of them a request has set or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from limpet._core.merge import diff_keys
from limpet._core.record import unpack
from limpet._core.standing import FROZEN

if TYPE_CHECKING:
    from limpet._core.session import Session

__all__ = ["watched_changes"]


def watched_changes(session: Session, data: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of ``rotate_on`` that appeared or changed, each with the value before; None: there was none."""
    engine = session._engine
    watched = {key: data[key] for key in engine.policy.rotate_on if data.get(key) is not None}
    if not watched:
        return {}
    fresh = session._base is None or session._ended or session._displaced
    if not (fresh or session._watched or session._views) and all(type(value) in FROZEN for value in watched.values()):
        return {}  # nobody set one of them and none can change in place: spares reading the record again, 10 us
    before = {} if fresh else unpack(session._base or b"", engine.serializer).data
    changed = diff_keys({key: before[key] for key in watched if key in before}, watched, engine.serializer.encode)
    return {key: before.get(key) for key in changed}
