"""What a handler holds: a mapping that notes what was done to it.

A `Session` does no I/O of its own. Reading decodes, writing notes; a `Backend`, which the engine is, carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self, overload

from limpet import _flashes as flashes
from limpet._arguments import check_flag, check_freshness, check_lock, labels, life_of, login_facts
from limpet._core import notes
from limpet._core.mapping import LEFT, Backend, SessionMapping, backend_of, state_of
from limpet._core.state import (
    ACCESSED,
    DISPLACED,
    ENDED,
    EXPOSED,
    FROZEN,
    LOGIN,
    OTHER_CLIENT,
    OVER,
    PASSIVE,
    REGENERATE,
    View,
)
from limpet._flashes import Flash
from limpet._moments import moment
from limpet._native import mypyc_attr, own_registry
from limpet._standalone import Standalone
from limpet._wire.facts import IMPORT
from limpet.contract import NEVER

__all__ = ["Backend", "Session", "backend_of", "state_of"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Session(SessionMapping):
    """The session of one request: a mapping from strings to plain values, saved when the response starts.

    Nested changes count (``session["cart"].append(1)``); what cannot be stored is refused before the response
    starts. Two requests that write at the same time are merged.
    """

    __slots__ = ()

    @classmethod
    def standalone(cls, data: Mapping[str, Any] | None = None) -> Self:
        """Return a session of no request, with these keys and values, that is never saved: for tests of handlers."""
        backend = Standalone(dict(data or {}))
        session = cls.__new__(cls)
        SessionMapping.__init__(session, backend, backend.state)
        return session

    # -- what is known of it

    @property
    def is_new(self) -> bool:
        """Whether nothing of this session is stored yet."""
        state = self._read()
        return state.stored is None or bool(state.flags & (ENDED | DISPLACED))

    @property
    def accessed(self) -> bool:
        """Whether a handler read or wrote it; what ``Vary: Cookie`` depends on."""
        return bool(self._state.flags & ACCESSED)

    @property
    def modified(self) -> bool:
        """Whether there is something to save, nested changes included."""
        return self._backend.differs(self._read())

    @property
    def subject(self) -> str | None:
        """Whose session it is, as given to `login`."""
        return self._read().subject

    @property
    def created_at(self) -> datetime | None:
        """When the session began, or None before the first write."""
        draft = self._read().draft
        return moment(draft.created) if draft is not None else None

    @property
    def authenticated_at(self) -> datetime | None:
        """When somebody last logged in, or None."""
        draft = self._read().draft
        return moment(draft.authenticated) if draft is not None and draft.authenticated else None

    @property
    def acr(self) -> str | None:
        """How sure the application was of who logged in, as given to `login`, or None."""
        draft = self._read().draft
        return None if draft is None else draft.level

    @property
    def amr(self) -> tuple[str, ...]:
        """By what somebody logged in, as given to `login`."""
        draft = self._read().draft
        return () if draft is None else tuple(draft.methods)

    @property
    def expires_at(self) -> datetime | None:
        """When the session ends if nobody uses it, or None if it never does (or does not exist)."""
        limit = self._backend.deadline_of(self._read())
        return None if limit is None or limit == NEVER else moment(limit)

    @property
    def public_id(self) -> str | None:
        """The store key: good for lists and for `revoke`, useless as a cookie. None before the first save."""
        stored = self._read().stored
        return None if stored is None else stored.key

    @property
    def is_bound(self) -> bool:
        """Whether the session is bound to the device that it began on, so that a copied cookie opens nothing."""
        draft = self._read().draft
        return draft is not None and draft.bound is not None and "at" in draft.bound

    # -- intents

    def login(
        self,
        subject: Any,
        *,
        remember: bool = False,
        tags: Mapping[str, str] | None = None,
        acr: str | None = None,
        amr: Iterable[str] = (),
    ) -> None:
        """Note that ``subject`` proved who they are: new id, the old one dead at once, fresh absolute deadline.

        From an anonymous session, or one of the same subject, the data stays; somebody else's is cleared first. A
        deadline of its own (`expire_in`) ends with the session before: set it again after the login.

        Args:
            subject: Whose session it becomes, such as ``str(user.id)``.
            remember: Let this session live as long as ``SessionPolicy.remember``.
            tags: Labels to find the session by later, such as an OIDC session id.
            acr: How sure you are of it, such as ``"aal2"``, or the ``acr`` of an ID token; see `is_fresh`.
            amr: By what, such as ``["pwd", "otp"]``: the words are those of RFC 8176.

        Raises:
            TypeError: The subject, a tag, the acr or one of the amr is no string.
            ValueError: One of them is no text that UTF-8 can encode.
            SessionClosed: The response has started, so that no new id can be handed out.

        The commit raises `SessionLimitReached` where ``SessionPolicy(when_full="refuse")`` refuses it; to handle that,
        ``await session.save()`` within ``try``.

        Source: OWASP Session Management Cheat Sheet, "Renew the Session ID After Any Privilege Level Change"; OpenID
        Connect Core 1.0, section 2, for acr and amr.
        """
        check_flag("remember", remember)
        tagged = labels(tags)
        name, level, methods = login_facts(subject, tagged, acr, amr)
        state = self._read()  # first: what is found may be that the session has ended
        over = state.flags & LEFT
        state.flags &= ~LEFT  # new credentials leave what was ended behind, unless they are refused
        try:
            self._write(state, new_id=True)
        except BaseException:
            state.flags |= over
            raise
        draft = state.draft
        assert draft is not None
        if over & OVER and state.met_alive:  # the handler read what the ended session held: nothing of that comes along
            if state.data:
                self._backend.drop_write(state, "the session had ended before, and a login begins a new one")
            draft = notes.begin(state, self._backend.clock())
        if state.subject is not None and state.subject != name:
            state.flags |= DISPLACED if state.stored is not None and not state.flags & ENDED else 0
            lineage, draft = draft.lineage, notes.begin(state, self._backend.clock())
            draft.lineage = lineage  # it is the same browser
        draft.created = draft.authenticated = self._backend.clock()
        draft.remember, draft.ends, draft.tags = remember, None, tagged
        draft.level, draft.methods = level, methods
        state.subject = name
        state.left = over | (state.left if state.flags & LOGIN else 0)
        state.flags |= LOGIN
        self._backend.note_login(state)

    def logout(self) -> None:
        """End the session; the same as `clear`."""
        self.clear()

    def regenerate(self) -> None:
        """Change the id and keep the data; the old id is dead at once.

        Raises:
            SessionClosed: The response has started, so that no new id can be handed out.
        """
        state = self._state
        self._write(state, new_id=True)
        state.flags |= REGENERATE

    @overload
    def increment(self, key: str, by: int = 1) -> int: ...
    @overload
    def increment(self, key: str, by: float) -> float: ...
    @overload
    def increment(self, key: str, by: Decimal) -> Decimal: ...
    def increment(self, key: str, by: int | float | Decimal = 1) -> Any:
        """Add to a number (an absent one counts as 0) and return the sum; exact under concurrent requests.

        To a type checker the sum has the type of what is added. Where the key holds a number of another type, it has
        the one that Python's ``+`` gives.

        Raises:
            TypeError: The value is not a number.
        """
        current = self.get(key, 0)
        for number in (current, by):
            if isinstance(number, bool) or not isinstance(number, (int, float, Decimal)):
                raise TypeError(f"increment adds numbers; {key!r} and the step are {type(current)} and {type(by)}")
        state = self._state
        noted = (state.increments or {}).get(key, 0) + by
        self[key] = current + by
        if state.increments is None:
            state.increments = {}
        state.increments[key] = noted
        return state.data[key]

    def expire_in(self, life: float | timedelta | None) -> None:
        """Give this session a deadline of its own, from now, at most the absolute timeout; None: back to the policy.

        Args:
            life: Seconds or a timedelta; more than a hundred years are a hundred.

        Raises:
            TypeError: It is no such time.
            ValueError: It is not positive, or not finite.
        """
        lasts, state = life_of(life), self._state
        self._write(state)
        if state.draft is not None:
            state.draft.ends = None if lasts is None else self._backend.clock() + lasts

    def passive(self) -> None:
        """Let this request not count as activity. If it was read before, the first one of its path counts still."""
        self._state.flags |= PASSIVE

    def is_fresh(self, minutes: float | None = 5, *, level: str | None = None) -> bool:
        """Whether somebody logged in lately and surely enough; ask before what is dangerous or cannot be undone.

        Args:
            minutes: How long ago at most. None: however long ago.
            level: The ``acr`` that the login has to have, or a higher one of ``SessionPolicy.levels``. One that is not
                listed there is met by itself alone. None: any.

        Source: OWASP ASVS 5.0, 7.5.1, 7.5.3 and 10.3.4; RFC 9470, sections 3 and 5.
        """
        check_freshness(minutes, level)
        state = self._read()
        draft = state.draft
        if draft is None or draft.authenticated is None or state.flags & OTHER_CLIENT:
            return False
        at = 0 if IMPORT in draft.methods else draft.authenticated
        if minutes is not None and self._backend.clock() - at > minutes * 60_000:
            return False
        return level is None or self._backend.policy.meets(draft.level, level)

    def flash(self, message: Any, category: str = "info") -> None:
        """Keep a message for the next page that shows them; requests at the same time lose none of each other's.

        Where nothing can be saved any more, as on an error page that is made after the session was closed, the message
        is dropped and an event (`WriteDropped`) says so.
        """
        if self._is_closed():
            self._backend.drop_write(self._state, "a flash message came when nothing could be saved any more")
        else:
            flashes.add(self, message, category)

    def flashes(self) -> list[Flash]:
        """Return the messages that were not shown yet, oldest first, and forget them.

        Two pages that are rendered at the same time may both show a message that was there before: where that
        matters, ask within ``async with session.exclusive("flashes")``. Where nothing can be saved any more, they stay
        for the next page. A page that a browser fetches in advance (``Sec-Purpose: prefetch``) shows none, since
        perhaps nobody will see it.
        """
        if flashes.is_prefetch(self._read().headers):
            return []
        return flashes.take(self, forget=not self._is_closed())

    def exclusive(self, name: str, *, life: float = 30.0, wait: float = 10.0) -> AbstractAsyncContextManager[Session]:
        """Do something once at a time for this session, over all processes; a token refresh, for example.

        ::

            async with session.exclusive("oauth"):
                if session["token"]["expires"] < now:
                    session["token"] = await refresh(session["token"])

        The session is read anew when the lock is there and saved before it is given back, so that the next holder
        sees what this one did.

        Args:
            name: What is done; other names do not wait.
            life: Seconds after which another may go ahead, should this process die.
            wait: Seconds to wait for others at most.

        Raises:
            SessionBusy: Others held it all the time.
            SessionEnded: The session was ended by somebody else, and the policy says ``on_ended="raise"``.
            StoreUnavailable: The store does not answer.
        """
        check_lock(name, life, wait)
        return self._backend.exclusive_for(self, name, life=life, wait=wait)

    def view(self, key: str, value: Any, dump: Callable[[Any], Any]) -> None:
        """Let a typed object stand for a key: ``dump(value)`` is stored when the session is saved."""
        state = self._read()
        if state.draft is None:
            notes.begin(state, self._backend.clock())
        if state.views is None:
            state.views = {}
        state.views[key] = View(value, dump)
        state.flags |= EXPOSED

    def live_data(self) -> dict[str, Any]:
        """Return the dict that is saved: what is changed in it counts. For adapters whose API hands one out."""
        state = self._read()
        if state.draft is None:
            notes.begin(state, self._backend.clock())
        for key, value in state.data.items():
            if type(value) not in FROZEN:
                notes.expose(state, key, value)
        state.flags |= EXPOSED
        return state.data

    def viewed(self, key: str) -> Any:
        """Return the object that stands for a key in this request, see `view`; None when there is none."""
        views = self._state.views
        return None if views is None or key not in views else views[key].value

    # -- what waits for a store

    async def load(self) -> Self:
        """Read the session now if that has not happened; returns it.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        await self._backend.load(self)
        return self

    async def save(self) -> None:
        """Save now instead of when the response starts; needed in long streams and sockets.

        A new id that a login or `regenerate` asked for is made now; the old one ends when the response starts. So a
        handler that fails after this leaves the browser the session that it had.

        Raises:
            SessionClosed: The response has started and this session has no id, or lives in a cookie.
            SessionConflict: A strict key was changed by another request too, or merging took too long.
            SessionEnded: Somebody else ended the session, and the policy says ``on_ended="raise"``.
            SessionLimitReached: A login was refused, see ``SessionPolicy(when_full="refuse")``.
            StoreUnavailable: The store does not answer.
            UnstorableValue: A value cannot be stored, or the session is too large.
        """
        await self._backend.save(self)

    async def refresh(self) -> None:
        """See what other requests saved meanwhile; own unsaved changes are merged over it.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        await self._backend.refresh(self)

    async def is_live(self) -> bool:
        """Ask the store whether the session still exists: False once it expired or anybody ended it.

        Also False once the proof ran out with which the request came, where sessions are bound to their devices.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        return await self._backend.is_live(self)

    def mark_accessed(self) -> None:
        """Note that a handler took hold of the session (Starlette calls this)."""
        self._state.flags |= ACCESSED


own_registry(Session)
