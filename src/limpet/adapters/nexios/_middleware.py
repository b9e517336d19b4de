"""`SessionMiddleware` as Nexios' documents add it, and the sessions that it stands for."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NoReturn, cast

from limpet import asgi
from limpet._core.keyring import Keyring
from limpet._core.protocols import ClientStore, Store, supports
from limpet._core.session import Session as CoreSession
from limpet._core.session import backend_of, state_of
from limpet._core.state import FAILED, REISSUE
from limpet.adapters.nexios._backend_store import BackendStore
from limpet.adapters.nexios._backends import BaseSessionInterface, FileSessionInterface, SignedSessionManager
from limpet.adapters.nexios._config import Found, SessionConfig
from limpet.adapters.nexios._settings import Settings, values
from limpet.adapters.nexios._words import Session
from limpet.errors import ConfigurationError, WeakSecret
from limpet.manager import SessionManager, system_clock
from limpet.serializers.msgpack import MsgpackSerializer

__all__ = ["FileSessionMiddleware", "SessionLayer", "SessionMiddleware"]

log = logging.getLogger("limpet")


class SessionMiddleware:
    """Turns sessions on: ``app.add_middleware(SessionMiddleware())``, or the class itself.

    Without arguments everything is taken from ``app.config``, when the first request comes. What is given here wins.

    Args:
        config: The settings of the sessions.
        manager: Where sessions are kept: a `limpet.SessionManager`, which brings its settings, or a store, its URL or
            a backend class.
        secret_key: One secret, or several with the newest first.
        exclude: Paths without sessions, as for `limpet.asgi.SessionMiddleware`.
        lazy: Read nothing until ``await req.session.load()``.
        close_sockets: A WebSocket is closed within so many seconds after its session has ended; None: never. See
            `limpet.asgi.SessionMiddleware`.
    """

    in_files: ClassVar[bool] = False
    """Whether sessions are kept in files where nothing else is said."""

    def __init__(
        self,
        config: SessionConfig | None = None,
        manager: Any = None,
        secret_key: Any = None,
        *,
        exclude: Iterable[str | re.Pattern[str]] = (),
        lazy: bool = False,
        close_sockets: float | None = None,
    ) -> None:
        self.config = config
        self.manager = manager
        self.secret_key = secret_key
        self.exclude = exclude
        self.lazy = lazy
        self.close_sockets = close_sockets

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


class SessionLayer(asgi.SessionMiddleware):
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
        options = found.options if middleware.config is None else values(middleware.config.to_dict())
        settings = Settings(**options)
        if middleware.manager is not None:
            kept = middleware.manager
        elif settings.manager is not None:
            kept = settings.manager
        else:
            kept = FileSessionInterface if middleware.in_files or found.style == "class" else SignedSessionManager
        secret = found.secret_key if middleware.secret_key is None else middleware.secret_key
        super().__init__(
            app,
            kept if isinstance(kept, SessionManager) else _manager(kept, settings, secret),
            exclude=middleware.exclude,
            lazy=middleware.lazy,
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
            if state.read is not None:
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
    if isinstance(kept, type):
        if issubclass(kept, FileSessionInterface):
            store = settings.file_url()
        elif issubclass(kept, SignedSessionManager):
            store = "cookie:"
        elif issubclass(kept, BaseSessionInterface):
            store = BackendStore(kept, serializer, system_clock)
    if not (isinstance(store, str) or supports(store, Store) or supports(store, ClientStore)):
        raise ConfigurationError(
            f"manager={kept!r} is no session backend: give FileSessionInterface, SignedSessionManager, a subclass of "
            "BaseSessionInterface, a URL such as redis://localhost:6379/0, or a limpet.SessionManager"
        )
    optional = store is kept and not supports(store, ClientStore) and not str(store).startswith("cookie:")
    return SessionManager(
        store,
        secret=None if optional and secret is None else _keyring(secret),
        policy=settings.policy(),
        cookie=settings.cookie(),
        serializer=serializer,
    )


def _keyring(secret: Any) -> Keyring:
    """Return the keys; a weak secret, as the documents print them, is taken with a warning."""
    if secret is None or (isinstance(secret, (str, bytes)) and not secret.strip()):
        raise ConfigurationError(
            f"sessions need secret_key, and it is {'not set' if secret is None else 'empty'}: make one with "
            "`limpet keygen` and set app.config.secret_key, MakeConfig(secret_key=...) or SECRET_KEY"
        )
    if isinstance(secret, Keyring):
        return secret
    try:
        return Keyring(secret)
    except WeakSecret as problem:
        log.warning("secret_key: %s", problem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it was logged
        return Keyring(cast("Any", secret), allow_weak=True)
