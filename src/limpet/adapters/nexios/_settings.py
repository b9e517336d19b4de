"""One set of settings from all the ways in which Nexios' documents spell them.

A name counts in lower case and without a leading ``session_``, so that ``cookie_path``, ``session_cookie_path`` and
``SESSION_COOKIE_PATH`` are one. Times are seconds or a timedelta; the one exception is in `values`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

from limpet.errors import ConfigurationError
from limpet.policy import CookiePolicy, Duration, SessionPolicy

__all__ = ["NAMES", "Settings", "canonical", "known", "read", "values"]

DAY: Final = 86_400
_FLAGS: Final = MappingProxyType(
    {**dict.fromkeys(("true", "1", "yes", "on"), True), **dict.fromkeys(("false", "0", "no", "off"), False)}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a Nexios application says about its sessions, with the defaults that Nexios documents.

    Attributes:
        cookie_name: The cookie's name.
        cookie_path: Below which path the browser sends it.
        cookie_domain: None: to this host alone.
        cookie_secure: Over https only.
        cookie_httponly: Scripts cannot read it.
        cookie_samesite: ``"lax"``, ``"strict"`` or ``"none"``, in any case.
        cookie_partitioned: One cookie for each top-level site.
        expiry: A session ends so long after its last use.
        absolute_timeout: A session ends so long after it began, however busy. None: never for that reason.
        permanent: The cookie survives the closing of the browser.
        refresh_each_request: True: every request renews session and cookie. False: ``expiry`` counts from the
            beginning. None: use renews the session, and the cookie at most once a minute.
        manager: Where sessions are kept: a backend class, a store, its URL, or a `limpet.SessionManager`.
        file_storage_path: The folder of the file backend.
        file_name: What the names of its files begin with.
        cleanup_interval: Seconds between two clean-ups of expired sessions.
    """

    cookie_name: str = "session_id"
    cookie_path: str = "/"
    cookie_domain: str | None = None
    cookie_secure: bool = False
    cookie_httponly: bool = True
    cookie_samesite: str = "lax"
    cookie_partitioned: bool = False
    expiry: Duration = DAY
    absolute_timeout: Duration | None = None
    permanent: bool = True
    refresh_each_request: bool | None = None
    manager: Any = None
    file_storage_path: str | os.PathLike[str] = "sessions"
    file_name: str = ""
    cleanup_interval: Duration = 60

    def cookie(self) -> CookiePolicy:
        """Return what the cookie is like.

        Raises:
            ConfigurationError: Browsers would drop it.
        """
        same_site: Any = self.cookie_samesite
        return CookiePolicy(
            name=self.cookie_name,
            path=self.cookie_path,
            domain=self.cookie_domain or None,
            secure=self.cookie_secure,
            http_only=self.cookie_httponly,
            same_site=same_site,
            partitioned=self.cookie_partitioned,
            persistent=self.permanent,
        )

    def policy(self) -> SessionPolicy:
        """Return how long sessions live.

        Raises:
            ConfigurationError: A time is none.
        """
        if self.refresh_each_request is False:
            return SessionPolicy(
                idle_timeout=None,
                absolute_timeout=self.expiry if self.absolute_timeout is None else min(_both(self), key=_seconds),
                anonymous_timeout=None,
                remember=None,
                rolling=False,
            )
        return SessionPolicy(
            idle_timeout=self.expiry,
            absolute_timeout=self.absolute_timeout,
            anonymous_timeout=None,
            remember=None,
            touch_interval=0 if self.refresh_each_request else None,
        )

    def every(self) -> float:
        """Return the seconds between two clean-ups.

        Raises:
            ConfigurationError: It is no positive time.
        """
        every = self.cleanup_interval
        if not isinstance(every, (int, float, timedelta)) or _seconds(every) <= 0:
            raise ConfigurationError(f"cleanup_interval={every!r} is no positive number of seconds and no timedelta")
        return _seconds(every)

    def file_url(self) -> str:
        """Return the URL of the file store."""
        folder = quote(os.fspath(self.file_storage_path))
        return f"file:{folder}" + (f"?{urlencode({'prefix': self.file_name})}" if self.file_name else "")


NAMES: Final = tuple(field.name for field in fields(Settings))
_ALIASES: Final = MappingProxyType(
    {
        **dict.fromkeys(("expiration_time", "max_age", "timeout"), "expiry"),
        **dict.fromkeys(("dir", "directory"), "file_storage_path"),
        "prefix": "file_name",
    }
)


def canonical(name: str) -> str:
    """Return a setting's name in its plain form, known or not."""
    plain = name.lower().removeprefix("session_")
    return _ALIASES.get(plain, plain)


def known(name: str, *, alone: bool = False) -> bool:
    """Tell whether a name means a setting; ``alone``: outside a section for sessions, where ``manager`` is anything."""
    return canonical(name) in NAMES and (not alone or name.lower().startswith(("session_", "cookie_")))


def values(options: Mapping[str, Any], *, minutes: bool = False, notes: list[str] | None = None) -> dict[str, Any]:
    """Return the settings that were given, under their plain names; None is not given.

    Args:
        options: Names in any spelling.
        minutes: A number under ``session_expiration_time`` is minutes, as in the dict that ``get_application`` takes.
        notes: Gets a sentence for each setting that may surprise.

    Raises:
        ConfigurationError: A name is unknown, or two spellings of one setting disagree.
    """
    found: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for given, raw in options.items():
        if not known(given):
            beside = ": it stands beside the section" if given.lower() == "secret_key" else ""
            raise ConfigurationError(f"sessions have no option {given!r}{beside}; there are: {', '.join(NAMES)}")
        name, value = canonical(given), raw
        if value is None:
            continue
        if minutes and given.lower().endswith("expiration_time") and not isinstance(value, timedelta):
            value = _minutes(given, value)
            if notes is not None:
                notes.append(
                    f"{given}={raw!r} in a dict section is read as minutes, {value.total_seconds():g} seconds: "
                    "give a timedelta to leave no doubt"
                )
        value = _checked(name, given, value)
        if name in found and found[name] != value:
            raise ConfigurationError(
                f"{spelled[name]}={found[name]!r} and {given}={value!r} are two spellings of one option: keep one"
            )
        found[name], spelled[name] = value, given
    return found


def read(options: Mapping[str, Any]) -> Settings:
    """Return settings from names in any spelling.

    Raises:
        ConfigurationError: They cannot work.
    """
    settings = Settings(**values(options))
    settings.cookie()
    settings.policy()
    settings.every()
    return settings


def _minutes(given: str, value: Any) -> timedelta:
    try:
        return timedelta(minutes=value)
    except (TypeError, OverflowError) as error:
        raise ConfigurationError(f"{given}={value!r} is no number of minutes and no timedelta") from error


def _checked(name: str, given: str, value: Any) -> Any:
    if name in {"cookie_secure", "cookie_httponly", "cookie_partitioned", "permanent", "refresh_each_request"}:
        flag = _FLAGS.get(str(value).strip().lower())
        if flag is None:
            raise ConfigurationError(f"{given}={value!r} is neither yes nor no: give True or False")
        return flag
    if name in {"expiry", "absolute_timeout", "cleanup_interval"} and str(value).strip().isdigit():
        return int(value)  # a string out of the environment, too
    return value


def _both(settings: Settings) -> tuple[Duration, Duration]:
    assert settings.absolute_timeout is not None
    return settings.expiry, settings.absolute_timeout


def _seconds(value: Duration) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)
