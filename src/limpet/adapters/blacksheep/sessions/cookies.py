"""Sessions that live in their cookies, encrypted, or signed with a signer of the application's own."""

from __future__ import annotations

from blacksheep.sessions.abc import SessionSerializer as BlackSheepSerializer

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.blacksheep._managed import ManagedSessionStore
from limpet.adapters.blacksheep._settings import cookie_manager, document_cookie
from limpet.adapters.blacksheep._signer import Signer
from limpet.adapters.blacksheep.sessions.abc import SessionSerializer
from limpet.keyring import Keyring

__all__ = ["CookieSessionStore"]

__getattr__ = fall_through(__name__, "blacksheep.sessions.cookies")


class CookieSessionStore(ManagedSessionStore):
    """Sessions that live in their cookies: what ``use_sessions("a key")`` makes, as a store to hand on.

    Args:
        secret_key: Encrypts the cookies. With a signer it has nothing to do.
        session_cookie: The cookie's name.
        serializer: Writes the values; JSON that keeps types when None.
        signer: An ``itsdangerous`` serializer for the cookie, which then is signed and not encrypted.
        session_max_age: Seconds after its last change that a session lives. None: no limit.

    Raises:
        ConfigurationError: The key is no secret, or a setting cannot work.
    """

    def __init__(
        self,
        secret_key: str | Keyring,
        *,
        session_cookie: str = "session",
        serializer: BlackSheepSerializer | SessionSerializer | None = None,
        signer: Signer | None = None,
        session_max_age: int | None = None,
    ) -> None:
        manager = cookie_manager(
            secret_key,
            serializer=serializer,
            signer=signer,
            session_max_age=session_max_age,
            policy=None,
            cookie=document_cookie(session_cookie),
            transport=None,
        )
        super().__init__(manager)
