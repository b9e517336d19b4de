"""A `SessionMiddleware` with the arguments of Starlette's own, for applications that are to change one line.

::

    from limpet.adapters.starlette.middleware.sessions import SessionMiddleware

    app.add_middleware(SessionMiddleware, secret_key=os.environ["SECRET_KEY"], https_only=True)

What the arguments leave out is Starlette's: the name of the cookie, its path, its life. Sessions are encrypted in the
cookie; with ``store="redis://..."``, or any other store, they are kept on the server.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

from limpet._checks import CENTURY, interval
from limpet.adapters import starlette
from limpet.adapters._dict import DictSession as Session
from limpet.asgi import ASGIApp
from limpet.errors import ConfigurationError, WeakSecret
from limpet.importers import StarletteCookies
from limpet.keyring import Keyring, shown
from limpet.manager import SessionManager
from limpet.policy import CookiePolicy, SessionPolicy
from limpet.transports.cookie import CookieTransport

if TYPE_CHECKING:
    from limpet.contract import ClientStore, Store
    from limpet.protocols import Header

__all__ = ["Session", "SessionMiddleware"]

log: logging.Logger = logging.getLogger("limpet")

_DAY: Final = 86_400


class SessionMiddleware(starlette.SessionMiddleware):
    """Sessions under the names, the cookie and the life that Starlette's own middleware gives them.

    A session lives ``max_age`` seconds after its last use; under Starlette, after its last change. As there, it is a
    dict, and a dict that a handler puts in its place in the scope is what is saved: an empty one ends the session.

    Args:
        app: The application.
        secret_key: One secret or several, newest first, or a `limpet.Keyring`. One that is too weak is taken, with a
            warning in the log.
        session_cookie: The name of the cookie.
        max_age: Seconds. None: until the browser is closed.
        path: Below which path the browser sends the cookie.
        same_site: ``"lax"``, ``"strict"`` or ``"none"``.
        https_only: Whether the cookie is Secure.
        domain: None: this host alone.
        partitioned: One cookie for each top-level site.
        store: Where sessions are kept, as a URL or a store. None: encrypted in the cookie, at most 4 KiB.
        old_until: Until then, sessions that Starlette's own middleware has signed with the same secrets are taken over.
        exclude: As for `limpet.asgi.SessionMiddleware`, and so are all the others.

    Raises:
        ConfigurationError: A setting cannot work; the message names the cure.
    """

    def __init__(
        self,
        app: ASGIApp,
        secret_key: Any,
        session_cookie: str = "session",
        max_age: int | None = 14 * _DAY,
        path: str = "/",
        same_site: Literal["lax", "strict", "none"] = "lax",
        https_only: bool = False,
        domain: str | None = None,
        partitioned: bool = False,
        *,
        store: Store | ClientStore | str | None = None,
        old_until: date | None = None,
        exclude: Iterable[str | re.Pattern[str]] = (),
        lazy: bool = False,
        passive: Iterable[str | re.Pattern[str]] = (),
        sweep_interval: float | None = 60.0,
        close_sockets: float | None = None,
    ) -> None:
        if not isinstance(session_cookie, str):
            raise ConfigurationError(f"session_cookie={session_cookie!r} is no name: write session_cookie='session'")
        interval("max_age", max_age, most=CENTURY, none="for a cookie that lives until the browser is closed")
        if not https_only:
            log.warning("sessions travel over plain http too: in production, give SessionMiddleware https_only=True")
        secrets = _texts(secret_key)
        cookie = CookiePolicy(
            name=session_cookie,
            path=path,
            domain=domain,
            secure=https_only,
            same_site=same_site,
            partitioned=partitioned,
            persistent=max_age is not None,
        )
        old = [] if old_until is None else _old(secrets, old_until, session_cookie, max_age, path, domain)
        manager = SessionManager(
            "cookie:" if store is None else store,
            secret=_keyring(secrets),
            policy=_policy(max_age),
            cookie=cookie,
            transport=_Transport(session_cookie, cookie),
            importers=old,
            dev=False,
        )
        super().__init__(
            app,
            manager,
            exclude=exclude,
            lazy=lazy,
            passive=passive,
            sweep_interval=sweep_interval,
            close_sockets=close_sockets,
        )


class _Transport(CookieTransport):
    """Writes the cookie's attributes in Starlette's spelling, which tests of applications compare."""

    def write(self, token: str, max_age: int | None) -> Header:
        name, line = super().write(token, max_age)
        return name, _spelt(line)

    def clear(self) -> Header:
        name, line = super().clear()
        return name, _spelt(line)


def _spelt(line: bytes) -> bytes:
    value, *attributes = line.split(b"; ")
    spelt = []
    for attribute in attributes:
        name, equals, text = attribute.partition(b"=")
        lower = name.lower()
        if lower == b"samesite":
            text = text.lower()
        spelt.append((b"Max-Age" if lower == b"max-age" else lower) + equals + text)
    return b"; ".join((value, *spelt))


def _policy(max_age: int | None) -> SessionPolicy:
    return SessionPolicy(
        idle_timeout=max_age,
        anonymous_timeout=max_age,
        absolute_timeout=None,
        remember=max_age,
        touch_interval=None if max_age is None else min(max_age / 10, _DAY),  # each touch sends the cookie again
    )


def _texts(secret_key: Any) -> Keyring | tuple[str, ...]:
    """Return the secrets as text; as Starlette does it, a str is made of whatever is given."""
    if isinstance(secret_key, Keyring):
        return secret_key
    several = secret_key if isinstance(secret_key, (list, tuple)) else (secret_key,)
    if not several or any(secret is None or secret == b"" for secret in several):
        raise ConfigurationError("secret_key is not set: make one with `limpet keygen`, and give it as secret_key=...")
    return tuple(str(shown(secret)) for secret in several)


def _keyring(secrets: Keyring | Iterable[str]) -> Keyring:
    if isinstance(secrets, Keyring):
        return secrets
    try:
        return Keyring(secrets)
    except WeakSecret as problem:
        log.warning("secret_key: %s", problem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it was logged
        return Keyring(secrets, allow_weak=True)


def _old(
    secrets: Keyring | tuple[str, ...], until: date, cookie: str, max_age: int | None, path: str, domain: str | None
) -> list[StarletteCookies]:
    if isinstance(secrets, Keyring):
        raise ConfigurationError("old_until needs the old secret as text: give secret_key=[secret, ...], no Keyring")
    return [
        StarletteCookies(secret, until=until, cookie=cookie, max_age=max_age, path=path, domain=domain)
        for secret in secrets
    ]
