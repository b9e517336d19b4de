"""Sessions in the memory of one process, for development and tests."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.blacksheep._managed import ManagedSessionStore
from limpet.adapters.blacksheep._settings import document_cookie, server_policy
from limpet.manager import SessionManager

__all__ = ["InMemorySessionStore"]

__getattr__ = fall_through(__name__, "blacksheep.sessions.memory")


class InMemorySessionStore(ManagedSessionStore):
    """Sessions that a restart forgets and other processes do not see; the cookie holds only the id.

    Args:
        cookie_name: The cookie's name.
    """

    def __init__(self, cookie_name: str = "session") -> None:
        super().__init__(SessionManager("memory:", cookie=document_cookie(cookie_name), policy=server_policy(None)))
