"""`SessionConfig`: the settings under the names that FastMVC gives them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import cast

from limpet.errors import ConfigurationError, WeakSecret
from limpet.keyring import Keyring, Secrets
from limpet.policy import CookiePolicy, SameSite, SessionPolicy

__all__ = ["SessionConfig"]

log = logging.getLogger("limpet")


@dataclass(frozen=True, kw_only=True)
class SessionConfig:
    """What sessions and their cookie are like.

    Attributes:
        secret_key: Signs the ids, so that a guessed one never reaches the store. One secret, several with the newest
            first, or a `limpet.Keyring`. Required.
        cookie_name: The cookie's name.
        max_age: Seconds that a session lives from its first write or its login, however busy. The browser is told, and
            the server sees to it.
        cookie_secure: Over https only. For http://localhost in development set ``LIMPET_DEV=1``, or this to False.
        cookie_httponly: Scripts cannot read the cookie.
        cookie_samesite: ``"lax"``, ``"strict"`` or ``"none"``.
        cookie_path: Below which path the browser sends it.
        cookie_domain: None: to this host alone.
        exclude_paths: Paths without a session: ``"/health"`` is that path and all below it.

    Raises:
        ConfigurationError: The secret is missing, or a value cannot work; the message names the cure.
    """

    secret_key: Secrets | Keyring | None = field(default=None, repr=False)
    cookie_name: str = "session_id"
    max_age: int = 3600
    cookie_secure: bool = True
    cookie_httponly: bool = True
    cookie_samesite: str = "lax"
    cookie_path: str = "/"
    cookie_domain: str | None = None
    exclude_paths: Set[str] = frozenset()

    def __post_init__(self) -> None:
        if self.secret_key is None or self.secret_key in ("", b""):
            raise ConfigurationError(
                "sessions need a secret_key, and it is not set: make one with `limpet keygen` and give it to "
                "SessionMiddleware or to SessionConfig, secret_key=..."
            )
        self.cookie()
        self.policy()

    def cookie(self) -> CookiePolicy:
        """Return what the cookie is like."""
        return CookiePolicy(
            name=self.cookie_name,
            secure=self.cookie_secure,
            http_only=self.cookie_httponly,
            same_site=cast("SameSite", self.cookie_samesite),
            path=self.cookie_path,
            domain=self.cookie_domain,
        )

    def policy(self) -> SessionPolicy:
        """Return how long sessions live: ``max_age`` is absolute, activity does not prolong it."""
        return SessionPolicy(
            absolute_timeout=self.max_age, idle_timeout=None, anonymous_timeout=None, remember=None, touch_interval=None
        )

    def keyring(self) -> Keyring:
        """Return the keys; a weak secret is taken, with one warning in the log."""
        secret = self.secret_key
        if isinstance(secret, Keyring):
            return secret
        assert secret is not None
        if isinstance(secret, Iterable) and not isinstance(secret, (str, bytes)):
            secret = tuple(secret)
        try:
            return Keyring(secret)
        except WeakSecret as problem:
            log.warning("secret_key: %s", problem)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it was logged
            return Keyring(secret, allow_weak=True)
