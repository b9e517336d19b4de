"""`SessionConfig`, `BaseConfig`, and how the settings are found in whatever an application is configured with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict, Unpack

from nexios.config.base import MakeConfig

from limpet.adapters.nexios import _settings
from limpet.errors import ConfigurationError

__all__ = [
    "BaseConfig",
    "Config",
    "Found",
    "MiddlewareOptions",
    "Section",
    "SessionConfig",
    "declared_in",
    "find",
    "section",
]


class MiddlewareOptions(TypedDict, total=False):
    """The options of sessions as the documents spell them, but for the manager; other spellings are taken too."""

    session_cookie_name: str
    cookie_path: str
    cookie_domain: str | None
    cookie_secure: bool
    cookie_httponly: bool
    cookie_samesite: str
    session_cookie_path: str
    session_cookie_domain: str | None
    session_cookie_secure: bool
    session_cookie_httponly: bool
    session_cookie_samesite: str
    session_cookie_partitioned: bool
    expiry: float | timedelta
    session_expiration_time: float | timedelta
    session_absolute_timeout: float | timedelta
    session_permanent: bool
    session_refresh_each_request: bool
    max_age: float | timedelta
    session_file_storage_path: str | os.PathLike[str]
    session_file_name: str
    session_dir: str | os.PathLike[str]
    session_cleanup_interval: float | timedelta


class SessionOptions(MiddlewareOptions, total=False):
    """The options of `SessionConfig`."""

    manager: Any


class SessionConfig:
    """What an application says about its sessions, by keywords: ``MakeConfig(session=SessionConfig(...))``.

    Times are seconds or a timedelta. Every option can be read back as an attribute, under any of its spellings.

    Args:
        options: As in `limpet.adapters.nexios._settings.Settings`, with or without ``session_`` in front.

    Raises:
        ConfigurationError: An option is unknown, or the cookie is one that browsers drop.
    """

    __slots__ = ("_given", "_settings")

    def __init__(self, *misplaced: object, **options: Unpack[SessionOptions]) -> None:
        if misplaced:
            raise ConfigurationError(
                "SessionConfig takes its options by name: SessionConfig(session_cookie_name=..., cookie_secure=True)"
            )
        object.__setattr__(self, "_given", dict(options))
        object.__setattr__(self, "_settings", _settings.read({**options}))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not _settings.known(name):
            raise AttributeError(f"SessionConfig has no option {name!r}")
        return getattr(self._settings, _settings.canonical(name))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a SessionConfig is settled when it is made: write SessionConfig({name}=...)")

    def __repr__(self) -> str:
        return f"SessionConfig({', '.join(f'{name}={value!r}' for name, value in self._given.items())})"

    def to_dict(self) -> dict[str, Any]:
        """Return what was given."""
        return dict(self._given)


class BaseConfig:
    """To be subclassed: settings as class attributes, in upper case (``SECRET_KEY``, ``SESSION_COOKIE_NAME``).

    Attributes can be read in lower case too; an absent one is None, as in ``MakeConfig``.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _attributes(self).get(name.lower())


Section: TypeAlias = "SessionConfig | MakeConfig | Mapping[str, Any]"
"""What says how sessions are: options alone, or a configuration with a section for them."""

Config: TypeAlias = "MakeConfig | BaseConfig | type[BaseConfig] | Mapping[str, Any] | None"
"""What an application can be configured with."""


class Found(NamedTuple):
    """What a configuration says.

    Attributes:
        secret_key: As given.
        options: The settings that were given, under their plain names.
        style: How the options were written.
    """

    secret_key: Any
    options: dict[str, Any]
    style: Literal["keywords", "dict", "class"]


def find(config: Config, *, minutes: bool = False, notes: list[str] | None = None) -> Found:
    """Return what a configuration says about sessions.

    Args:
        config: In any of the documented styles.
        minutes: As for `_settings.values`, where the section is a dict.
        notes: As for `_settings.values`.

    Raises:
        ConfigurationError: An option is unknown, or two of them contradict each other.
    """
    names = _names(config)
    within = names.get("session")
    style: Literal["keywords", "dict", "class"] = "class" if _is_class_style(config) else "dict"
    if isinstance(within, SessionConfig):
        style, inner = "keywords", within.to_dict()
    elif isinstance(within, Mapping) or within is None:
        inner = dict(within or {})
    else:
        raise ConfigurationError(f"session={within!r} is no section: give SessionConfig(...) or a dict")
    minutes = minutes and style == "dict"
    options = _settings.values(inner, minutes=minutes, notes=notes)
    around = {name: value for name, value in names.items() if _settings.known(name, alone=True)}
    for name, value in _settings.values(around, minutes=minutes, notes=notes).items():
        if options.setdefault(name, value) != value:
            raise ConfigurationError(f"{name} is given twice, as {options[name]!r} and as {value!r}: keep one")
    return Found(names.get("secret_key"), options, style)


def section(given: object, taker: str) -> dict[str, Any]:
    """Return the session options in what was given as settings of sessions.

    Args:
        given: A `SessionConfig`, or Nexios' own, or a dict, or a whole ``MakeConfig`` with a section for sessions.
        taker: What it was given to, for the message.

    Raises:
        ConfigurationError: It is none of these, or an option is unknown.
    """
    if isinstance(given, SessionConfig):
        return _settings.values(given.to_dict())
    if isinstance(given, (MakeConfig, Mapping)):
        names = _names(given)
        return find(given).options if "session" in names or "secret_key" in names else _settings.values(names)
    hint = ", and a key by its name, secret_key=..." if isinstance(given, (str, bytes)) else ""
    raise ConfigurationError(f"{taker} takes its settings as a SessionConfig, not as {type(given).__name__}{hint}")


def declared_in(*namespaces: Mapping[str, Any]) -> list[type[BaseConfig]]:
    """Return the subclasses of `BaseConfig` that a module declares, and a function of it, not those that it imports."""
    module = namespaces[0].get("__name__", "builtins")  # as Python names the module of a class
    found = {
        value: None
        for namespace in namespaces
        for value in namespace.values()
        if isinstance(value, type) and issubclass(value, BaseConfig) and value.__module__ == module
    }
    return [value for value in found if not any(other is not value and issubclass(other, value) for other in found)]


def _is_class_style(config: Config) -> bool:
    return isinstance(config, BaseConfig) or (isinstance(config, type) and issubclass(config, BaseConfig))


def _names(config: Config) -> dict[str, Any]:
    """Return all that is configured, under lower-case names."""
    if config is None:
        return {}
    if isinstance(config, MakeConfig):
        config = config.to_dict()
    if isinstance(config, Mapping):
        return {name.lower(): value for name, value in config.items()}
    if _is_class_style(config):
        return _attributes(config)
    raise ConfigurationError(f"config={config!r} is none: give MakeConfig(...) or an object of a BaseConfig subclass")


def _attributes(config: Any) -> dict[str, Any]:
    """Return the attributes of a class and of its object, the nearer one where both have it."""
    kind = config if isinstance(config, type) else type(config)
    layers: list[Mapping[str, Any]] = [vars(base) for base in reversed(kind.__mro__) if issubclass(base, BaseConfig)]
    if not isinstance(config, type):
        layers.append(vars(config))
    return {name.lower(): value for layer in layers for name, value in layer.items() if not name.startswith("_")}
