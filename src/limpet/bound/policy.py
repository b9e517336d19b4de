"""`BoundPolicy`: which logins are bound to a device, for how long a proof counts, and who is refused without one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from limpet._checks import flag
from limpet.errors import ConfigurationError
from limpet.policy import CookiePolicy, Duration

__all__ = ["ALGORITHMS", "BoundPolicy", "Login"]

ALGORITHMS: Final = ("ES256", "RS256")
"""What a browser may sign with. The draft (section 9.10) names a third, ``none``, which proves nothing."""


_HOST: Final = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
_ORIGIN: Final = re.compile(rf"https://{_HOST}(:[0-9]{{1,5}})?")
_HOSTS: Final = re.compile(rf"\*|(\*\.)?{_HOST}")  # a host pattern of the draft, section 9.6


class Login(NamedTuple):
    """A login, for a function that decides whether it is to be bound to its device.

    Attributes:
        subject: As given to `Session.login`; None where a key of ``SessionPolicy.rotate_on`` stands for the login.
        remember: It was a login with ``remember=True``.
        tags: As given to `Session.login`.
    """

    subject: str | None
    remember: bool
    tags: Mapping[str, str]


Chosen: TypeAlias = Literal["all", "remembered"] | Callable[[Login], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundPolicy:
    """How sessions are bound to devices. A duration is seconds or a `timedelta`.

    Attributes:
        proof_lasts: A proof counts so long; then the browser has to give another one. A copied cookie is worth nothing
            after that.
        logins: Which logins are bound: ``"all"``, ``"remembered"`` (those with ``remember=True``), or a function of a
            `Login`.
        required: A login that no browser has bound within ``offer_for`` and ``settle`` together (90 seconds) is as if
            it had not been. False: a browser that cannot bind has a session like any other.
        refuse: Paths where a request without the proof that it needs is answered with 403, before the application sees
            it: ``"/api"`` is that path and all below it; or compiled patterns. Everywhere else such a request is
            anonymous.
        exclude: Paths that need no session, such as ``"/static"``: the browser does not wait for a proof before it
            asks for them. A session that was not proven is anonymous there too.
        offer_for: So long after a login the browser is asked to bind the session. Later, somebody else may have the
            cookie.
        settle: So long after a session was bound, requests that were under way meanwhile are served without a proof.
        skipped_grace: So long after its last proof has run out, a session is served where the browser says that it has
            skipped the next one (``Secure-Session-Skipped``). A thief can say so as well: 0, the default, is safest.
        challenge_lasts: So long a challenge may be answered, once.
        algorithms: What may be signed with: ``"ES256"``, ``"RS256"`` or both, the preferred one first.
        path: Below this path the browser registers its key and proves that it has it; of a manager with a ``label``,
            below this path with a dash and the label behind it.
        include_site: The session is for all subdomains too; the cookie then has a ``domain``.
        registering_origins: With ``include_site``, the origins below the site that may register, for
            ``/.well-known/device-bound-sessions``.
        allowed_refresh_initiators: Hosts of other sites whose pages may make the browser prove its device, such as
            ``"*.example.org"``; needs ``CookiePolicy(same_site="none")``.
        cookie: The cookie that holds the last proof. None: like the session's own. Its name, unless you give one, is
            that of the session's cookie with ``-bound`` behind it and the strongest prefix before it that these
            attributes allow: ``__Host-session-bound`` (browsers bind no cookie with the prefix ``__Host-Http-``).

    Raises:
        ConfigurationError: A value cannot work; the message says which would.
    """

    proof_lasts: Duration = 600
    logins: Chosen = "all"
    required: bool = False
    refuse: Iterable[str | re.Pattern[str]] = ()
    exclude: Sequence[str] = ()
    offer_for: Duration = 60
    settle: Duration = 30
    skipped_grace: Duration = 0
    challenge_lasts: Duration = 1800
    algorithms: Sequence[str] = ALGORITHMS
    path: str = "/device-bound-session"
    include_site: bool = False
    registering_origins: Sequence[str] = ()
    allowed_refresh_initiators: Sequence[str] = ()
    cookie: CookiePolicy | None = None

    proof_ms: int = field(init=False, repr=False, compare=False)
    offer_ms: int = field(init=False, repr=False, compare=False)
    settle_ms: int = field(init=False, repr=False, compare=False)
    skipped_ms: int = field(init=False, repr=False, compare=False)
    challenge_ms: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "proof_ms", _ms("proof_lasts", self.proof_lasts, 1))
        put(self, "offer_ms", _ms("offer_for", self.offer_for, 1))
        put(self, "settle_ms", _ms("settle", self.settle, 0))
        put(self, "skipped_ms", _ms("skipped_grace", self.skipped_grace, 0))
        put(self, "challenge_ms", _ms("challenge_lasts", self.challenge_lasts, 1))
        flag("required", self.required)
        flag("include_site", self.include_site)
        if not callable(self.logins) and self.logins not in ("all", "remembered"):
            raise ConfigurationError(
                f"logins={self.logins!r} is unknown: give 'all', 'remembered', or a function of a limpet.bound.Login"
            )
        put(self, "algorithms", _texts("algorithms", self.algorithms))
        if not self.algorithms or not set(self.algorithms) <= set(ALGORITHMS):
            raise ConfigurationError(f"algorithms={self.algorithms!r}: give 'ES256', 'RS256' or both")
        for name in ("exclude", "registering_origins", "allowed_refresh_initiators"):
            put(self, name, _texts(name, getattr(self, name)))
        for origin in self.registering_origins:
            if not _ORIGIN.fullmatch(origin):
                raise ConfigurationError(
                    f"registering_origins has {origin!r}: write an origin as in 'https://login.example.org'"
                )
        if self.registering_origins and not self.include_site:
            raise ConfigurationError(
                "registering_origins says who may register sessions of the whole site: set include_site=True as well"
            )
        for host in self.allowed_refresh_initiators:
            if not _HOSTS.fullmatch(host):
                raise ConfigurationError(
                    f"allowed_refresh_initiators has {host!r}: write a host as in 'pay.example.com' or '*.example.org'"
                )
        if self.cookie is not None and not isinstance(self.cookie, CookiePolicy):
            raise ConfigurationError(f"cookie={self.cookie!r}: give a limpet.CookiePolicy, or None")
        for path in (*_texts("path", (self.path,)), *self.exclude):
            if not re.fullmatch(r"/[!#-\[\]-~]+", path) or path.endswith("/"):
                raise ConfigurationError(
                    f"{path!r} is no path: write it as in '/static', without spaces, quotes or a slash at the end"
                )

    def wants(self, login: Login) -> bool:
        """Tell whether a login is to be bound to its device."""
        if callable(self.logins):
            return bool(self.logins(login))
        return self.logins == "all" or login.remember


def _ms(name: str, value: object, least: int) -> int:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not least <= seconds < 400 * 86_400:
        raise ConfigurationError(f"{name}={value!r}: give seconds or a timedelta, from {least} s to 400 days")
    return round(seconds * 1000)


def _texts(name: str, given: object) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError(f"{name}={given!r} is no list: write {name}=({given!r},)")
    found = tuple(given)
    if not all(isinstance(each, str) for each in found):
        raise ConfigurationError(f"{name}={given!r}: give strings")
    return found
