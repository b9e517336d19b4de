"""What is asked of a session while its request runs: the answers change nothing, and can be had twice."""

from __future__ import annotations

from limpet._core import plan
from limpet._core.context import Context
from limpet._core.plan import Step
from limpet._core.settle import settle_views
from limpet._core.state import SessionState
from limpet._moments import slack_ms
from limpet._wire.record import pack
from limpet.contract import NEVER
from limpet.errors import SessionConflict, StoreUnavailable

__all__ = ["differs", "is_fresh", "is_past_saving", "pack_as_it_will_be", "refuse_to_wait_again", "whose"]


def differs(engine: Context, state: SessionState) -> bool:
    """Return whether the session has something to save, though a conflict may be all that the save comes to."""
    stored = state.stored
    try:
        todo = engine.decide(state, stored.record.accessed if stored is not None else engine.clock())
    except SessionConflict:
        return True
    if todo.step is Step.RENEW:
        return stored is not None and bool(todo.payload) and not engine.same(todo.payload, stored.record.payload)
    return todo.end or todo.step in (Step.CREATE, Step.UPDATE, Step.EMPTY, Step.MOVE)


def is_past_saving(engine: Context, state: SessionState, now: int) -> bool:
    """Tell whether a session that a request met alive is over, unless others have kept it alive since.

    A store moves what it was told forward only, so that a deadline may have come nearer since.
    """
    stored, draft = state.stored, state.draft
    if stored is None or draft is None:
        return False
    idle = plan.idle_timeout(draft, engine.policy)
    ends = stored.ends if stored.ends is not None else NEVER if idle is None else stored.record.accessed + idle
    return now >= stored.record.expires or (ends != NEVER and now >= ends + slack_ms(idle))


def is_fresh(state: SessionState) -> bool:
    """Tell whether an earlier save of this request made the session, or the one whose id is to change."""
    return state.created is not None if state.leaving is None else state.leaving.fresh


def whose(state: SessionState) -> tuple[str | None, str | None]:
    """Return the key and the subject of the session that a request works with, or that has ended meanwhile."""
    if state.stored is not None:
        return state.stored.key, state.stored.record.subject
    key, subject = state.was
    return key if key is not None or state.gone is None else state.gone.key, subject


def pack_as_it_will_be(engine: Context, state: SessionState) -> bytes:
    """Return the payload of a session with typed objects and lent containers, as a commit would settle them."""
    assert state.draft is not None
    draft = state.draft.copy({})
    copied = SessionState()
    draft.data = copied.data = dict(state.data)
    # Settling notes what it has settled: in copies, as this is only a question.
    copied.views = None if state.views is None else {key: view.copy() for key, view in state.views.items()}
    copied.loans = None if state.loans is None else [(key, loan.copy()) for key, loan in state.loans]
    settle_views(engine, copied, asked=True)
    return pack(draft, engine.serializer)


def refuse_to_wait_again(state: SessionState) -> None:
    """Raise what a store that hangs has cost this request already: until its response starts, one time limit is enough.

    Raises:
        StoreUnavailable: The request has waited for the store as long as it may.
    """
    error = state.error  # read once: a load on another thread may clear it
    if isinstance(error, StoreUnavailable) and error.waited and not state.phase:
        raise error
