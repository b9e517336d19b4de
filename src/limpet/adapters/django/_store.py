"""The session of one request as Django's contract has it, over a session of the engine.

Each method that asks the store is written once, as a coroutine (`KeptStore`): the blocking form drives it, the a-form
awaits it.
"""

from __future__ import annotations

from typing import Any

from limpet._blocking import drive
from limpet._wire.tokens import SHORT_BYTES, encode_id, new_id
from limpet.adapters.django._extras import Extras
from limpet.adapters.django._kept import KeptStore
from limpet.adapters.django._settings import manager

__all__ = ["SessionStore"]


class SessionStore(KeptStore):
    """A session of Django, kept by limpet; what ``SESSION_ENGINE = "limpet.adapters.django"`` stands for.

    Args:
        session_key: What the cookie holds; None: a new session.
    """

    @property
    def limpet(self) -> Extras:
        """What Django has no word for: `Extras.increment`, `Extras.exclusive`, the sessions of this user."""
        return Extras(self)

    # -- what asks the store

    def exists(self, session_key: str | None) -> bool:
        """Tell whether there is a live session of that key.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        return drive(self._exists(session_key))

    async def aexists(self, session_key: str | None) -> bool:
        """Do what `exists` does."""
        return await self._exists(session_key)

    def load(self) -> dict[str, Any]:
        """Return what is stored under this key; for an unknown one nothing, and the key is None from then on.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        return drive(self._load())

    async def aload(self) -> dict[str, Any]:
        """Do what `load` does."""
        return await self._load()

    def create(self) -> None:
        """Store a new session under a new key, with what this object holds.

        Raises:
            UpdateError: The login in it was revoked meanwhile.
            StoreUnavailable: The store does not answer.
        """
        drive(self._create())

    async def acreate(self) -> None:
        """Do what `create` does."""
        await self._create()

    def save(self, must_create: bool = False) -> None:
        """Save what was changed, merged with what other requests saved meanwhile.

        Args:
            must_create: Store it under a new key. One that the application chose itself is not used.

        Raises:
            CreateError: There is a session with the key that the application chose.
            UpdateError: The session was ended, or its key replaced, since it was read; nothing is stored.
            StoreUnavailable: The store does not answer.
            UnstorableValue: A value cannot be stored.
        """
        drive(self._save(must_create))

    async def asave(self, must_create: bool = False) -> None:
        """Do what `save` does."""
        await self._save(must_create)

    def settle(self) -> None:
        """Save at the end of a request, for `limpet.adapters.django.middleware`; raises what `save` raises."""
        drive(self._settle())

    async def asettle(self) -> None:
        """Do what `settle` does."""
        await self._settle()

    def delete(self, session_key: str | None = None) -> None:
        """End the session of that key, or this one; a request under way does not bring it back.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        drive(self._delete(session_key))

    async def adelete(self, session_key: str | None = None) -> None:
        """Do what `delete` does."""
        await self._delete(session_key)

    def flush(self) -> None:
        """End this session: data, record and key; a logout.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        drive(self._flush())

    async def aflush(self) -> None:
        """Do what `flush` does."""
        await self._flush()

    def cycle_key(self) -> None:
        """Give the session a new key, at once; the old one is dead.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        drive(self._cycle_key())

    async def acycle_key(self) -> None:
        """Do what `cycle_key` does."""
        await self._cycle_key()

    @classmethod
    def clear_expired(cls) -> None:
        """Delete what has expired, as ``manage.py clearsessions`` does; stores that forget by themselves do nothing."""
        drive(manager().sweep())

    @classmethod
    async def aclear_expired(cls) -> None:
        """Do what `clear_expired` does."""
        kept = manager()
        kept.use_running_loop()
        await kept.sweep()

    def _get_new_session_key(self) -> str:
        return encode_id(new_id(SHORT_BYTES))

    async def _aget_new_session_key(self) -> str:
        return self._get_new_session_key()
