"""The secrets behind form tokens: kept in the session, gone when its id changes.

A secret is the session's own, so that a token of one session is worth nothing in another. ``login``, ``regenerate``
and ``rotate_on`` leave behind whatever was known before them; a periodic renewal keeps it, since the forms that are
open in the browser belong to the same visitor. Several secrets stand side by side where several first pages were
rendered at once.

Source: OWASP Cross-Site Request Forgery Prevention Cheat Sheet, "Synchronizer Token Pattern".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from limpet._core.mapping import SessionMapping, state_of
from limpet._core.plan import Step
from limpet._wire import tokens
from limpet._wire.record import unpack

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["KEY", "SECRET_BYTES", "accepted", "combine", "drop_old", "issue", "leave_behind"]

KEY: Final = "_csrf"
"""The session key that holds the secrets."""
SECRET_BYTES: Final = 32


def issue(engine: Context, session: SessionMapping) -> bytes:
    """Return the secret for a form that this response carries; one is made, and the session with it, if there is none.

    Raises:
        SessionClosed: There is none, and none can be saved any more.
    """
    held = _held(session.get(KEY))
    usable = _since(engine, session, held) if _id_changes(engine, session) else held
    if usable:
        secret = tokens.b64decode(usable[-1])
        if secret is not None and len(secret) == SECRET_BYTES:
            return secret
    made = os.urandom(SECRET_BYTES)
    session[KEY] = [tokens.b64encode(made)]
    return made


def accepted(session: SessionMapping) -> list[bytes]:
    """Return the secrets that a token may be of."""
    return [secret for text in _held(session.get(KEY)) if (secret := tokens.b64decode(text)) is not None]


def drop_old(before: Mapping[str, Any], data: dict[str, Any]) -> bool:
    """Forget the secrets that were there before the id changed; return whether there were any.

    Args:
        before: The keys and values as they were read.
    """
    held, old = _held(data.get(KEY)), _held(before.get(KEY))
    kept = [text for text in held if text not in old]
    if len(kept) == len(held):
        return False
    if kept:
        data[KEY] = kept
    else:
        del data[KEY]
    return True


def leave_behind(base: Mapping[str, Any], theirs: dict[str, Any]) -> None:
    """Forget the secrets that other requests made under the old id, while it was changed."""
    theirs.pop(KEY, None)
    if KEY in base:
        theirs[KEY] = base[KEY]


def combine(base: Any, mine: Any, theirs: Any) -> Any:
    """Merge the secrets of two requests: both add, unless one of them has left the old ones behind."""
    old = base if isinstance(base, list) else []
    for side in (mine, theirs):
        if not isinstance(side, list) or side[: len(old)] != old:
            return side
    return [*theirs, *mine[len(old) :]]


def _held(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _since(engine: Context, session: SessionMapping, held: list[str]) -> list[str]:
    """Return the secrets that this request has made."""
    stored = state_of(session).stored
    if not held or stored is None:
        return held
    before = _held(unpack(stored.record.payload, engine.serializer).data.get(KEY))
    return [text for text in held if text not in before]


def _id_changes(engine: Context, session: SessionMapping) -> bool:
    """Tell whether the commit will change the id, as far as the request has come."""
    state = state_of(session)
    return engine.decide(state, engine.clock()).step is Step.MOVE
