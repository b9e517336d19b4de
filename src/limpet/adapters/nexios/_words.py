"""The session words that Nexios' documents use: on the session of a request, and on a user's own backend."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from limpet._cookies import MAX_AGE
from limpet._core.session import backend_of, state_of
from limpet.adapters._marks import MarkedSession
from limpet.adapters.nexios._mapping import Words, zoned
from limpet.adapters.nexios._standalone import StandaloneSession
from limpet.contract import NEVER
from limpet.errors import ConfigurationError

__all__ = ["Session", "UnusableSession"]


class Session(Words, MarkedSession):
    """What ``req.session`` is: `limpet.Session` and the words of Nexios' documents.

    ``Session(interface, session_key)``, as Nexios 3.12 has it, makes a session that stands alone, see
    `limpet.adapters.nexios._standalone.StandaloneSession`; to ``isinstance`` that is one of these.
    """

    __slots__ = ()

    def __new__(cls, interface: Any, session_key: str | None = None) -> Any:
        """Return a session of a request, or one that stands alone."""
        if hasattr(interface, "create_session"):
            return StandaloneSession(interface, session_key)
        return super().__new__(cls)

    @property
    def deleted(self) -> bool:
        """Whether this request has emptied it."""
        return self.modified and not self

    @property
    def should_set_cookie(self) -> bool:
        """Whether there is something to save; the answer then has the cookie, if the browser does not have it yet."""
        return self.modified

    @property
    def session_key(self) -> str | None:
        """What the session is kept under, the hash of its id; None before the first save and in a cookie session."""
        return self.public_id

    def get_session_key(self) -> str | None:
        """Return `session_key`."""
        return self.session_key

    def set_expiry(self, life: float | timedelta | None) -> None:
        """Let this session end so long after now, however it is used; None: as configured.

        Args:
            life: Seconds or a timedelta.

        Raises:
            ValueError: It is not positive; `clear` ends a session.
        """
        self.expire_in(life)

    def get_expiry_age(self) -> int:
        """Return the seconds that an unused session has left; 400 days, the most for a cookie, if it never ends."""
        self.mark_accessed()
        engine = backend_of(self)
        policy = engine.policy
        limit = None if self.is_new and not self else engine.deadline_of(state_of(self))
        if limit is None:
            left = min(policy.idle_ms or NEVER, policy.absolute_ms or NEVER)
        else:
            left = limit if limit == NEVER else limit - engine.clock()
        return MAX_AGE if left == NEVER else max(0, -(-left // 1000))

    def get_expiration_time(self) -> datetime:
        """Return when an unused session ends; 400 days from now, the most for a cookie, if it never does."""
        now = datetime.fromtimestamp(backend_of(self).clock() / 1000, UTC)
        return self.expires_at or now + timedelta(seconds=self.get_expiry_age())

    def set_expiration_time(self, expiration: datetime) -> None:
        """Let this session end at that time, however it is used.

        Raises:
            ConfigurationError: The time has no zone.
            ValueError: It is not in the future; `clear` ends a session.
        """
        now = datetime.fromtimestamp(backend_of(self).clock() / 1000, UTC)
        self.set_expiry(zoned(expiration) - now)

    def has_expired(self) -> bool:
        """Return whether the session's deadline has passed while this request ran."""
        if self.is_new:
            return False
        engine = backend_of(self)
        limit = engine.deadline_of(state_of(self))
        return limit is not None and limit <= engine.clock()


class UnusableSession(MutableMapping[str, Any]):
    """Stands where the session would be, and says at first use why there is none."""

    def __init__(self, problem: ConfigurationError) -> None:
        self._problem = problem

    def refuse(self) -> NoReturn:
        """Raise what is wrong.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(str(self._problem))

    def __getitem__(self, key: str) -> Any:
        self.refuse()

    def __setitem__(self, key: str, value: Any) -> None:
        self.refuse()

    def __delitem__(self, key: str) -> None:
        self.refuse()

    def __iter__(self) -> Iterator[str]:
        self.refuse()

    def __len__(self) -> int:
        self.refuse()

    def __getattr__(self, name: str) -> Any:
        self.refuse()


_sessions: Any = Session  # an abstract base class, as every mapping is, which not every type checker knows
_sessions.register(StandaloneSession)
