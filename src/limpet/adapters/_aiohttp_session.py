"""Packages that call ``aiohttp_session.get_session`` get the session of `limpet.adapters.aiohttp`, unchanged."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from aiohttp import web

from limpet.manager import SessionManager

__all__ = ["lend"]

_Find: TypeAlias = Callable[[web.Request, SessionManager], Awaitable[Any]]

_PLACE: Final = "aiohttp_session_storage"
"""Where aiohttp-session looks for its storage."""

_said = False


class Lent:
    """Stands where aiohttp-session's storage would be, for one request.

    Args:
        request: The request.
        find: Returns its session, given the manager.
        manager: Whose session.
    """

    def __init__(self, request: web.Request, find: _Find, manager: SessionManager) -> None:
        self._request = request
        self._find = find
        self._manager = manager

    async def load_session(self, request: web.Request) -> Any:
        """Return the session of the request."""
        return await self._find(request, self._manager)

    async def new_session(self) -> Any:
        """Return the session after ending what was there."""
        session = await self._find(self._request, self._manager)
        session.clear()
        return session


def lend(request: web.Request, find: _Find, manager: SessionManager, kind: type[Any]) -> None:
    """Let aiohttp-session find the session of a request, if it is there and has no storage of its own there.

    Args:
        request: The request.
        find: Returns its session, given the manager.
        manager: Whose session.
        kind: The class of that session, which is one of aiohttp-session's to ``isinstance`` from now on.
    """
    theirs: Any = sys.modules.get("aiohttp_session")
    if theirs is None or isinstance(request.get(_PLACE), theirs.AbstractStorage):
        return
    theirs.Session.register(kind)
    with _without_a_warning():
        request[_PLACE] = Lent(request, find, manager)


@contextmanager
def _without_a_warning() -> Iterator[None]:
    """Keep from the application what aiohttp says, once in a process, of a key that aiohttp-session has chosen."""
    global _said
    if _said:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    _said = True
