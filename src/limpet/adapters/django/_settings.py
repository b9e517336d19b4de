"""Puts the manager together from Django's settings, once, and again in tests that change them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from limpet import environment
from limpet._assembly import check_settings, store_of
from limpet.adapters.django import _messages
from limpet.adapters.django._logins import KeyOf, key_of
from limpet.adapters.django._serializer import SettingsSerializer
from limpet.adapters.django._transport import KeyTransport
from limpet.bound.policy import BoundPolicy
from limpet.contract import ClientStore, Store, supports
from limpet.errors import ConfigurationError
from limpet.manager import SessionManager
from limpet.policy import CookiePolicy, SessionPolicy

__all__ = ["manager", "shared_logins", "slides"]

_OURS: Final = frozenset({"cookie", "transport", "label", "short_ids", "dev"})
_USED: Final = frozenset(
    {
        "LIMPET",
        "SESSION_COOKIE_AGE",
        "SESSION_COOKIE_DOMAIN",
        "SESSION_COOKIE_HTTPONLY",
        "SESSION_COOKIE_NAME",
        "SESSION_COOKIE_PATH",
        "SESSION_COOKIE_SAMESITE",
        "SESSION_COOKIE_SECURE",
        "SESSION_EXPIRE_AT_BROWSER_CLOSE",
        "SESSION_SERIALIZER",
    }
)


class _Made:
    """What was put together.

    Attributes:
        manager: The manager, or None before its first use.
        logins: Finds the users of logins elsewhere; None: they are not looked for.
        slides: Reading a session moves its end.
        store: The store, which stays while other settings change.
        source: The setting that the store was opened from.
    """

    __slots__ = ("lock", "logins", "manager", "slides", "source", "store")

    def __init__(self) -> None:
        self.forget_lock()
        self.manager: SessionManager | None = None
        self.logins: KeyOf | None = None
        self.slides = False
        self.store: Store | ClientStore | None = None
        self.source: Any = None

    def forget_lock(self) -> None:
        """Make the lock anew: in a forked process the thread that may have held it does not run."""
        self.lock = Lock()


_made: Final = _Made()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_made.forget_lock)


def manager() -> SessionManager:
    """Return the manager that ``LIMPET`` and the ``SESSION_*`` settings describe.

    Raises:
        ImproperlyConfigured: They cannot work; the message names the cure.
    """
    found = _made.manager
    if found is None:
        with _made.lock:
            found = _made.manager
            if found is None:
                try:
                    found = _put_together()
                    _made.manager, _made.slides = found, "policy" in _options()
                except ConfigurationError as error:
                    raise ImproperlyConfigured(f"LIMPET: {error}") from error
    return found


def slides() -> bool:
    """Tell whether reading a session moves its end: with a policy; Django's settings go by the last save."""
    return _made.slides


def shared_logins() -> KeyOf | None:
    """Return what finds the user of a login in another application; None: ``LIMPET`` does not ask for that."""
    return _made.logins


def _options() -> Mapping[str, Any]:
    given = getattr(settings, "LIMPET", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured('LIMPET is a dict, such as {"store": "sqlite:///sessions.db"}')
    return given


def _put_together() -> SessionManager:
    options = dict(_options())
    for name in _OURS & options.keys():
        raise ImproperlyConfigured(
            f"LIMPET has {name!r}: in Django the SESSION_COOKIE_* settings say what the cookie is like"
        )
    for name, value in options.items():
        if isinstance(value, str) and name not in {"store", "secret", "namespace"}:
            options[name] = import_string(value)
    source = options.pop("store", None)
    if _made.store is None or _made.source is not source:
        _made.store, _made.source = None if source is None else store_of(source), source
    _check_store(_made.store)
    _made.logins = key_of(options.pop("shared_logins", None))
    policy = options.pop("policy", None)
    if isinstance(policy, Mapping):
        policy = SessionPolicy(**policy)
    check_settings(policy=policy)
    if policy is not None and policy.rotate_on not in ((), SessionPolicy().rotate_on):
        raise ConfigurationError("rotate_on has no effect in Django, where login() changes the id: leave it out")
    if "serializer" not in options and settings.SESSION_SERIALIZER != SettingsSerializer.DEFAULT:
        options["serializer"] = SettingsSerializer(import_string(settings.SESSION_SERIALIZER)())
    options.setdefault("namespace", settings.SESSION_COOKIE_NAME)
    if options.get("bound"):
        options["bound"] = _bound_by_settings(options["bound"])
    made = SessionManager(
        _made.store,
        policy=_policy_of_settings() if policy is None else _adapted(policy),
        cookie=CookiePolicy(
            persistent=not settings.SESSION_EXPIRE_AT_BROWSER_CLOSE, no_store=options.pop("no_store", False)
        ),
        transport=KeyTransport(),
        short_ids=True,
        **options,
    )
    if made.guard is not None and policy is None:
        made.guard.notes_use = False  # by Django's settings, only a save is noted
    return made


def _check_store(store: Store | ClientStore | None) -> None:
    """Refuse sessions in the cookie; without a store in the settings the environment names it."""
    kept = store_of(environment.store_from_environment(environment.is_development(None))) if store is None else store
    if supports(kept, ClientStore):
        raise ConfigurationError(
            "in Django the cookie holds the session key, so that the store is one on the server, such as "
            "sqlite:///sessions.db; for sessions in the cookie Django has signed_cookies"
        )


def _bound_by_settings(given: Any) -> Any:
    """Return a policy whose cookie is like the session's, as Django's settings say."""
    from limpet.bound.guard import check_names, protected

    policy = BoundPolicy() if given is True else given
    if not isinstance(policy, BoundPolicy):
        return policy
    if policy.cookie is not None:
        check_names(settings.SESSION_COOKIE_NAME, policy.cookie.name)
        return policy
    cookie = CookiePolicy(
        path=settings.SESSION_COOKIE_PATH,
        domain=settings.SESSION_COOKIE_DOMAIN,
        secure=bool(settings.SESSION_COOKIE_SECURE),
        http_only=bool(settings.SESSION_COOKIE_HTTPONLY),
        same_site=settings.SESSION_COOKIE_SAMESITE or "none",
    )
    return replace(policy, cookie=replace(cookie, name=protected(f"{settings.SESSION_COOKIE_NAME}-bound", cookie)))


def _adapted(policy: SessionPolicy) -> SessionPolicy:
    """Return the application's policy: the key changes when Django says so, and its messages are merged."""
    return replace(policy, rotate_on=(), merge={_messages.KEY: _messages.merged, **policy.merge})


def _policy_of_settings() -> SessionPolicy:
    """Return what Django's settings say: a session ends SESSION_COOKIE_AGE after its last save."""
    return _adapted(
        SessionPolicy(
            idle_timeout=settings.SESSION_COOKIE_AGE, absolute_timeout=None, anonymous_timeout=None, remember=None
        )
    )


def _forget(*, setting: str, **_: Any) -> None:
    if setting in _USED:
        with _made.lock:
            _made.manager = None


setting_changed.connect(_forget, dispatch_uid="limpet.adapters.django")
