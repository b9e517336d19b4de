"""What is asked of an ASGI scope. Pure, as what stands for a session there need not be one of the compiled class."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from limpet._core.session import Session, backend_of, state_of
from limpet._core.state import FAILED
from limpet._serving import no_session
from limpet.manager import SessionManager

if TYPE_CHECKING:
    from limpet._exchange import Scope

__all__ = ["PROBE", "is_session", "loaded", "route_path", "session_in"]

S = TypeVar("S", bound=Session)

PROBE = "limpet.managers"
"""The scope type by which `limpet.testing.client` asks an application for its managers."""


def is_session(value: object) -> bool:
    """Tell whether a value is a session, or what an adapter shows in its place (`abc.ABCMeta.register`)."""
    return isinstance(value, Session)


def session_in(scope: Scope, manager: SessionManager | None = None, scope_key: str = "session") -> Session:
    """Return the session that a `SessionMiddleware` put into a scope.

    Args:
        scope: The ASGI scope of the request.
        manager: Whose session, where an application has several managers.
        scope_key: The middleware's ``scope_key``, when no manager is given.

    Raises:
        ConfigurationError: There is none: the middleware is missing, or this path is excluded.
    """
    if manager is None:
        session = scope.get(scope_key)
        if isinstance(session, Session):
            return session
    for session in scope.get("limpet", ()):
        if manager is not None and backend_of(session) is manager.engine:
            found: Session = session
            return found
    raise no_session(
        "add SessionMiddleware to the application, and take this path out of exclude=...", scope.get("limpet", ())
    )


async def loaded(session: S) -> S:
    """Return a session that has been read, now or before.

    What could not be read before is not asked for again: a store that hangs costs a request one time limit, and not
    one for the middleware and one for each part of the application that wants the session.

    Raises:
        StoreUnavailable: The store does not answer, or did not when the middleware asked it.
    """
    state = state_of(session)
    if state.loaded == FAILED and state.error is not None:
        raise state.error
    return await session.load()


def route_path(scope: Scope) -> str:
    """Return the path of a request as the application routes it: without the ``root_path`` under which it is mounted.

    Source: the ASGI specification, "HTTP Connection Scope": ``path`` begins with ``root_path``, if the server or a
    mount added one.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path") or ""
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :] or "/"
    return path
