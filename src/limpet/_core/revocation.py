"""Ending sessions that live in their cookie, where somebody keeps a note of it.

The note is a mark (`limpet._core.marks`) in a server-side store. With ``denylist`` there is one for each login that
was ended, named by the lineage in the cookie, which stays the same until the next login or `regenerate`; with
``epoch`` one for each subject, and every cookie of a login before it is void. A cookie is believed only after the mark
was looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from limpet._core import conflict, marks, plan, sealing, tokens
from limpet._core.plan import Plan, Step
from limpet._core.policy import slack_ms
from limpet._core.record import NEVER, Contents, Record, unpack
from limpet.errors import LimpetError

if TYPE_CHECKING:
    from limpet._core.commit import Commit
    from limpet._core.manager import Engine
    from limpet._core.protocols import Store
    from limpet._core.session import Session

__all__ = ["Mode", "Revocation", "end", "is_live", "key_of", "revoke", "revoke_all", "settle", "stands"]

Mode = Literal["none", "epoch", "denylist"]

_REMEMBERED: Final = 10_000  # answers that the cache holds at most
_UNREADABLE: Final = NEVER  # a damaged mark ends what it is about: trouble in the store never logs anybody in


class Revocation:
    """How cookie sessions are ended.

    Args:
        mode: ``"epoch"`` or ``"denylist"``.
        store: Where the marks are kept.
        cache_ms: So long an answer of the store is believed without asking again. 0: not at all.
    """

    def __init__(self, mode: Mode, store: Store, cache_ms: int) -> None:
        self.mode = mode
        self.store = store
        self._cache_ms = cache_ms
        self._answers: dict[str, tuple[int, int]] = {}

    async def before(self, engine: Engine, key: str) -> int:
        """Return until when logins are void by a mark, in milliseconds since 1970; 0 if there is none.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        now = engine.clock()
        known = self._answers.get(key)
        if known is not None and 0 <= now - known[0] < self._cache_ms:
            return known[1]
        record = await engine.call("load", self.store.load(key), key)
        facts = {} if record is None else marks.read(record.payload)
        before = _UNREADABLE if facts is None else int(facts.get("before", 0))
        self.note(key, now, before)
        return before

    def note(self, key: str, now: int, before: int) -> None:
        """Remember an answer, or what this process has just written."""
        if self._cache_ms:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            self._answers[key] = now, before


class _Stood(NamedTuple):
    """The session that a request came with."""

    record: Record
    contents: Contents


def key_of(engine: Engine, contents: Contents, subject: str | None) -> str | None:
    """Return the key of the mark that would end this session, or None: it has no lineage, so nothing can end it."""
    if engine.revocation is None:
        return None
    if engine.revocation.mode == "epoch" and subject is not None:
        return marks.mark_key("cookies of", subject)
    return None if contents.lineage is None else marks.mark_key("cookie", contents.lineage)


async def is_live(engine: Engine, contents: Contents, subject: str | None) -> bool:
    """Tell whether nobody has ended the session of a cookie.

    Raises:
        StoreUnavailable: The store does not answer: then nobody knows.
    """
    key = key_of(engine, contents, subject)
    if key is None or engine.revocation is None:
        return engine.revocation is None  # one from before revocation was switched on could never be ended
    before: int = await engine.revocation.before(engine, key)
    of_subject = engine.revocation.mode == "epoch" and subject is not None
    return before < (contents.authenticated or 0) if of_subject else before == 0


async def stands(engine: Engine, session: Session) -> bool:
    """Tell whether the session of a request is there and nobody has ended it.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    if session._ended or session._record is None:
        return False
    if engine.revocation is None:
        return True
    stood = _stood(engine, session)
    return stood is not None and await is_live(engine, stood.contents, stood.record.subject)


async def end(engine: Engine, key: str, until: int) -> tuple[int, int]:
    """Write the mark that ends a session, or all of a subject.

    Returns:
        Its time, and that of the mark which was there before (0: none), in milliseconds since 1970.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    now, earlier = engine.clock(), 0

    def later(facts: marks.Facts) -> tuple[marks.Facts, int]:
        nonlocal earlier
        kept, earlier = max(until, int(facts.get("until", 0))), int(facts.get("before", 0))
        return {"before": max(now, earlier), "until": kept}, kept

    assert engine.revocation is not None
    await marks.amend(engine, key, later, engine.revocation.store)
    engine.void_until = max(engine.void_until, now)
    engine.revocation.note(key, now, now)
    return now, earlier


