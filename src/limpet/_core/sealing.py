"""Sessions that live in their cookie: nothing is stored, the token itself is the record."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from limpet._core import events, plan, revocation
from limpet._core.plan import Plan, Step
from limpet._core.record import Contents, CorruptPayload, Record, unpack
from limpet._core.standing import READY, Standing
from limpet.errors import CookieTooLarge, SessionClosed

if TYPE_CHECKING:
    from limpet._core.commit import Commit
    from limpet._core.manager import Engine

__all__ = ["COOKIE_LIMIT", "Opened", "adopt", "find", "hand_out", "open_cookie", "seal", "unseal"]

COOKIE_LIMIT: Final = 4096
"""Bytes of a whole Set-Cookie line. Browsers drop a name and value over 4,096 bytes (RFC 6265bis, section 5.6); some
front ends drop the line when all of it is longer, so the line is held to the same number."""

log = logging.getLogger("limpet")

_FUTURE: Final = 60_000  # skew between hosts that is tolerated in a sealed cookie, in milliseconds
_LATE: Final = "this session lives in its cookie, which can no longer be set: the response has started"


class Opened(NamedTuple):
    """A live session out of its cookie.

    Attributes:
        record: The record as it was sealed.
        contents: What the payload says.
        token: The cookie's value.
    """

    record: Record
    contents: Contents
    token: str

    def __repr__(self) -> str:
        """Say nothing of what is in it."""
        return "<Opened>"


async def seal(commit: Commit, todo: Plan) -> None:
    """Seal the session into its cookie, or take the cookie back.

    Raises:
        StoreUnavailable: The store of revocations does not answer; nothing is handed out.
        SessionClosed: The response has started.
        CookieTooLarge: The cookie would not be kept by browsers; the old one stays valid.
    """
    engine, session = commit.engine, commit.session
    if session._phase:
        if todo.step is not Step.TOUCH:
            raise SessionClosed(_LATE)
        return
    if engine.revocation is not None and not await revocation.settle(commit, todo):
        return
    if todo.end and todo.step is Step.NOTHING:
        engine.emit(events.SessionLoggedOut, subject=session._record.subject if session._record else None)
        session._record = session._base = session._key = None
        session._ids, session._out = (), ""
        return
    if not commit.payload:
        commit.encode()
    record = commit.record()
    size = hand_out(engine, session, record, plan.cookie_deadline(commit.contents, record.accessed, engine.policy))
    if size > COOKIE_LIMIT:
        raise CookieTooLarge(size, COOKIE_LIMIT, commit.largest())
    commit.saved(record)
    session._reissue = False
    if engine.revocation is not None:
        session._key = revocation.key_of(engine, commit.contents, session._subject)
    if commit.notes.login:
        _warn_of_copies(engine)
        engine.emit(events.SessionLoggedIn, subject=session._subject)


def hand_out(engine: Engine, session: Standing, record: Record, deadline: int) -> int:
    """Seal a record of now and let the response carry it, until ``deadline`` in milliseconds since 1970.

    Returns the bytes of the line; over `COOKIE_LIMIT`, it does not.
    """
    token = engine.client.seal(record)
    header = engine.transport.write(token, engine.max_age(deadline, record.accessed))
    size = len(header[1])
    if size <= COOKIE_LIMIT:
        session._out, session._line = token, (token, header)
    return size


def unseal(engine: Engine, session: Standing) -> None:
    """Open a session that lives in its cookie. Anything that cannot be opened or is past its deadline: anonymous."""
    session._state = READY
    session._ids = engine.transport.read(session._presented)
    if session._ids and (found := open_cookie(engine, session)) is not None:
        adopt(engine, session, found)


async def find(engine: Engine, session: Standing) -> Opened | None:
    """Open a session that lives in its cookie, and ask whether somebody has ended it.

    Raises:
        StoreUnavailable: The store of revocations does not answer.
    """
    found = open_cookie(engine, session)
    if found is None or await revocation.is_live(engine, found.contents, found.record.subject):
        return found
    key = revocation.key_of(engine, found.contents, found.record.subject)
    engine.emit(events.SessionReused, key, subject=found.record.subject)
    return None


def open_cookie(engine: Engine, session: Standing) -> Opened | None:
    """Return the one live session among the cookies of a request; two different ones are none."""
    now = engine.clock()
    opened: Opened | None = None
    for token in session._ids:
        record = engine.client.unseal(token)
        if record is None or record.accessed > now + _FUTURE:
            continue
        try:
            contents = unpack(record.payload, engine.serializer, sealed=True)
        except CorruptPayload as problem:
            engine.emit(events.CorruptRecord, reason=str(problem))
            continue
        if engine.is_over(contents, record.accessed, now):
            engine.emit(events.SessionExpired, subject=record.subject)
            continue
        if opened is not None and opened.record.payload != record.payload:
            engine.emit(events.AmbiguousCookie)
            return None
        opened = Opened(record, contents, token)
    return opened


def adopt(engine: Engine, session: Standing, found: Opened) -> None:
    """Let the session stand for what was in the cookie."""
    record, contents, token = found
    session._record, session._contents = record, contents
    session._data, session._base = contents.data, record.payload
    session._subject = record.subject
    if contents.ends is not None or session._rare is not None:
        session._ends_read = contents.ends
    if not engine.client.current(token):
        session._reissue = True
    if engine.revocation is not None:
        session._key = revocation.key_of(engine, contents, record.subject)


def _warn_of_copies(engine: Engine) -> None:
    if engine.revocation is None and not engine.warned_of_copies:
        engine.warned_of_copies = True
        log.warning(
            "somebody logged in to a session that lives in its cookie: a copy of the cookie outlives the logout. Use a "
            "store on the server, or CookieStore(revocation='denylist', revocation_store='sqlite:///ended.db')"
        )
