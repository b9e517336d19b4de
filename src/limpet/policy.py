"""The settings of a manager: how long sessions live and how they change (`SessionPolicy`), what the cookie is
like (`CookiePolicy`).

Both are frozen and checked once, at construction: a setting that cannot work is refused with a sentence that says
what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, cast

from limpet.errors import ConfigurationError

__all__ = ["TOKEN", "CookiePolicy", "Duration", "Merge", "SameSite", "SessionPolicy", "slack_ms"]

Duration: TypeAlias = float | timedelta
"""Seconds, or a `timedelta`."""
Merge: TypeAlias = Callable[[Any, Any, Any], Any]
"""``(base, mine, theirs) -> merged``: what a key is when two requests changed it."""
SameSite: TypeAlias = Literal["lax", "strict", "none"]

TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A token as RFC 9110, section 5.6.2, spells it: what a cookie's or a header's name consists of."""

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
_CENTURY_MS: Final = 36_525 * DAY * 1000
_MAX_TOUCH_MS: Final = 60_000
_MAX_SLACK_MS: Final = 60_000
_MAX_ATTRIBUTE: Final = 1024  # RFC 6265bis, section 5.6: browsers ignore a longer attribute


def slack_ms(idle_ms: int | None) -> int:
    """Return how long a store keeps a record beyond its deadline, in milliseconds: 60 s or a tenth of the idle timeout.

    A request that met the deadline when it loaded may commit within it.
    """
    return _MAX_SLACK_MS if idle_ms is None else min(_MAX_SLACK_MS, idle_ms // 10)


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionPolicy:
    """How long sessions live, when their id changes, and what happens when two requests meet.

    A duration is seconds or a `timedelta`. The attributes that end in ``_ms`` are the same in whole milliseconds.

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
        save_on_error: Save even when the handler raised or answered with 500 or more.
        merge: For a key, what it is when two requests changed it: a function ``(base, mine, theirs)`` or ``"strict"``
            (raise `SessionConflict`).
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
    merge: Mapping[str, Merge | Literal["strict"]] = field(default_factory=dict[str, Merge | Literal["strict"]])
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
        for name in ("save_on_error", "strict_merge", "rolling"):
            _flag(name, getattr(self, name))
        _one_of("on_ended", self.on_ended, ("drop", "raise"))
        _one_of("on_load_error", self.on_load_error, ("raise", "anonymous"))
        _one_of("when_full", self.when_full, ("oldest_out", "refuse"))
        _count("max_size", self.max_size, "bytes")
        _count("merge_attempts", self.merge_attempts, "attempts")
        if self.max_sessions is not None and not callable(self.max_sessions):
            _count("max_sessions", self.max_sessions, "sessions; None is no limit, a function decides by subject")
        _ms("store_timeout", self.store_timeout)
        _ms("merge_timeout", self.merge_timeout)
        put(self, "store_timeout", _seconds(self.store_timeout))
        put(self, "merge_timeout", _seconds(self.merge_timeout))

    @classmethod
    def aal2(cls) -> SessionPolicy:
        """Return the limits of NIST SP 800-63B-4, AAL2: one hour idle, 24 hours in all, remembered or not."""
        return cls(idle_timeout=HOUR, absolute_timeout=DAY, anonymous_timeout=HOUR, remember=None)

    @classmethod
    def strict(cls) -> SessionPolicy:
        """Return limits for sensitive applications: 30 minutes idle, 12 hours in all, remembered or not."""
        return cls(idle_timeout=30 * MINUTE, absolute_timeout=12 * HOUR, anonymous_timeout=30 * MINUTE, remember=None)

    def touch_after(self, idle_ms: int | None) -> int | None:
        """Return how old the noted last use of a session with this idle timeout may get, in milliseconds.

        ``touch_ms`` is the same for ``idle_ms``; anonymous and remembered sessions may have another idle timeout.
        """
        if self.touch_interval is not None:
            return self.touch_ms
        return None if idle_ms is None else min(_MAX_TOUCH_MS, idle_ms // 10)


@dataclass(frozen=True, kw_only=True, slots=True)
class CookiePolicy:
    """What the session cookie is like. The defaults are the safest that work on one host.

    Attributes:
        name: The cookie's name, sent exactly so. None: derived, see `derive_name`.
        path: Below which path the browser sends it.
        domain: None: to this host alone. A domain: to all its subdomains too.
        secure: Over https only.
        http_only: Scripts cannot read it.
        same_site: ``"lax"``, ``"strict"`` or ``"none"``, in any case.
        partitioned: One cookie for each top-level site (CHIPS), for embedded pages.
        persistent: It survives the closing of the browser, as long as the session can live.

    Raises:
        ConfigurationError: A browser would drop such a cookie (RFC 6265bis, sections 4.1.3 and 5.7), or a value
            would spill into another attribute.
    """

    name: str | None = None
    path: str = "/"
    domain: str | None = None
    secure: bool = True
    http_only: bool = True
    same_site: SameSite = "lax"
    partitioned: bool = False
    persistent: bool = True

    def __post_init__(self) -> None:
        for flag in ("secure", "http_only", "partitioned", "persistent"):
            _flag(flag, getattr(self, flag))
        object.__setattr__(self, "same_site", _same_site(self.same_site))
        _check_path(self.path)
        if self.domain is not None:
            _check_domain(self.domain)
        if not self.secure:
            for what, given in (('same_site="none"', self.same_site == "none"), ("partitioned=True", self.partitioned)):
                if given:
                    raise ConfigurationError(f"browsers drop a cookie with {what} that is not Secure: set secure=True")
        if self.name is not None:
            self.check_name(self.name)

    def derive_name(self, label: str | None = None, dev: bool = False) -> str:
        """Return the cookie's name: the one that was given, else the strongest prefix that the attributes allow.

        | Attributes | Name |
        | --- | --- |
        | Secure, Path=/, no Domain, HttpOnly | ``__Host-Http-session`` |
        | Secure, Path=/, no Domain | ``__Host-session`` |
        | Secure | ``__Secure-session`` |
        | not Secure, as in development | ``limpet-session`` |

        A script cannot plant the first in a browser that knows the prefix (draft-ietf-httpbis-layered-cookies,
        "Cookie Name Prefixes"); the others take it for a ``__Host-`` name, which no other host can plant (RFC 6265bis,
        section 4.1.3.2). The last has no prefix that browsers protect, and is none that other libraries use.

        Args:
            label: Tells managers of one host apart, whose cookies would else overwrite each other (cookies do not
                separate ports): ``"admin"`` gives ``__Host-Http-session-admin``. A name that was given stays as it is.
            dev: Development over plain http, where a prefix cannot be.

        Raises:
            ConfigurationError: The label is no token, or the given name cannot be used in development.
        """
        policy = self.for_development() if dev else self
        if policy.name is not None:
            return policy.name
        if not policy.secure:
            prefix = "limpet-"
        elif policy.path != "/" or policy.domain is not None:
            prefix = "__Secure-"
        else:
            prefix = "__Host-Http-" if policy.http_only else "__Host-"
        name = f"{prefix}session" if label is None else f"{prefix}session-{label}"
        if label is not None and not _is_token(label):
            raise ConfigurationError(f"label={label!r} is no token: use letters, digits, `-` and `_`, such as admin")
        return name

    def for_development(self) -> CookiePolicy:
        """Return this policy for plain http: not Secure, and so neither partitioned nor ``SameSite=None``.

        Raises:
            ConfigurationError: The name that was given has a prefix that demands Secure.
        """
        if not self.secure:
            return self
        try:
            return replace(
                self,
                secure=False,
                partitioned=False,
                same_site="lax" if self.same_site == "none" else self.same_site,
            )
        except ConfigurationError as error:
            raise ConfigurationError(
                f"the cookie name {self.name!r} cannot be used in development mode, over plain http: "
                "leave name=None (the prefix then comes and goes with Secure) or choose a name without a prefix"
            ) from error

    def check_name(self, name: str) -> None:
        """Check that a cookie of this name and these attributes is one that browsers keep.

        Prefixes count in any case, as in browsers (RFC 6265bis, section 5.7).

        Raises:
            ConfigurationError: It is not.
        """
        if not _is_token(name):
            raise ConfigurationError(
                f"cookie name {name!r} is no token (RFC 6265, section 4.1.1): use letters, digits, `-` and `_`"
            )
        if len(name) > _MAX_ATTRIBUTE:
            raise ConfigurationError(f"a cookie name of {len(name)} bytes leaves no room for its value: shorten it")
        lower = name.lower()
        for prefix, demands in _PREFIXES.items():
            if lower.startswith(prefix):
                for attribute, demanded in demands.items():
                    if getattr(self, attribute) != demanded:
                        raise ConfigurationError(
                            f"browsers drop a cookie named {name!r} unless {attribute}={demanded!r}: "
                            f"set that, or leave name=None for a name that fits"
                        )


# What a browser demands of a cookie whose name begins so. A name that begins with the last begins with the second too.
# The last two are of the successor of RFC 6265bis (draft-ietf-httpbis-layered-cookies).
_PREFIXES: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "__secure-": {"secure": True},
        "__host-": {"secure": True, "path": "/", "domain": None},
        "__http-": {"secure": True, "http_only": True},
        "__host-http-": {"http_only": True},
    }
)


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
    if not exact <= _CENTURY_MS:  # NaN too
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


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}={value!r} is neither True nor False: give one of them")


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name}={value!r} is unknown: give one of {', '.join(map(repr, choices))}")


def _count(name: str, value: object, unit: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name}={value!r} is no positive whole number: give the number of {unit}")


def _keys(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigurationError(f"{name}={value!r} is no list of keys: write {name}=({value!r},)")
    keys = tuple(cast("Iterable[object]", value))
    for key in keys:
        if not isinstance(key, str):
            raise ConfigurationError(f"{name} holds {key!r}: session keys are str")
    return cast("tuple[str, ...]", keys)


def _rules(value: object) -> Mapping[str, Merge | Literal["strict"]]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"merge={value!r} is no mapping: give {{key: function or 'strict'}}")
    rules = dict(cast("Mapping[object, object]", value))
    for key, rule in rules.items():
        if not isinstance(key, str) or not (rule == "strict" or callable(rule)):
            raise ConfigurationError(
                f"merge has {key!r}: {rule!r}: a session key goes with 'strict' or a function (base, mine, theirs)"
            )
    return MappingProxyType(cast("dict[str, Merge | Literal['strict']]", rules))


def _is_token(value: object) -> bool:
    return isinstance(value, str) and TOKEN.fullmatch(value) is not None


def _same_site(value: object) -> str:
    value = value.lower() if isinstance(value, str) else value
    _one_of("same_site", value, ("lax", "strict", "none"))
    return cast("str", value)


def _check_path(path: object) -> None:
    if not isinstance(path, str) or not re.fullmatch(r"/[ -:<-~]*", path):
        raise ConfigurationError(
            f"cookie path {path!r} is not one: it begins with `/` and has no `;`, control or non-ASCII characters; "
            "percent-encode those"
        )
    if len(path) > _MAX_ATTRIBUTE:
        raise ConfigurationError(f"browsers ignore a cookie path over {_MAX_ATTRIBUTE} bytes ({len(path)}): shorten it")


def _check_domain(domain: object) -> None:
    if (
        not isinstance(domain, str)
        or not re.fullmatch(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", domain)
        or len(domain) > _MAX_ATTRIBUTE
    ):
        raise ConfigurationError(
            f"cookie domain {domain!r} is not one: give a host name alone, such as example.com (no scheme, port or "
            "path; a name with other letters in its xn-- form), or None for this host"
        )
