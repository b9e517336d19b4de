"""What happened to sessions, for audit logs and metrics: one small class each.

No event carries a session id, a key or a value: a session is named by `Event.tag`, the first eight
hexadecimal digits of its store key.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

__all__ = [
    "LOGGED",
    "ACTOR",
    "CLIENT",
    "AmbiguousCookie",
    "ClientChanged",
    "CorruptRecord",
    "DeviceBound",
    "DeviceProofRefused",
    "DeviceProven",
    "DeviceRegistered",
    "DeviceUnproven",
    "Event",
    "LimitReached",
    "Listener",
    "RevocationSeen",
    "SessionCreated",
    "SessionExpired",
    "SessionImported",
    "SessionLoggedIn",
    "SessionLoggedOut",
    "SessionMerged",
    "SessionRegenerated",
    "SessionRenewed",
    "SessionReused",
    "SessionRevoked",
    "SessionsSwept",
    "StoreFailed",
    "UnknownId",
    "ValueOverwritten",
    "WriteAfterEnd",
    "WriteDropped",
    "acting",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a session.

    Attributes:
        at: When, in milliseconds since 1970.
        tag: First eight hexadecimal digits of the store key, enough to tell sessions apart in a log.
        subject: Whose session it is, if anybody's.
        by: Who did it, as `acting` said; None: the application, in a request or by itself.
        why: For what reason, as `acting` said.
        device: What is known of the client whose request it was, with ``SessionManager(devices=True)``: its user
            ``agent`` and its ``address``, as far as the `limpet.devices.DevicePolicy` notes them.
    """

    at: int
    tag: str | None = None
    subject: str | None = None
    by: str | None = None
    why: str | None = None
    device: Mapping[str, str] | None = None


ACTOR: Final[ContextVar[tuple[str | None, str | None]]] = ContextVar("limpet actor", default=(None, None))
"""Who acts, and why; see `acting`."""
CLIENT: Final[ContextVar[Mapping[str, Any] | None]] = ContextVar("limpet client", default=None)
"""Headers and address of the request that is served, where devices are noted."""


@contextmanager
def acting(by: str, *, why: str | None = None) -> Iterator[None]:
    """Let events within the block, and the revocations that other processes hear of, say who acts and why.

    ::

        with acting("support: eve", why="the phone was stolen"):
            await manager.revoke_all("ann")

    Args:
        by: Who, such as an operator's name; up to 100 characters are kept.
        why: The reason, such as a ticket; up to 200 characters are kept.
    """
    token = ACTOR.set((by[:100], why[:200] if why else None))
    try:
        yield
    finally:
        ACTOR.reset(token)


class SessionCreated(Event):
    """A first write made a session."""

    __slots__ = ()


class SessionLoggedIn(Event):
    """Somebody logged in. The id is new, unless the framework has changed it itself (Django)."""

    __slots__ = ()


class SessionLoggedOut(Event):
    """A handler ended the session (`logout` or `clear`), or a login took its place."""

    __slots__ = ()


class SessionRegenerated(Event):
    """The id changed and the old one is dead."""

    __slots__ = ()


class SessionRenewed(Event):
    """The id was renewed as the policy asks; the old one is served during the grace."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientChanged(Event):
    """A session came from another client than the one that logged in; see ``SessionPolicy(on_client_change=...)``.

    ``what`` has ``"agent"``, ``"network"`` or both, ``action`` is what the policy made of it. It is sent for each
    request that comes so.
    """

    what: tuple[str, ...] = ()
    action: str = ""


class SessionReused(Event):
    """A renewed id was presented after its grace: a copy of the cookie may be in other hands."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownId(Event):
    """Ids came that no session has: somebody guesses, or sends what was swept, replaced or ended long ago.

    At most one such event is sent in ten seconds, whatever comes: it tells of the request that caused it, and counts
    those since the event before. ``forged`` of the ``count`` were never handed out under a secret that is known here.

    Source: OWASP Session Management Cheat Sheet, "Session Attacks Detection"; OWASP ASVS 5.0, 16.3.3.
    """

    count: int = 0
    forged: int = 0


