"""`SessionMiddleware` as Nexios' documents add it, and the sessions that it stands for."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NoReturn, Unpack

from nexios.config.base import MakeConfig

from limpet import asgi
from limpet._core.session import Session as CoreSession
from limpet._core.session import backend_of, state_of
from limpet._core.state import FAILED, REISSUE
from limpet.adapters._answers import AnsweredInside
from limpet.adapters.nexios._backend_store import BackendStore
from limpet.adapters.nexios._backends import BaseSessionInterface
from limpet.adapters.nexios._config import Found, MiddlewareOptions, Section, SessionConfig, section
from limpet.adapters.nexios._interfaces import FileSessionInterface, SignedSessionManager
from limpet.adapters.nexios._keys import read_keys
from limpet.adapters.nexios._settings import Settings, read, values
from limpet.adapters.nexios._words import Session
from limpet.contract import ClientStore, Store, supports
from limpet.errors import ConfigurationError
from limpet.manager import SessionManager, system_clock
from limpet.serializers.msgpack import MsgpackSerializer

__all__ = ["FileSessionMiddleware", "SessionLayer", "SessionMiddleware"]

log = logging.getLogger("limpet")


class SessionMiddleware:
    """Turns sessions on: ``app.add_middleware(SessionMiddleware())``, or the class itself.

    Without arguments everything is taken from ``app.config``, when the first request comes. What is given here wins.

    Args:
        config: The settings of the sessions.
        manager: Where sessions are kept: a `limpet.SessionManager`, which brings its settings, or a store, its URL, or
            a backend, its class or an object of it.
        secret_key: One secret, or several with the newest first.
        exclude: Paths without sessions, as for `limpet.asgi.SessionMiddleware`.
        lazy: Read nothing until ``await req.session.load()``.
        passive: Paths whose requests do not count as activity, written as ``exclude``.
        close_sockets: A WebSocket is closed within so many seconds after its session has ended; None: never. See
            `limpet.asgi.SessionMiddleware`.
        options: The options of `SessionConfig`, in any of their spellings, in its place or beside it.

    Attributes:
        session_config: The settings that are given here, as one object.

    Raises:
        ConfigurationError: An option is unknown, or two contradict each other.
    """

    in_files: ClassVar[bool] = False
    """Whether sessions are kept in files where nothing else is said."""

    def __init__(
        self,
        config: Section | None = None,
        manager: Any = None,
        secret_key: Any = None,
        *,
        exclude: Iterable[str | re.Pattern[str]] = (),
        lazy: bool = False,
        passive: Iterable[str | re.Pattern[str]] = (),
        close_sockets: float | None = None,
        **options: Unpack[MiddlewareOptions],
    ) -> None:
        given = {} if config is None else section(config, "SessionMiddleware")
        beside = values({**options})
        for name, value in beside.items():
            if given.setdefault(name, value) != value:
                raise ConfigurationError(f"{name} is given twice, as {given[name]!r} and as {value!r}: keep one")
        read(given)
        if secret_key is None and isinstance(config, (MakeConfig, Mapping)):
            secret_key = dict(config.to_dict() if isinstance(config, MakeConfig) else config).get("secret_key")
        self.config = config
        self.options = given
        self.manager = manager
        self.secret_key = secret_key
        self.exclude = exclude
        self.lazy = lazy
        self.passive = passive
        self.close_sockets = close_sockets

    @property
    def session_config(self) -> SessionConfig:
        """What is given here, as one object."""
        return SessionConfig(**self.options)

    @property
    def is_bare(self) -> bool:
        """Whether nothing is given, so that all such objects mean the same."""
        return not (self.options or self.exclude or self.lazy or self.passive) and all(
            each is None for each in (self.config, self.manager, self.secret_key, self.close_sockets)
        )

    async def __call__(self, request: Any, response: Any, call_next: Callable[..., Any]) -> NoReturn:
        """Refuse to run inside an application that is not the adapter's.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            "this SessionMiddleware works in a NexiosApp of limpet.adapters.nexios: import NexiosApp (or "
            "get_application) from there; around any other application put limpet.asgi.SessionMiddleware"
        )


class FileSessionMiddleware(SessionMiddleware):
    """`SessionMiddleware` with sessions in files, as the second generation of Nexios documents it."""

    in_files = True


