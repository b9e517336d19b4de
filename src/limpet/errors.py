"""Everything that limpet raises, in one tree.

::

    LimpetError
    ├── ConfigurationError (ValueError)      refused at construction; the message names the cure
    │   ├── WeakSecret                       too short, repeated or a placeholder
    │   └── MissingDependency (ImportError)  an extra is not installed
    ├── StoreError
    │   └── StoreUnavailable                 the store did not answer in time, or refused: 503
    └── SessionError
        ├── SessionNotLoaded                 read before ``await session.load()`` (lazy)
        ├── SessionClosed                    written when nothing could save it any more
        ├── SessionEnded                     written after another request ended it
        ├── SessionConflict                  two requests changed a key that is ``strict``
        ├── SessionLimitReached              a login, and the subject has as many sessions as allowed: 409
        ├── SessionBusy                      another request held a lock all the time
        ├── UnstorableValue (TypeError)      a value that cannot come back as it went in
        ├── InvalidSessionData (ValueError)  stored data does not fit the model asked for
        └── CookieTooLarge                   a cookie session over 4,096 bytes

    LimpetWarning (UserWarning)            something works and should still be fixed
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = [
    "ANSWERED",
    "Answer",
    "DISTRIBUTION",
    "ConfigurationError",
    "CookieTooLarge",
    "LimpetError",
    "LimpetWarning",
    "InvalidSessionData",
    "MissingDependency",
    "SessionBusy",
    "SessionClosed",
    "SessionConflict",
    "SessionEnded",
    "SessionError",
    "SessionLimitReached",
    "SessionNotLoaded",
    "StoreError",
    "StoreUnavailable",
    "UnstorableValue",
    "WeakSecret",
    "answer_to",
]


DISTRIBUTION: Final = "limpet"
"""What the package is called where it is installed from; messages that say ``pip install`` take it from here."""


class LimpetError(Exception):
    """Root of everything that limpet raises."""


class LimpetWarning(UserWarning):
    """Root of everything that limpet warns about."""


class ConfigurationError(LimpetError, ValueError):
    """A setting that cannot work; raised where it is given, never during a request."""


class WeakSecret(ConfigurationError):
    """A secret that could be guessed; the message prints the command that makes a good one."""


class MissingDependency(ConfigurationError, ImportError):
    """A store, framework or tool needs a package that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs a package that is not installed: pip install '{DISTRIBUTION}[{extra}]'")
        self.extra = extra


class StoreError(LimpetError):
    """A store could not do what it was asked."""


class StoreUnavailable(StoreError):
    """The store did not answer in time, or refused to.

    Attributes:
        retry_after: Seconds after which a client may try again (the ``Retry-After`` header).
        waited: The time limit is used up, so that the same request does not wait for the store again.
    """

    def __init__(
        self, message: str = "the session store did not answer", *, retry_after: int = 1, waited: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.waited = waited


class SessionError(LimpetError):
    """Root of what a session raises towards the handler that holds it."""


class SessionNotLoaded(SessionError):
    """The session is lazy and was used before it was loaded."""

    def __init__(self, cure: str = "await session.load()") -> None:
        super().__init__(
            f"this session is lazy and not loaded yet: call `{cure}` first, or use SessionMiddleware(..., lazy=False)"
        )


class SessionClosed(SessionError):
    """A write came when nothing could save it any more: the response had started."""


class SessionEnded(SessionError):
    """A write came after another request had ended the session (``on_ended="raise"``)."""


class SessionConflict(SessionError):
    """Two requests changed one key that the policy calls strict, or merging ran out of attempts.

    Attributes:
        keys: The keys in conflict (never their values).
    """

    def __init__(self, message: str, *, keys: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.keys = keys


class SessionLimitReached(SessionError):
    """A login was refused: the subject has as many sessions as ``SessionPolicy.max_sessions`` allows.

    Attributes:
        limit: How many those are.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the login was refused, as there are {limit} sessions of this subject and no more are allowed: "
            "end one of them first (SessionManager.revoke)"
        )
        self.limit = limit


class SessionBusy(SessionError):
    """A lock (``exclusive``) was held by others for as long as one was ready to wait."""


class UnstorableValue(SessionError, TypeError):
    """A value that would not come back with the meaning it went in with.

    Attributes:
        path: Where it is, such as ``cart[3].price``.
        problem: Why it cannot be stored, and what to store instead.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"session value at {path} cannot be stored: {problem}")
        self.path = path
        self.problem = problem


class InvalidSessionData(SessionError, ValueError):
    """What is stored under a key does not fit the model that a handler asked for."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"session key {key!r} does not hold what was asked for: {problem}")
        self.key = key


class CookieTooLarge(SessionError):
    """A cookie session grew over what browsers keep (RFC 6265bis, section 5.6: 4,096 bytes).

    Attributes:
        size: Bytes that the cookie would need.
        limit: Bytes that it may have.
        largest: The largest keys with their encoded sizes in bytes, largest first.
    """

    def __init__(self, size: int, limit: int, largest: tuple[tuple[str, int], ...] = ()) -> None:
        keys = ", ".join(f"{key!r} ({length} bytes)" for key, length in largest)
        super().__init__(
            f"the session cookie would have {size} bytes and browsers drop one over {limit}; "
            f"largest keys: {keys or 'none'}. Keep less in it, or use a server-side store (sqlite:///...)"
        )
        self.size = size
        self.limit = limit
        self.largest = largest


class Answer(NamedTuple):
    """How a request is answered that failed with an error of ours which the application did not handle.

    Attributes:
        status: The HTTP status.
        headers: Lower-case names and values.
        body: A sentence for the person, as plain text in UTF-8.
        close_code: What a WebSocket is closed with (RFC 6455, section 7.4).
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    close_code: int

    @property
    def text(self) -> str:
        """The sentence."""
        return self.body.decode()


_TRY_AGAIN: Final = 1013  # "try again later"
_FAILED: Final = 1011  # "internal error"
_ANSWERS: Final[tuple[tuple[type[LimpetError], int, str, int], ...]] = (
    (StoreUnavailable, 503, "The session store is not available. Try again in a moment.\n", _TRY_AGAIN),
    (SessionBusy, 503, "The session is busy with another request. Try again in a moment.\n", _TRY_AGAIN),
    (
        SessionLimitReached,
        409,
        "You are signed in on as many devices as allowed. Sign out on one of them first.\n",
        _FAILED,
    ),
    (SessionConflict, 409, "The session was changed or ended by another request. Load the page again.\n", _FAILED),
    (SessionEnded, 409, "The session was changed or ended by another request. Load the page again.\n", _FAILED),
)

ANSWERED: Final = tuple(kind for kind, *_ in _ANSWERS)
"""The errors that have an answer; every other one is the application's own failure."""


def answer_to(error: BaseException) -> Answer | None:
    """Return the response to an error that an application did not handle; None: it is the application's own failure.

    The one table that every adapter takes its answers from.
    """
    for kind, status, text, close_code in _ANSWERS:
        if isinstance(error, kind):
            body = text.encode()
            headers = [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
            ]
            if status == 503:
                headers.append((b"retry-after", str(getattr(error, "retry_after", 1)).encode()))
            return Answer(status, tuple(headers), body, close_code)
    return None
