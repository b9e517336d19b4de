"""What a handler holds: a mapping that notes what was done to it.

A `Session` does no I/O of its own. Reading decodes, writing notes; `Engine.commit` carries it out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from limpet._core import flashes, locks
from limpet._core.flashes import Flash
from limpet._core.record import NEVER
from limpet._core.standing import CLOSED, FAILED, FROZEN, PENDING, READY, SEALED, Phase, Standing, State, View
from limpet.errors import SessionClosed, UnstorableValue

__all__ = ["Phase", "Session", "State"]


class Session(Standing, MutableMapping[str, Any]):
    """The session of one request: a mapping from strings to plain values, saved when the response starts.

    Nested changes count (``session["cart"].append(1)``); what cannot be stored is refused before the response
    starts. Two requests that write at the same time are merged.
    """

    __slots__ = ()

    # -- the mapping

    def __getitem__(self, key: str) -> Any:
        self._accessed = True  # `_read`, without the call
        if self._state:
            self._engine.unseal(self)
        value = self._data[key]
        if type(value) not in FROZEN:
            self._exposed = True
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        self._accessed = True
        if self._state:
            self._engine.unseal(self)
        value = self._data.get(key, default)
        if type(value) not in FROZEN:
            self._exposed = True
        return value

    def __contains__(self, key: object) -> bool:
        self._read()
        return key in self._data

    def __iter__(self) -> Iterator[str]:
        self._read()
        return iter(self._data)

    def __len__(self) -> int:
        self._read()
        return len(self._data)

    def __setitem__(self, key: str, value: Any) -> None:
        if type(key) is not str:
            raise UnstorableValue("(a key)", f"a key must be a str, not {type(key).__name__}")
        if key in self._engine.policy.rotate_on:
            self._watched = True
            self._write(new_id=bool(self._phase) and self._data.get(key) != value)
        elif self._state or self._phase or self._rare is not None or self._contents is None:
            self._write()
        else:
            self._accessed = self._written = True  # `_write`, without the call
        self._data[key] = value
        if type(value) not in FROZEN:
            self._exposed = True
        if self._rare is not None:
            self._forget_key(key)

    def __delitem__(self, key: str) -> None:
        self._read()
        if key not in self._data:
            raise KeyError(key)
        self._write()
        del self._data[key]
        if self._rare is not None:
            self._forget_key(key)

    def _forget_key(self, key: str) -> None:
        """What was noted about a key does not outlive its value."""
        if self._increments:
            self._increments.pop(key, None)
        if self._views:
            self._views.pop(key, None)

    def __ior__(self, other: Mapping[str, Any]) -> Self:
        self.update(other)
        return self

    def popitem(self) -> tuple[str, Any]:
        """Remove and return the pair that was set last.

        Raises:
            KeyError: The session is empty.
        """
        self._read()
        key = next(reversed(self._data), None)
        if key is None:
            raise KeyError("the session is empty")
        return key, self.pop(key)

    def clear(self) -> None:
        """End the session: data and subject gone, record and cookie deleted. A later write begins a new one."""
        if self._state is SEALED:
            self._read()
        self._accessed = True
        if self._phase is CLOSED:
            raise SessionClosed("the session cannot be ended any more: the application has returned")
        if self._phase and not self._engine.is_server_side:
            raise SessionClosed("a session that lives in its cookie cannot be ended any more: the response has started")
        if self._old is not None:
            self._old.dropped = self._ended = True
        if self._record is not None or self._anonymous_only or self._state in (PENDING, FAILED):
            self._ended = True
            self._anonymous_only = False  # a logout is not dropped because the store failed: the commit asks it again
        self._written = True
        self._begin()
        self._state = READY

    def __repr__(self) -> str:
        """Say which session this is, never what is in it."""
        self._accessed = True
        if self._state is READY:
            return f"<Session {self._key[:8] if self._key else 'new'}>"
        return f"<Session {self._state.name.lower()}>"

    # -- what is known of it

    @property
    def is_new(self) -> bool:
        """Whether nothing of this session is stored yet."""
        self._read()
        return self._record is None or self._ended or self._displaced

    @property
    def accessed(self) -> bool:
        """Whether a handler read or wrote it; what ``Vary: Cookie`` depends on."""
        return self._accessed

    @property
    def modified(self) -> bool:
        """Whether there is something to save, nested changes included."""
        self._read()
        return self._engine.differs(self)

    @property
    def subject(self) -> str | None:
        """Whose session it is, as given to `login`."""
        self._read()
        return self._subject

    @property
    def created_at(self) -> datetime | None:
        """When the session began, or None before the first write."""
        self._read()
        return _moment(self._contents.created) if self._contents else None

    @property
    def authenticated_at(self) -> datetime | None:
        """When somebody last logged in, or None."""
        self._read()
        return _moment(self._contents.authenticated) if self._contents and self._contents.authenticated else None

    @property
    def expires_at(self) -> datetime | None:
        """When the session ends if nobody uses it, or None if it never does (or does not exist)."""
        self._read()
        limit = self._engine.deadline_of(self)
        return None if limit is None or limit == NEVER else _moment(limit)

    @property
    def public_id(self) -> str | None:
        """The store key: good for lists and for `revoke`, useless as a cookie. None before the first save."""
        self._read()
        return self._key

    # -- intents

    def login(self, subject: str, *, remember: bool = False, tags: Mapping[str, str] | None = None) -> None:
        """Note that ``subject`` proved who they are: new id, the old one dead at once, fresh absolute deadline.

        From an anonymous session, or one of the same subject, the data stays; somebody else's is cleared first. A
        deadline of its own (`expire_in`) ends with the session before: set it again after the login.

        Args:
            subject: Whose session it becomes, such as ``str(user.id)``.
            remember: Let this session live as long as ``SessionPolicy.remember``.
            tags: Labels to find the session by later, such as an OIDC session id.

        Raises:
            TypeError: The subject or a tag is no string.
            SessionClosed: The response has started, so that no new id can be handed out.

        The commit raises `SessionLimitReached` where ``SessionPolicy(when_full="refuse")`` refuses it; to handle that,
        ``await session.save()`` within ``try``.

        Source: OWASP Session Management Cheat Sheet, "Renew the Session ID After Any Privilege Level Change".
        """
        if not isinstance(subject, str) or not subject:
            given = "an empty one" if isinstance(subject, str) else type(subject).__name__
            raise TypeError(f"login takes a non-empty str such as str(user.id), not {given}")
        labels = dict(tags or {})
        if not all(isinstance(text, str) for pair in labels.items() for text in pair):
            raise TypeError("tags are strings by name, such as {'oidc_sid': sid}")
        self._write(new_id=True)
        if self._subject is not None and self._subject != subject:
            self._displaced = self._record is not None
            self._begin()
        contents = self._contents
        assert contents is not None
        now = max(self._engine.clock(), self._engine.void_until + 1)
        contents.created = contents.authenticated = now
        contents.remember = remember
        contents.ends = None
        contents.tags = labels
        self._subject = str(subject)
        self._login = True

    def logout(self) -> None:
        """End the session; the same as `clear`."""
        self.clear()

    def regenerate(self) -> None:
        """Change the id and keep the data; the old id is dead at once.

        Raises:
            SessionClosed: The response has started, so that no new id can be handed out.
        """
        self._write(new_id=True)
        self._regenerate = True

    def increment(self, key: str, by: float = 1) -> Any:
        """Add to a number (an absent one counts as 0) and return the sum; exact under concurrent requests.

        Raises:
            TypeError: The value is not a number.
        """
        current = self.get(key, 0)
        for number in (current, by):
            if isinstance(number, bool) or not isinstance(number, (int, float, Decimal)):
                raise TypeError(f"increment adds numbers; {key!r} and the step are {type(current)} and {type(by)}")
        noted = (self._increments or {}).get(key, 0) + by
        self[key] = current + by
        if self._increments is None:
            self._increments = {}
        self._increments[key] = noted
        return self._data[key]

    def expire_in(self, life: float | timedelta | None) -> None:
        """Give this session a deadline of its own, from now, at most the absolute timeout; None: back to the policy.

        Args:
            life: Seconds or a timedelta.

        Raises:
            ValueError: It is not positive.
        """
        seconds = life.total_seconds() if isinstance(life, timedelta) else life
        if seconds is not None and not 0 < seconds < math.inf:
            raise ValueError(
                f"expire_in takes a positive, finite time, not {life!r}: to end the session call logout(), "
                "to go back to the policy's timeouts expire_in(None)"
            )
        self._write()
        assert self._contents is not None
        self._contents.ends = None if seconds is None else self._engine.clock() + round(seconds * 1000)

    def is_fresh(self, minutes: float = 5) -> bool:
        """Whether somebody logged in at most so long ago; ask again before what is dangerous or cannot be undone.

        Source: OWASP ASVS 5.0, 7.5.1 and 7.5.3.
        """
        self._read()
        since = self._contents.authenticated if self._contents else None
        return since is not None and self._engine.clock() - since <= minutes * 60_000

    def flash(self, message: str, category: str = "info") -> None:
        """Keep a message for the next page that shows them; requests at the same time lose none of each other's."""
        flashes.add(self, message, category)

    def flashes(self) -> list[Flash]:
        """Return the messages that nobody has shown yet, oldest first, and forget them.

        Two pages that are rendered at the same time may both show a message that was there before: where that
        matters, ask within ``async with session.exclusive("flashes")``.
        """
        return flashes.take(self)

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
            StoreUnavailable: The store does not answer.
        """
        return locks.exclusive(self, name, life=life, wait=wait)

    def view(self, key: str, value: Any, dump: Callable[[Any], Any]) -> None:
        """Let a typed object stand for a key: ``dump(value)`` is stored when the session is saved."""
        self._read()
        if self._contents is None:
            self._begin()
        if self._views is None:
            self._views = {}
        self._views[key] = View(value, dump)
        self._exposed = True

    def viewed(self, key: str) -> Any:
        """Return the object that stands for a key in this request, see `view`; None when there is none."""
        return None if self._views is None or key not in self._views else self._views[key].value

    # -- the few things that wait for a store

    async def load(self) -> Self:
        """Read the session now if that has not happened; returns it.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        await self._engine.load(self)
        return self

    async def save(self) -> None:
        """Save now instead of when the response starts; needed in long streams and sockets.

        Raises:
            SessionClosed: The response has started and this session has no id, or lives in a cookie.
            StoreUnavailable: The store does not answer.
        """
        await self._engine.save(self)

    async def refresh(self) -> None:
        """See what other requests saved meanwhile; own unsaved changes are merged over it.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        await self._engine.refresh(self)

    async def is_live(self) -> bool:
        """Ask the store whether the session still exists: False once it expired or anybody ended it.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        return await self._engine.is_live(self)

    def mark_accessed(self) -> None:
        """Note that a handler took hold of the session (Starlette calls this)."""
        self._accessed = True


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