class SessionLayer(AnsweredInside):
    """`limpet.asgi.SessionMiddleware` with the settings, the words and the habits that Nexios documents.

    Args:
        app: The application.
        found: What it is configured with.
        middleware: What was added to it.

    Raises:
        ConfigurationError: There is no usable secret key, or the settings cannot work.
    """

    make = Session

    def __init__(self, app: asgi.ASGIApp, found: Found, middleware: SessionMiddleware) -> None:
        options = {**({} if middleware.config is not None else found.options), **middleware.options}
        if middleware.manager is not None:
            kept = middleware.manager
        elif options.get("manager") is not None:
            kept = options["manager"]
        else:
            kept = FileSessionInterface if middleware.in_files or found.style == "class" else SignedSessionManager
        secret = found.secret_key if middleware.secret_key is None else middleware.secret_key
        if isinstance(kept, BaseSessionInterface):
            places = ("file_storage_path", "file_name") if isinstance(kept, FileSessionInterface) else ()
            options = {
                **kept.options,
                **options,
                **{name: kept.options[name] for name in places if name in kept.options},
            }
        if isinstance(kept, SignedSessionManager) and kept.keyring is not None:
            secret = kept.keyring
        settings = Settings(**options)
        super().__init__(
            app,
            kept if isinstance(kept, SessionManager) else _manager(kept, settings, secret),
            exclude=middleware.exclude,
            lazy=middleware.lazy,
            passive=middleware.passive,
            sweep_interval=settings.every(),
            close_sockets=middleware.close_sockets,
        )
        self._refresh = settings.refresh_each_request is True
        self._insecure = not self.manager.cookie.secure
        if self._insecure and "cookie_secure" not in options and not isinstance(kept, SessionManager):
            self._warn_insecure("session cookies are sent without Secure, which is the default that Nexios documents")

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Run the application with a session in its scope."""
        if self._insecure and scope.get("scheme") in {"https", "wss"}:
            send = self._watching(send)
        await super().__call__(scope, receive, send)

    async def refresh(self, scope: asgi.Scope) -> None:
        """Let a request that does not use the session renew it, and its cookie, as ``refresh_each_request`` asks."""
        session = scope.get("session")
        if not self._refresh or not isinstance(session, CoreSession) or backend_of(session) is not self.manager.engine:
            return
        state = state_of(session)
        if state.loaded != FAILED:
            await session.load()
            if state.stored is not None:
                session.mark_accessed()
                state.flags |= REISSUE

    def _watching(self, send: asgi.Send) -> asgi.Send:
        """Return a ``send`` that says so when a cookie that could be Secure is not."""
        mark = f"{self.manager.cookie_name}=".encode()

        async def watched(message: asgi.Message) -> None:
            headers = message.get("headers") or ()
            if self._insecure and any(name == b"set-cookie" and value.startswith(mark) for name, value in headers):
                self._warn_insecure("a session cookie was sent over https without Secure")
            await send(message)

        return watched

    def _warn_insecure(self, what: str) -> None:
        self._insecure = False
        log.warning("%s: set cookie_secure=True where the application is served over https", what)


def _manager(kept: Any, settings: Settings, secret: Any) -> SessionManager:
    serializer = MsgpackSerializer()
    store: Any = kept
    if _is(kept, FileSessionInterface):
        store = settings.file_url()
    elif _is(kept, SignedSessionManager):
        store = "cookie:"
    elif _is(kept, BaseSessionInterface):
        store = BackendStore(kept, serializer, system_clock)
    if not (isinstance(store, str) or supports(store, Store) or supports(store, ClientStore)):
        raise ConfigurationError(
            f"manager={kept!r} is no session backend: give FileSessionInterface, SignedSessionManager, a subclass of "
            "BaseSessionInterface, a URL such as redis://localhost:6379/0, or a limpet.SessionManager"
        )
    in_cookies = supports(store, ClientStore) or str(store).startswith("cookie:")
    optional = not in_cookies and not isinstance(kept, type)  # the classes are documented with a key
    return SessionManager(
        store,
        secret=None if optional and secret is None else read_keys(secret),
        policy=settings.policy(),
        cookie=settings.cookie(),
        serializer=serializer,
    )


def _is(kept: object, kind: type) -> bool:
    """Tell whether a backend is of a kind, given as a class or as an object."""
    return isinstance(kept, kind) or (isinstance(kept, type) and issubclass(kept, kind))
