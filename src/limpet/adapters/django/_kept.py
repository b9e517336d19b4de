"""What a session of Django does with the store: each method once, as a coroutine.

What Django's contract does at once (a key is made, changed, or dead) is a commit of the engine at that moment.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, UpdateError

from limpet._blocking import drive, is_driven
from limpet._core.session import Session, state_of
from limpet._core.state import (
    ACCESSED,
    CROSS_SITE,
    EAGER,
    LOGIN,
    OVER,
    PASSIVE,
    READ_ONLY,
    REISSUE,
    UNPROVEN,
    WRITTEN,
    SessionState,
)
from limpet._moments import CENTURY
from limpet.adapters.django._logins import login_of
from limpet.adapters.django._mapping import MappingStore
from limpet.adapters.django._settings import manager, shared_logins, slides
from limpet.adapters.django._transport import presented
from limpet.errors import SessionEnded
from limpet.manager import SessionManager
from limpet.protocols import Header

__all__ = ["KeptStore"]

_EXPIRY: Final = "_session_expiry"  # where Django keeps what `set_expiry` was given


class KeptStore(MappingStore):
    """A session of Django that the engine reads and commits.

    Attributes:
        sent: The key that the cookie is to hold and the seconds that it should last (None: until the browser is
            closed), once the cookie has to be sent; for `limpet.adapters.django.middleware`.
        ended: This request has ended the session that it came with.
        rivals: What the client presented, where that was more than one key.
        failed: The request failed, so that nothing is saved any more.
        context: ``headers`` and ``client`` of the request as ASGI has them, for ``LIMPET = {"devices": True}``.
        device: The request's headers that show which device it comes from, for ``LIMPET = {"bound": True}``.
        cross_site: The request came from another site: without its cookie it begins no session, but by a login.
    """

    accessed: bool

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self.sent: tuple[str, int | None] | None = None
        self.ended: bool = False
        self.rivals: Sequence[str] = ()
        self._came: Sequence[str] = [] if self._session_key is None else [self._session_key]
        self.failed = False
        self.context: Mapping[str, Any] | None = None
        self.device: Sequence[Header] = ()
        self.cross_site = False
        self._user: str | None = None  # whose session it is, as it was read or saved last
        self._expiry: Any = None

    async def _exists(self, key: str | None) -> bool:
        return key is not None and state_of(await _find(manager(), [key], (), imports=False)).stored is not None

    async def _load(self) -> dict[str, Any]:
        kept = manager()
        held = await _find(kept, self.presented_keys(), self.device)
        self._judge_key(kept, state_of(held))
        return dict(held)

    def presented_keys(self) -> Sequence[str]:
        """Return the keys that the client presented, usually one."""
        return self.rivals or ([] if self._session_key is None else [self._session_key])

    def hold(self) -> Session:
        """Return the session of the engine, read."""
        return drive(self.ahold()) if self._held is None else self._held

    async def ahold(self) -> Session:
        """Return the session of the engine, read."""
        held = self._held
        if held is None:
            kept = manager()
            held = await _find(kept, self.presented_keys(), self.device, context=self.context)
            state = state_of(held)
            if self.cross_site:
                kept.engine.note_cross_site(held)
            self._judge_key(kept, state)
            find = shared_logins()
            if find is not None and state.subject is not None and SESSION_KEY not in state.data:
                found = await login_of(state.subject, find)
                if found is not None:
                    held.update(found)
                    self._modified = True
            self._user, self._expiry = _user_in(state), state.data.get(_EXPIRY)
            if state.legacy is not None and state.legacy.source is not None:
                self._modified = True  # it moves in with this response
            self._held = held
        return held

    def device_headers(self, prefix: str) -> list[Header]:
        """Return what the response says of the device that the session is bound to, or may be."""
        binder = manager().engine.binder
        return [] if binder is None or self._held is None else binder.headers(state_of(self._held), prefix)

    def _judge_key(self, kept: SessionManager, state: SessionState) -> None:
        if state.stored is not None and self.rivals:
            self._session_key = kept.engine.ids.present(state.stored.raw)
        elif state.stored is None and not state.flags & READ_ONLY:
            self._session_key = None

    async def _create(self, *, asked: bool = True) -> None:
        """Store a new session.

        Args:
            asked: In so many words, so that what was ended before is left behind.
        """
        kept, held = manager(), self._held
        if held is None:
            held = kept.begin(())
        elif state_of(held).stored is not None:  # the session that is there stays as it is
            data, held = dict(held), kept.begin(())
            held.update(data)
        state = state_of(held)
        state.context = self.context
        if asked:
            state.flags &= ~(OVER | CROSS_SITE | UNPROVEN)
        held.live_data()  # there is a session now, however empty
        state.flags |= WRITTEN
        moves_in = state.legacy is not None and state.legacy.imported is not None
        self._held, self._user, self.modified = held, state.subject if moves_in else None, True  # no login of now
        await self._commit(kept, held)

    async def _save(self, must_create: bool, *, sends: bool = True) -> None:
        """Save now.

        Args:
            sends: The caller hands out the key whatever this save found to do, as Django's middleware does.
        """
        if must_create:
            if self._session_key is not None and await self._exists(self._session_key):
                raise CreateError("there is a session with this key")
            await self._create()
            return
        held = await self.ahold()
        state = state_of(held)
        if state.stored is None and not state.flags & (OVER | READ_ONLY):
            await self._create(asked=False)
            return
        kept, before = manager(), state.stored
        await self._commit(kept, held)
        if sends and state.stored is before and not state.flags & READ_ONLY and not await held.is_live():
            raise UpdateError  # nothing was written, so that nothing has told yet

    async def _settle(self) -> None:
        """Save what the middleware found to be saved; the cookie goes out only if the engine says so."""
        held = await self.ahold()
        state = state_of(held)
        if self._modified or (state.stored is None and not state.flags & OVER):
            await self._save(must_create=False, sends=False)
            return
        kept = manager()
        state.flags = (state.flags | ACCESSED) & ~PASSIVE
        await finished(kept, kept.commit(held))
        self._take_key(kept, held)

    async def _commit(self, kept: SessionManager, held: Session) -> None:
        state = state_of(held)
        self.note()
        try:
            await finished(kept, kept.commit(held))
        except SessionEnded as error:
            raise UpdateError(str(error)) from error
        if state.flags & OVER:
            raise UpdateError("another request ended this session while this one was running; nothing was saved")
        self._take_key(kept, held)
        self._user, before = _user_in(state), self._expiry
        self._expiry = state.data.get(_EXPIRY)
        if self._expiry != before and self.sent is None and self._session_key is not None:
            self.sent = self._session_key, None  # the cookie lasts for another time now

    def _take_key(self, kept: SessionManager, held: Session) -> None:
        for token, age in kept.headers(held):
            key = token.decode("ascii")
            self._session_key = key or None
            self.sent = (key, int(age) if age else None) if key else None

    def note(self) -> None:
        """Tell the engine what Django keeps in the data: whose session it is, and when it ends."""
        held = self.hold()
        state = state_of(held)
        state.flags = (state.flags | EAGER | ACCESSED) & ~PASSIVE  # a save is a use
        draft, user = state.draft, _user_in(state)
        if draft is None:
            return
        if user is not None and (user != self._user or self._login_noted):  # or the same one has logged in again
            data, noted = dict(state.data), (state.position, state.login_at)
            held.login(user, remember=self.remember, acr=self.acr, amr=self.amr)
            state.flags |= REISSUE  # the cookie lasts from now on
            if not state.data:  # another's, and Django has decided what stays
                held.update(data)
            if self._login_noted:
                state.position, state.login_at = noted
            self._login_noted = False
        elif user is None and self._user is not None:
            state.subject, draft.authenticated, draft.level, draft.methods = None, None, None, ()
            state.flags |= WRITTEN
        draft = state.draft
        assert draft is not None
        ends = _end_of(state.data.get(_EXPIRY), manager().clock())
        if draft.ends != ends:
            draft.ends = ends
            state.flags |= WRITTEN

    async def _delete(self, key: str | None) -> None:
        key = self._session_key if key is None else key
        if key is None:
            return
        kept = manager()
        doomed = kept.begin(presented([key], imports=True))
        doomed.clear()
        await finished(kept, kept.commit(doomed))
        self.ended = self.ended or key == self._session_key

    async def _flush(self) -> None:
        kept, held = manager(), self._held
        if held is None:
            held = kept.begin(presented(self.presented_keys(), imports=True))
        state = state_of(held)
        state.flags &= ~EAGER
        held.clear()
        await finished(kept, kept.commit(held))
        # What could never be a key of ours goes away with it.
        junk = not presented(self.rivals or self._came, imports=False)
        self.ended = self.ended or bool(kept.headers(held)) or junk
        self._held, self._session_key, self._user, self.sent = held, None, None, None
        self.accessed = self.modified = True

    async def _cycle_key(self) -> None:
        held = await self.ahold()
        state, kept = state_of(held), manager()
        self.accessed = True
        if state.stored is None:
            held.regenerate()  # an old session that moves in under another request is left, not joined
            await self._create()
            return
        anonymous = self._user is None
        held.regenerate()
        if anonymous:
            # Django changes the key before it writes down who has logged in: new credentials, which stand whatever
            # becomes of the session before them.
            state.flags |= LOGIN
        try:
            await self._commit(kept, held)
        except UpdateError:
            if not anonymous:
                return  # it was logged out: no new key brings it back
        if anonymous and state.flags & OVER:
            await self._create()
        self.modified = True


async def _find(
    kept: SessionManager,
    keys: Sequence[str],
    device: Sequence[Header],
    *,
    imports: bool = True,
    context: Mapping[str, Any] | None = None,
) -> Session:
    """Return the session of the keys that were presented, usually one, read."""
    session = kept.begin([*presented(keys, imports=imports and bool(kept.engine.importers)), *device])
    state_of(session).context = context
    if not slides():
        session.passive()  # looking is no use
    if not is_driven():
        kept.use_running_loop()
    await kept.load(session)
    return session


async def finished(kept: SessionManager, call: Coroutine[Any, Any, None]) -> None:
    """Await a save, which is finished also if the request is cancelled on the way."""
    if is_driven():
        await call
        return
    kept.use_running_loop()
    await kept.runtime.finish(call)


def _user_in(state: SessionState) -> str | None:
    user = state.data.get(SESSION_KEY)
    return None if user is None else str(user)


def _end_of(expiry: Any, now: int) -> int | None:
    """Return when a session ends that `set_expiry` was called on, in milliseconds since 1970; None: as the policy says.

    Args:
        expiry: Seconds, or a time in ISO 8601; 0 is about the cookie alone.
    """
    if not expiry:
        return None
    if isinstance(expiry, str):
        expiry = datetime.fromisoformat(expiry)
    if isinstance(expiry, datetime):
        return round(expiry.timestamp() * 1000)
    return now + int(min(expiry, CENTURY) * 1000)
