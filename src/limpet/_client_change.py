"""What `SessionPolicy.on_client_change` says happens where a session comes from another client than the one it had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet import events
from limpet._clients import changes
from limpet._core import ending
from limpet._core.conflict import end_state
from limpet._core.state import OTHER_CLIENT, SessionState

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["judge"]

_SEVERITY: Final = ("event", "login", "end")


async def judge(engine: Context, state: SessionState) -> None:
    """Compare the client of a request with the one that logged in, and do what the policy says.

    Nothing is written for a client that stays the same, and for one that changed only where the session is to end.

    Raises:
        StoreUnavailable: The session is to end, and the store does not answer.
    """
    rules, describe = engine.policy.on_client_change, engine.emitter.describe
    stored, draft = state.stored, state.draft
    if not rules or describe is None or state.context is None or stored is None or stored.key is None or draft is None:
        return
    if draft.authenticated is None or not draft.device:
        return
    what = changes(draft.device, describe(state.context))
    if not what:
        return
    named = [rules[name] for name in (*what, "+".join(sorted(what))) if name in rules]
    if not named:
        return
    action = max(named, key=_SEVERITY.index)
    engine.emit(events.ClientChanged, stored.key, subject=state.subject, what=tuple(sorted(what)), action=action)
    if action == "login":
        state.flags |= OTHER_CLIENT
    elif action == "end":
        end_state(state)  # first: where the store fails, this client is served nothing of it all the same
        if (await ending.end(engine, stored, "revoke", None))[1]:
            engine.emit(events.SessionRevoked, stored.key, subject=stored.record.subject)