async def settle(commit: Commit, todo: Plan) -> bool:
    """Before a cookie is sealed or taken back: end what is to be ended; False if somebody else has ended the session.

    Raises:
        StoreUnavailable: The store does not answer; nothing is handed out.
    """
    engine, session, notes = commit.engine, commit.session, commit.notes
    stood, own, earlier = _stood(engine, session), 0, 0
    signs_in = notes.login or (todo.step is Step.MOVE and not notes.regenerate)
    moves = notes.regenerate and _one(engine)  # as on the server: the old id, here the lineage, is dead at once
    if stood is not None:
        record, contents = stood
        key = key_of(engine, contents, record.subject)
        if todo.end or (signs_in and key != key_of(engine, contents, session._subject)) or (signs_in and _one(engine)):
            if key is not None:
                mark, before = await end(engine, key, _until(engine, contents))
                if key == key_of(engine, commit.contents, session._subject):
                    own, earlier = mark, before
        elif todo.step is not Step.TOUCH and not signs_in:
            if not await is_live(engine, contents, record.subject):
                conflict.lost(commit)
                return False
            if moves and key is not None:
                await end(engine, key, _until(engine, contents))
    if todo.step is not Step.NOTHING and (signs_in or moves or commit.contents.lineage is None):
        commit.contents.lineage = tokens.b64encode(tokens.new_id()[:16])
        since = commit.contents.authenticated
        if signs_in and since is not None and earlier < since:
            # Later than the mark of a logout in this very request, and not later than one of anybody else.
            commit.contents.authenticated = max(since, own + 1)
        commit.encode()
    return True


async def revoke(engine: Engine, public_id: str) -> int:
    """End one session by its public id; returns 1.

    Raises:
        LimpetError: Sessions cannot be ended one by one here.
        StoreUnavailable: The store does not answer.
    """
    if not _one(engine):
        raise LimpetError(
            "a single cookie session can be ended with CookieStore(revocation='denylist', revocation_store=...) only"
        )
    await end(engine, public_id, _longest(engine))
    return 1


async def revoke_all(engine: Engine, subject: str) -> int:
    """End every session of a subject; returns the time of the mark.

    Raises:
        LimpetError: The sessions of one subject cannot be ended together here.
        StoreUnavailable: The store does not answer.
    """
    if engine.revocation is None or engine.revocation.mode != "epoch":
        raise LimpetError(
            "all cookie sessions of a subject can be ended with CookieStore(revocation='epoch', revocation_store=...) "
            "only"
        )
    return (await end(engine, marks.mark_key("cookies of", subject), _longest(engine)))[0]


def _one(engine: Engine) -> bool:
    return engine.revocation is not None and engine.revocation.mode == "denylist"


def _stood(engine: Engine, session: Session) -> _Stood | None:
    if session._record is not None and session._base is not None:
        return _Stood(session._record, unpack(session._base, engine.serializer))
    found = sealing.open_cookie(engine, session) if session._ids and session._ended else None
    return None if found is None else _Stood(found.record, found.contents)


def _until(engine: Engine, contents: Contents) -> int:
    """Return when the last cookie of a session is dead anyway."""
    if engine.revocation is not None and engine.revocation.mode == "epoch":
        return _longest(engine)
    limit = plan.absolute_deadline(contents, engine.policy)
    return _longest(engine) if limit == NEVER else limit + slack_ms(None)


def _longest(engine: Engine) -> int:
    """Return when every cookie that exists now is dead, whatever session it is of."""
    policy = engine.policy
    spans = [policy.absolute_ms if policy.absolute_ms is not None else policy.idle_ms]
    spans += [policy.remember_ms] if policy.remember_ms is not None else []
    lasting = [span for span in spans if span is not None]
    return NEVER if len(lasting) < len(spans) else engine.clock() + 2 * max(lasting) + slack_ms(None)
