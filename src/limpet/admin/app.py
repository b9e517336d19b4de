"""`Admin`: the ASGI application. It finds out who asks and for what, and has `limpet.admin.views` answer."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from limpet._inline import Inline
from limpet.admin import guard
from limpet.admin.views import STRANGER, Views, Visit, Who
from limpet.asgi import Receive, Scope, Send
from limpet.errors import ConfigurationError, StoreUnavailable
from limpet.manager import SessionManager
from limpet.runtime import AsyncioRuntime

__all__ = ["Admin", "Allow"]

log: logging.Logger = logging.getLogger("limpet")

Allow: TypeAlias = Callable[[Request], bool | Awaitable[bool]]
"""Tells whether the sender of this request may see the sessions of all users, and end them."""

_PATHS: Final = (
    ("overview", re.compile(r"")),
    ("live", re.compile(r"/live")),
    ("session", re.compile(r"/id/([0-9a-f]{64})")),
    ("end", re.compile(r"/id/([0-9a-f]{64})/end")),
    ("end_all", re.compile(r"/end-all")),
)
_TAKES_FORMS: Final = frozenset({"end", "end_all"})


class Admin:
    """A page about the sessions of one manager, to be mounted into an application.

    ::

        app.mount("/sessions", Admin(manager, allow=lambda request: request.session.get("role") == "operator"))

    It lists and ends sessions by their public id, which is useless as a cookie. What it counts and measures by itself
    is what this process has seen.

    Args:
        manager: The application's session manager.
        allow: Is given each request (`starlette.requests.Request`) and returns whether it is an operator's: True or
            False, nothing that merely counts as true; or a coroutine that does. Raise what your framework takes for a
            redirect, to send people to a login.
        show_values: Show operators what the application keeps in a session. People's data: leave it off unless
            somebody needs it.
        who: Is given a request and returns the operator's name, for audit lines. None: the subject of the session, if
            it is one of this manager's, else the address.
        path: Where it is mounted, such as ``/sessions``, under a framework that does not say so in ``root_path``
            (Litestar). None: as the framework says.

    Raises:
        ConfigurationError: ``allow`` cannot be called, the manager is none, or the path does not begin with a slash.
    """

    def __init__(
        self,
        manager: SessionManager,
        *,
        allow: Allow,
        show_values: bool = False,
        who: Who | None = None,
        path: str | None = None,
    ) -> None:
        if not isinstance(manager, SessionManager):
            raise ConfigurationError(
                f"manager={manager!r} is no SessionManager: make one and give it to SessionMiddleware as well"
            )
        if not callable(allow):
            raise ConfigurationError(
                f"allow={allow!r} cannot be called: give a function that takes a request and returns whether it is an "
                "operator's, since this page shows and ends everybody's sessions"
            )
        if path is not None and not path.startswith("/"):
            raise ConfigurationError(f"path={path!r} is no path: write where it is mounted, such as path='/sessions'")
        self.manager = manager
        self._path = path
        self._allow = allow
        self._views = Views(manager, show_values=show_values is True, who=who)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; a WebSocket is refused."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        elif scope["type"] == "http":
            if isinstance(self.manager.runtime, Inline):
                self.manager.runtime = AsyncioRuntime()
            answer = await self._answer(Request(scope, receive))
            await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        root = request.scope.get("root_path", "")
        base = _link(root if self._path is None else self._path)
        visit = Visit(request, base, guard.Seal(request, secure=self.manager.cookie.secure))
        if not await self._is_allowed(request):
            return self._views.refused(visit, STRANGER, status=403)
        path = request.scope["path"].removeprefix(root).rstrip("/")
        found = next(((name, match) for name, pattern in _PATHS if (match := pattern.fullmatch(path))), None)
        if found is None:
            return self._views.refused(visit, "There is no such page", status=404)
        name, match = found
        if request.method == "POST" and name in _TAKES_FORMS:
            if guard.is_foreign(request):
                log.warning("admin: a form for %r was refused: it was sent by another site", path)
                return self._views.refused(visit, "This form came from another site", status=403)
            visit.form = await request.form(max_files=0, max_fields=16)
        elif request.method not in ("GET", "HEAD"):
            answer = self._views.refused(visit, f"{request.method} is not done here", status=405)
            answer.headers["allow"] = "GET, HEAD, POST" if name in _TAKES_FORMS else "GET, HEAD"
            return answer
        try:
            return await self._views.answer(name, visit, *match.groups())
        except StoreUnavailable as error:
            return self._views.unavailable(visit, error)

    async def _is_allowed(self, request: Request) -> bool:
        """Ask the application; anything but True and False is a mistake in it, and permits nothing."""
        answer: Any = self._allow(request)
        if inspect.isawaitable(answer):
            answer = await answer
        if not isinstance(answer, bool):
            raise ConfigurationError(
                f"allow returned {type(answer).__name__}: it has to return True or False, such as "
                "bool(request.session.get('is_operator'))"
            )
        return answer


def _link(root: str) -> str:
    """Return the path under which this is mounted as links need it: quoted, without a slash at the end."""
    root = root.strip("/")
    return f"/{quote(root)}" if root else ""


async def _live(receive: Receive, send: Send) -> None:
    """Have nothing to do at start and end, as when this is served by itself."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
