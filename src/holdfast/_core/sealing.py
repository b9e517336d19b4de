"""Sessions that live in their cookie: nothing is stored, the token itself is the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast._core import events, plan
from holdfast._core.plan import Plan, Step
from holdfast._core.record import Contents, CorruptPayload, Record, unpack
from holdfast._core.standing import Standing, State
from holdfast.errors import CookieTooLarge, SessionClosed

if TYPE_CHECKING:
    from holdfast._core.commit import Commit
    from holdfast._core.manager import Engine

__all__ = ["COOKIE_LIMIT", "seal", "unseal"]

COOKIE_LIMIT: Final = 4096
"""Bytes of a whole Set-Cookie line. Browsers drop a name and value over 4,096 bytes (RFC 6265bis, section 5.6); some
front ends drop the line when all of it is longer, so the line is held to the same number."""

_FUTURE: Final = 60_000  # skew between hosts that is tolerated in a sealed cookie, in milliseconds
_LATE: Final = "this session lives in its cookie, which can no longer be set: the response has started"


def seal(commit: Commit, todo: Plan) -> None:
    """Seal the session into its cookie, or take the cookie back.

    Raises:
        SessionClosed: The response has started.
        CookieTooLarge: The cookie would not be kept by browsers; the old one stays valid.
    """
    engine, session = commit.engine, commit.session
    if session._phase:
        if todo.step is not Step.TOUCH:
            raise SessionClosed(_LATE)
        return
    if todo.end and todo.step is Step.NOTHING:
        engine.emit(events.SessionLoggedOut, subject=session._record.subject if session._record else None)
        session._record = session._base = None
        session._ids, session._out = (), ""
        return
    if not commit.payload:
        commit.encode()
    record = commit.record()
    token = engine.client.seal(record)
    before, session._record = session._record, record
    size = len(engine.transport.write(token, engine.max_age(session))[1])
    if size > COOKIE_LIMIT:
        session._record = before
        raise CookieTooLarge(size, COOKIE_LIMIT, commit.largest())
    commit.saved(record)
    session._out, session._reissue = token, False
    if commit.notes.login:
        engine.emit(events.SessionLoggedIn, subject=session._subject)


def unseal(engine: Engine, session: Standing) -> None:
    """Open a session that lives in its cookie. Anything that cannot be opened or is past its deadline: anonymous."""
    session._state = State.READY
    opened: dict[bytes, tuple[str, Record, Contents]] = {}
    for token in session._ids:
        record = engine.client.unseal(token)
        if record is None or record.accessed > engine.clock() + _FUTURE:
            continue
        try:
            contents = unpack(record.payload, engine.serializer)
        except CorruptPayload as problem:
            engine.emit(events.CorruptRecord, reason=str(problem))
            continue
        if engine.clock() >= plan.deadline(contents, record.accessed, engine.policy):
            engine.emit(events.SessionExpired, subject=record.subject)
            continue
        opened[record.payload] = token, record, contents
    if len(opened) > 1:
        engine.emit(events.AmbiguousCookie)
        return
    for token, record, contents in opened.values():
        session._contents, session._data = contents, contents.data
        session._record, session._subject = record, record.subject
        session._base = record.payload
        session._ends_read = contents.ends
        session._reissue = not engine.client.current(token)
