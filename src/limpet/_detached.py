"""A session without its client: opened by its public id, for a worker or an operator.

The raw id is not known, so no new id can be made: ``login`` and ``regenerate`` are refused. Work in the background is
no activity of the person, so it does not move the idle deadline.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar, cast

from limpet._arguments import check_text
from limpet._core import predecessors
from limpet._core.notes import adopt
from limpet._core.session import Session, state_of
from limpet._core.state import OVER, STARTED
from limpet._wire import tokens
from limpet._wire.record import Found
from limpet.errors import LimpetError, SessionClosed, SessionEnded

if TYPE_CHECKING:
    from limpet._core.engine import Engine

__all__ = ["check_session", "is_key", "open_session", "public_id_of"]

S = TypeVar("S", bound=Session)
_KEY: Final = re.compile(r"[0-9a-f]{64}")


def public_id_of(value: object) -> str:
    """Return what is given as a public id, which may be one of nothing.

    Raises:
        TypeError: It is no str.
    """
    check_text("a public id", value, "as session.public_id and sessions_of give it")
    return cast("str", value)


def check_session(name: str, given: object) -> None:
    """Refuse what names no session of this request. Under Django that is ``request.session.limpet.public_id``.

    Raises:
        TypeError: It is neither a session, nor a str, nor None.
    """
    if given is not None and not isinstance(given, (Session, str)):
        raise TypeError(f"{name} is a session, its public id or None, not {type(given).__name__}")


def is_key(text: str) -> bool:
    """Tell a store key, which is what a public id is, from anything else."""
    return _KEY.fullmatch(text) is not None


@asynccontextmanager
async def open_session(engine: Engine, public_id: str, make: Callable[[Engine], S]) -> AsyncIterator[S]:
    """Open a live session, and save it at the end; after an exception only a logout, without ``save_on_error``.

    Raises:
        LimpetError: The sessions live in cookies.
        SessionEnded: There is none with that id: it expired, or was ended; or it was ended while it was open, and what
            was written is not saved.
        StoreUnavailable: The store does not answer.
    """
    public_id = public_id_of(public_id)
    if not engine.is_server_side:
        raise LimpetError("sessions in cookies cannot be opened by their public id: only browsers have them")
    found = await engine.storage.locate(b"", public_id) if is_key(public_id) else None
    found = await predecessors.end(engine, found, went_out=False) if isinstance(found, Found) else None
    if not isinstance(found, Found):
        raise SessionEnded(f"there is no session {public_id[:8]!r}...: it has expired or was ended, or never was one")
    session = make(engine)
    state = state_of(session)
    adopt(state, found)
    state.phase = STARTED
    failure: BaseException | None = None
    try:
        yield session
    except BaseException as error:  # noqa: BLE001 - raised again below, where something can be awaited
        failure = error
    if failure is None:
        await engine.save(session)
    else:
        try:
            await engine.commit(session, failed=True)
        except LimpetError as problem:  # what the job raised says more than what came of it
            said = "a job failed, and what it leaves in session %s could not be kept: %s"
            engine.emitter.log.warning("failed job", said, tokens.tag(public_id), problem)
        if not (isinstance(failure, SessionClosed) and state.flags & OVER):
            raise failure
    if state.flags & OVER:
        reason = f"session {public_id[:8]!r}... was ended while it was open: what was written is not saved"
        raise SessionEnded(reason) from failure
