"""Session layers around a bare ASGI application: Starlette, starsessions, limpet, and hand-written floors."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from secrets import token_urlsafe
from typing import Any

import msgspec
import starsessions
from starlette.middleware.sessions import SessionMiddleware as StarletteSessions
from starlette.requests import HTTPConnection

from benchmarks.drive import LARGE, SECRET, SMALL, Call, Subject, asgi_call, folder
from limpet import SessionManager
from limpet.asgi import SessionMiddleware

__all__ = [
    "SUBJECTS",
    "application",
    "limpet_app",
    "starlette_app",
    "starsessions_app",
    "starsessions_around",
    "without",
]

_START = {"type": "http.response.start", "status": 200}
_BODY = {"type": "http.response.body", "body": b"ok"}


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Do with ``scope["session"]`` what the path says."""
    path = scope["path"]
    if path == "/read":
        scope["session"].get("user")
    elif path == "/write":
        session = scope["session"]
        session["n"] = session.get("n", 0) + 1
    elif path == "/seed":
        scope["session"].update(SMALL)
    elif path == "/seed2k":
        scope["session"].update(LARGE)
    await send({**_START, "headers": [(b"content-type", b"text/plain"), (b"content-length", b"2")]})
    await send(_BODY)


async def without(scope: Any, receive: Any, send: Any) -> None:
    """The application without any session layer: a dict takes the session's place."""
    scope["session"] = dict(SMALL)
    await application(scope, receive, send)


def starlette_app() -> Any:
    """Return the application with Starlette's cookie sessions."""
    return StarletteSessions(application, SECRET, https_only=True)


def starsessions_app(store: Any) -> Any:
    """Return the application with starsessions."""
    return starsessions_around(application, store)


def starsessions_around(app: Any, store: Any) -> Any:
    """Return an application in starsessions; like its documentation, it loads where a handler uses the session."""

    async def loading(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/untouched":
            await starsessions.load_session(HTTPConnection(scope))
        await app(scope, receive, send)

    return starsessions.SessionMiddleware(loading, store=store, lifetime=86_400)


def limpet_app(store: Any, **settings: Any) -> Any:
    """Return the application with limpet."""
    return SessionMiddleware(application, SessionManager(store, **settings))


def _cookie_floor() -> Any:
    """The least that a signed cookie session can do: find the cookie, check it, decode, encode, sign."""
    decode, encode, key, name = msgspec.msgpack.decode, msgspec.msgpack.encode, SECRET.encode(), b"session="

    class Lazy(dict[str, Any]):
        token: bytes | None = None
        base: bytes | None = None

        def open(self) -> None:
            if self.token is not None:
                body = urlsafe_b64decode(self.token)
                if hmac.compare_digest(hmac.digest(key, body[32:], "sha256"), body[:32]):
                    self.base = body[32:]
                    self.update(decode(self.base))
                self.token = None

        def get(self, key: str, default: Any = None) -> Any:
            self.open()
            return dict.get(self, key, default)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = Lazy()
        for field, header in scope["headers"]:
            if field == b"cookie" and (at := header.find(name)) >= 0:
                end = header.find(b";", at)
                session.token = header[at + len(name) : end if end >= 0 else None]
        scope["session"] = session

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start" and session:
                body = encode(session)
                if body != session.base:
                    token = urlsafe_b64encode(hmac.digest(key, body, "sha256") + body)
                    message["headers"].append((b"set-cookie", b"session=%b; Path=/; Secure; HttpOnly" % token))
            await send(message)

        await application(scope, receive, sending)

    return app


def _memory_floor() -> Any:
    """The least that a session in memory can do: one copy out, one back if it changed."""
    decode, encode, name = msgspec.msgpack.decode, msgspec.msgpack.encode, b"session="
    kept: dict[bytes, bytes] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        key = base = None
        for field, header in scope["headers"]:
            if field == b"cookie" and (at := header.find(name)) >= 0:
                end = header.find(b";", at)
                key = header[at + len(name) : end if end >= 0 else None]
                base = kept.get(key)
        session = decode(base) if base is not None else {}
        scope["session"] = session

        async def sending(message: Any) -> None:
            nonlocal key
            if message["type"] == "http.response.start" and session:
                body = encode(session)
                if body != base:
                    if key is None:
                        key = token_urlsafe(32).encode()
                        message["headers"].append((b"set-cookie", b"session=%b; Path=/; Secure; HttpOnly" % key))
                    kept[key] = body
            await send(message)

        await application(scope, receive, sending)

    return app


def _sqlite() -> Call:
    return asgi_call(limpet_app(f"sqlite:///{folder() / 'sessions.db'}"))


def _starlette() -> Call:
    return asgi_call(starlette_app())


SUBJECTS = (
    Subject(name="asgi", make=lambda: asgi_call(without), group="none"),
    Subject(name="Starlette", make=_starlette),
    Subject(name="Starlette again (A/A control)", make=_starlette),
    Subject(name="starsessions, cookie", make=lambda: asgi_call(starsessions_app(starsessions.CookieStore(SECRET)))),
    Subject(name="floor, signed cookie", make=lambda: asgi_call(_cookie_floor())),
    Subject(name="limpet, signed cookie", make=lambda: asgi_call(limpet_app("cookie:signed", secret=SECRET))),
    Subject(name="limpet, encrypted cookie", make=lambda: asgi_call(limpet_app("cookie:", secret=SECRET))),
    Subject(
        name="starsessions, memory",
        make=lambda: asgi_call(starsessions_app(starsessions.InMemoryStore())),
        group="memory",
    ),
    Subject(name="floor, memory", make=lambda: asgi_call(_memory_floor()), group="memory"),
    Subject(name="limpet, memory", make=lambda: asgi_call(limpet_app("memory:")), group="memory"),
    Subject(
        name="limpet, memory, signed ids",
        make=lambda: asgi_call(limpet_app("memory:", secret=SECRET)),
        group="memory",
    ),
    Subject(name="limpet, SQLite", make=_sqlite, group="database"),
)