class SessionExpired(Event):
    """A session came back after its idle or absolute deadline."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionImported(Event):
    """A session of another library became one of ours; ``left_out`` names the keys that could not be stored."""

    origin: str = ""
    left_out: tuple[str, ...] = ()


class SessionRevoked(Event):
    """Somebody ended the session from outside: an operator, or the user on another device."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationSeen(Event):
    """Another process has revoked sessions and said who acts: the command line, the admin page, an `acting` block.

    ``what`` is ``"session"``, ``"subject"``, ``"tag"`` or ``"everyone"``; ``number`` is the revocation's in the store.
    """

    what: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMerged(Event):
    """Two requests wrote at once and both count; ``attempts`` says how often the write was tried."""

    attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueOverwritten(Event):
    """Two requests gave one key different values and the later one stayed; ``keys`` names them, never their values."""

    keys: tuple[str, ...] = ()


class WriteAfterEnd(Event):
    """A request saved after another one had ended the session; nothing of that save was stored."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteDropped(Event):
    """Something was written that no response could keep; ``reason`` says why."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptRecord(Event):
    """A record could not be read and counts as no session; ``reason`` says what was wrong.

    It was deleted, unless it is whole and a later version or another serializer wrote it.
    """

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed(Event):
    """A call of the store failed or took too long; ``call`` names it, ``reason`` the class of the error."""

    call: str = ""
    reason: str = ""


class AmbiguousCookie(Event):
    """A request carried two different valid session cookies; it was served as anonymous."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitReached(Event):
    """A subject had as many sessions as allowed; ``refused`` tells whether the new one or the oldest gave way."""

    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsSwept(Event):
    """A batch of expired records was deleted; ``so_far`` counts all batches of this sweep."""

    deleted: int = 0
    so_far: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRegistered(Event):
    """A browser has registered a key for the session; ``algorithm`` is what it signs with.

    `DeviceBound` follows with its next request. Where it does not, the browser could not follow its instructions.
    """

    algorithm: str = ""


class DeviceBound(Event):
    """A browser has shown for the first time that the key of a session is there: from now on it is needed."""

    __slots__ = ()


class DeviceProven(Event):
    """A browser has shown once more that a bound session is on its device."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUnproven(Event):
    """A request came with the cookie of a bound session and did not show that it comes from its device.

    ``reason`` says what was wrong with the proof: ``missing``, ``expired``, ``foreign`` (it is another session's, or
    forged), ``unbound`` (no browser bound it, where that is required); or why the browser says that it has skipped it:
    ``quota_exceeded``, ``unreachable``, ``server_error``.
    """

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProofRefused(Event):
    """What was sent to bind a session, or to prove its device, proves nothing; ``reason`` says in a word why."""

    reason: str = ""


Listener: TypeAlias = Callable[[Event], Awaitable[None] | None]
"""Called with every event; what it raises is logged and never reaches a request."""

LOGGED: Final[Mapping[type[Event], tuple[int, str, tuple[str, ...]]]] = {
    WriteAfterEnd: (
        logging.WARNING,
        "session %s: a request wrote after another one had ended the session; nothing was stored",
        (),
    ),
    WriteDropped: (logging.WARNING, "session %s: what a request wrote was not kept: %s", ("reason",)),
    AmbiguousCookie: (
        logging.WARNING,
        "session %s: a request presented two live sessions under one cookie name and was served as anonymous",
        (),
    ),
    RevocationSeen: (
        logging.WARNING,
        "session %s: another process has revoked (%s), by %s, because: %s",
        ("what", "by", "why"),
    ),
    ValueOverwritten: (
        logging.INFO,
        "session %s: two requests gave a key different values and the later one stayed: %s",
        ("keys",),
    ),
    DeviceUnproven: (
        logging.INFO,
        "session %s: it is bound to a device, and a request did not show that it comes from there: %s",
        ("reason",),
    ),
    DeviceProofRefused: (logging.WARNING, "session %s: a proof of its device was refused: %s", ("reason",)),
    ClientChanged: (
        logging.WARNING,
        "session %s: it comes from another client than the one that logged in (%s): %s",
        ("what", "action"),
    ),
    SessionReused: (
        logging.WARNING,
        "session %s: a renewed id was presented after its grace: a copy of the cookie may be in other hands",
        (),
    ),
}
"""Events that explain to an operator what became of a write: level, message, and which facts it shows."""
