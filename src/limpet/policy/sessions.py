"""`SessionPolicy`: how long sessions live, when their id changes, and what happens when two requests meet."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, cast

from limpet._checks import CENTURY, flag, one_of, whole
from limpet._moments import slack_ms
from limpet.errors import ConfigurationError

__all__ = ["Duration", "Merge", "SessionPolicy", "slack_ms"]

Duration: TypeAlias = float | timedelta
"""Seconds, or a `timedelta`."""
Merge: TypeAlias = Callable[[Any, Any, Any], Any]
"""``(base, mine, theirs) -> merged``: what a key is when two requests changed it."""

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
_MAX_TOUCH_MS: Final = 60_000
_CHANGES: Final = ("agent", "network", "agent+network")
_ACTIONS: Final = ("event", "login", "end")


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionPolicy:
    """How long sessions live, when their id changes, and what happens when two requests meet.

    A duration is seconds or a `timedelta`. The attributes that end in ``_ms`` are the same in whole milliseconds.
    `limpet.SessionManager` refuses a policy that asks of sessions in the cookie what they cannot do: ``merge``,
    ``strict_merge``, ``renewal_interval``, ``max_sessions``, ``on_client_change``, and ``on_ended="raise"`` without
    ``CookieStore(revocation=...)``.

    Attributes:
        idle_timeout: A session ends so long after its last use. None: never for that reason.
        absolute_timeout: A session ends so long after it began, however busy. None: never for that reason.
        anonymous_timeout: The idle timeout of a session that nobody logged in to, if it is the shorter one. None: no
            limit of its own.
        remember: Takes the place of both timeouts after ``login(..., remember=True)``. None: such a login lasts no
            longer than any other.
        renewal_interval: The id of a session is renewed so often. None: only by login and ``regenerate()``.
        renewal_grace: So long the id before a renewal still leads to the session.
        touch_interval: At most so often an unchanged session's last use is written down. None: a tenth of the idle
            timeout, at most a minute; with neither, never.
        rotate_on: Keys that stand for a login: when one appears or changes, the id is regenerated.
        save_on_error: Save even when the handler raised or answered with 500 or more, or a `SessionManager.open` block
            raised.
        merge: For a key, what it is when two requests changed it: a function ``(base, mine, theirs)``, ``"strict"``
            (raise `SessionConflict`) or ``"queue"`` (a list that some requests add to and others take from).
        strict_merge: Every key without a rule of its own is ``"strict"``.
        on_ended: A write to a session that another request ended: ``"drop"`` it with an event, or ``"raise"``
            `SessionEnded`.
        on_load_error: The store fails on reading: ``"raise"`` `StoreUnavailable` at first access, or serve a
            read-only ``"anonymous"`` session.
        max_size: Bytes that one record may have.
        max_sessions: Sessions that one subject may have at a time, or a function of the subject. None: any number.
        when_full: One more than ``max_sessions``: the ``"oldest_out"``, or ``"refuse"`` the login.
        store_timeout: Seconds that one call of the store may take.
        merge_timeout: Seconds that a save may spend on conflicts altogether.
        merge_attempts: Conflicts in a row after which a save gives up.
        rolling: Activity moves the idle deadline. False: a session ends so long after its last change of data.
        on_client_change: What it means that a session comes from another client than the one that logged in. For
            ``"agent"`` (another family of browsers, or of systems), ``"network"`` and ``"agent+network"`` (both): send
            an ``"event"``, ask for a new ``"login"`` (`Session.is_fresh` says no to that client), or ``"end"`` the
            session. The strictest that applies counts. It needs ``devices=True`` and a store on the server.
        levels: What ``login(..., acr=...)`` can say, the weakest first: ``is_fresh(level=...)`` is met by the level
            itself and by those after it.

    Raises:
        ConfigurationError: A value cannot work; the message says which would.
    """

    idle_timeout: Duration | None = DAY
    absolute_timeout: Duration | None = 14 * DAY
    anonymous_timeout: Duration | None = DAY
    remember: Duration | None = 30 * DAY
    renewal_interval: Duration | None = None
    renewal_grace: Duration = 30
    touch_interval: Duration | None = None
    rotate_on: tuple[str, ...] = ("user_id", "user")
    save_on_error: bool = False
    merge: Mapping[str, Merge | Literal["strict", "queue"]] = field(
        default_factory=dict[str, Merge | Literal["strict", "queue"]]
    )
    strict_merge: bool = False
    on_ended: Literal["drop", "raise"] = "drop"
    on_load_error: Literal["raise", "anonymous"] = "raise"
    max_size: int = 1 << 20
    max_sessions: int | Callable[[str], int | None] | None = None
    when_full: Literal["oldest_out", "refuse"] = "oldest_out"
    store_timeout: float = 1.0
    merge_timeout: float = 5.0
    merge_attempts: int = 64
    rolling: bool = True
    levels: tuple[str, ...] = ("aal1", "aal2", "aal3")
    on_client_change: Mapping[str, Literal["event", "login", "end"]] = field(default_factory=dict[str, Any])

    idle_ms: int | None = field(init=False, repr=False, compare=False)
    absolute_ms: int | None = field(init=False, repr=False, compare=False)
    anonymous_ms: int | None = field(init=False, repr=False, compare=False)
    remember_ms: int | None = field(init=False, repr=False, compare=False)
    renewal_interval_ms: int | None = field(init=False, repr=False, compare=False)
    renewal_grace_ms: int = field(init=False, repr=False, compare=False)
    touch_ms: int | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "idle_ms", _optional_ms("idle_timeout", self.idle_timeout))
        put(self, "absolute_ms", _optional_ms("absolute_timeout", self.absolute_timeout))
        put(self, "anonymous_ms", _optional_ms("anonymous_timeout", self.anonymous_timeout))
        put(self, "remember_ms", _optional_ms("remember", self.remember))
        put(self, "renewal_interval_ms", _optional_ms("renewal_interval", self.renewal_interval))
        put(self, "renewal_grace_ms", _ms("renewal_grace", self.renewal_grace, least=0))
        put(self, "touch_ms", _touch_ms(self))
        put(self, "rotate_on", _keys("rotate_on", self.rotate_on))
        put(self, "merge", _rules(self.merge))
        put(self, "levels", _levels(self.levels))
        put(self, "on_client_change", _client_changes(self.on_client_change))
        for name in ("save_on_error", "strict_merge", "rolling"):
            flag(name, getattr(self, name))
        one_of("on_ended", self.on_ended, ("drop", "raise"))
        one_of("on_load_error", self.on_load_error, ("raise", "anonymous"))
        one_of("when_full", self.when_full, ("oldest_out", "refuse"))
        whole("max_size", self.max_size, "bytes")
        whole("merge_attempts", self.merge_attempts, "attempts")
        if self.max_sessions is not None and not callable(self.max_sessions):
            whole("max_sessions", self.max_sessions, "sessions (None: any number; a function decides by subject)")
        _ms("store_timeout", self.store_timeout)
        _ms("merge_timeout", self.merge_timeout)
        put(self, "store_timeout", _seconds(self.store_timeout))
        put(self, "merge_timeout", _seconds(self.merge_timeout))

    def __reduce__(self) -> tuple[Any, ...]:
        """Make a copy, and what pickle writes, of what was given; the mappings are read-only, which is no copy's."""
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        given.update(merge=dict(self.merge), on_client_change=dict(self.on_client_change))
        return partial(type(self), **given), ()

    @classmethod
    def aal1(cls) -> SessionPolicy:
        """Return the limits of NIST SP 800-63B-4, section 2.1.3: 30 days in all, used or not, remembered or not."""
        return cls(idle_timeout=None, absolute_timeout=30 * DAY, remember=None)

    @classmethod
    def aal2(cls) -> SessionPolicy:
        """Return the limits of NIST SP 800-63B-4, section 2.2.3: one hour idle, 24 hours in all, remembered or not."""
        return cls(idle_timeout=HOUR, absolute_timeout=DAY, anonymous_timeout=HOUR, remember=None)

    @classmethod
    def aal3(cls) -> SessionPolicy:
        """Return the limits of NIST SP 800-63B-4, section 2.3.3: 15 minutes idle, 12 hours in all, remembered or not.

        At that level the device's binding matters as much: a cookie alone is a bearer token (section 5.1).
        """
        return cls(idle_timeout=15 * MINUTE, absolute_timeout=12 * HOUR, anonymous_timeout=15 * MINUTE, remember=None)

    @classmethod
    def strict(cls) -> SessionPolicy:
        """Return limits for sensitive applications: 30 minutes idle, 12 hours in all, remembered or not."""
        return cls(idle_timeout=30 * MINUTE, absolute_timeout=12 * HOUR, anonymous_timeout=30 * MINUTE, remember=None)

    def meets(self, acr: str | None, level: str) -> bool:
        """Tell whether a login with this ``acr`` is one of that level, or of a higher one."""
        if acr is None or level not in self.levels or acr not in self.levels:
            return acr == level
        return self.levels.index(acr) >= self.levels.index(level)

    def touch_after(self, idle_ms: int | None) -> int | None:
        """Return how old the noted last use of a session with this idle timeout may get, in milliseconds.

        ``touch_ms`` is the same for ``idle_ms``; anonymous and remembered sessions may have another idle timeout.
        """
        if self.touch_interval is not None:
            return self.touch_ms
        return None if idle_ms is None else min(_MAX_TOUCH_MS, idle_ms // 10)


def _touch_ms(policy: SessionPolicy) -> int | None:
    """Return the touch interval; one as long as an idle timeout would let busy sessions end."""
    if policy.touch_interval is None:
        return policy.touch_after(policy.idle_ms)
    touch = _ms("touch_interval", policy.touch_interval, least=0)
    for name, idle in (
        ("idle_timeout", policy.idle_ms),
        ("anonymous_timeout", policy.anonymous_ms),
        ("remember", policy.remember_ms),
    ):
        if idle is not None and touch >= idle:
            raise ConfigurationError(
                f"touch_interval={policy.touch_interval!r} is not shorter than {name}={getattr(policy, name)!r}, so "
                "that busy sessions would end: leave it out (None is a tenth of the idle timeout) or make it shorter"
            )
    return touch


def _seconds(value: Duration) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def _ms(name: str, value: object, *, least: int = 1) -> int:
    """Return a duration in whole milliseconds."""
    if isinstance(value, timedelta):
        exact = value.total_seconds() * 1000
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        exact = value * 1000
    else:
        raise ConfigurationError(f"{name}={value!r} is no duration: give seconds (such as 3600) or a timedelta")
    if not exact <= CENTURY * 1000:  # NaN too
        raise ConfigurationError(f"{name}={value!r} is not a duration of at most 100 years: give fewer seconds")
    if exact < least:
        raise ConfigurationError(
            f"{name}={value!r} is too short: give "
            + ("a positive number of seconds (at least 0.001)" if least else "0 or more seconds")
        )
    return round(exact)


def _optional_ms(name: str, value: object) -> int | None:
    if value is None:
        return None
    try:
        return _ms(name, value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}, or None for none") from None


def _keys(name: str, value: object, what: str = "session keys") -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        example = f"({value!r},)" if isinstance(value, str) else "()"
        raise ConfigurationError(f"{name}={value!r} is no list of {what}: write {name}={example}")
    keys = tuple(cast("Iterable[object]", value))
    for key in keys:
        if not isinstance(key, str):
            raise ConfigurationError(f"{name} holds {key!r}: {what} are str")
    return cast("tuple[str, ...]", keys)


def _levels(value: object) -> tuple[str, ...]:
    levels = _keys("levels", value, "levels of a login")
    if len(set(levels)) < len(levels):
        raise ConfigurationError(f"levels={value!r} names one twice: list each once, the weakest first")
    return levels


def _client_changes(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"on_client_change={value!r} is no mapping: give {{'agent': 'login'}}")
    for what, action in value.items():
        if what not in _CHANGES or action not in _ACTIONS:
            raise ConfigurationError(
                f"on_client_change has {what!r}: {action!r}; one of {', '.join(_CHANGES)} goes with one of "
                + ", ".join(_ACTIONS)
            )
    return MappingProxyType(dict(value))


def _check_rule(key: str, rule: Callable[..., object]) -> None:
    """Refuse a function that cannot be a rule: else it would fail when two requests meet, and not before."""
    try:
        inspect.signature(rule).bind(None, None, None)
    except TypeError:
        fits = False
    except ValueError:  # a function of C that does not tell
        fits = True
    else:
        fits = not inspect.iscoroutinefunction(rule)
    if not fits:
        raise ConfigurationError(
            f"merge has {key!r}: {rule!r}: a rule is a plain function of three values, rule(base, mine, theirs)"
        )


def _rules(value: object) -> Mapping[str, Merge | Literal["strict", "queue"]]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"merge={value!r} is no mapping: give {{key: function, 'strict' or 'queue'}}")
    rules = dict(cast("Mapping[object, object]", value))
    for key, rule in rules.items():
        if not isinstance(key, str) or not (rule in ("strict", "queue") or callable(rule)):
            raise ConfigurationError(
                f"merge has {key!r}: {rule!r}: a session key goes with 'strict', 'queue' or a function (base, mine, "
                "theirs)"
            )
        if callable(rule):
            _check_rule(key, rule)
    return MappingProxyType(cast("dict[str, Merge | Literal['strict', 'queue']]", rules))
