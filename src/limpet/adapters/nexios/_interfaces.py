"""The two backends that Nexios documents: files, and the cookie itself.

As ``manager=`` they name where sessions are kept, by their class or by an object, and the engine keeps them there.
An object can also be used by itself, outside of a request: ``session = manager.create_session(key)``, then
``await session.load()`` and ``await session.save()``. It reads and writes what the engine does.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any, Final

from limpet._wire.marks import is_mark
from limpet._wire.record import Contents, CorruptPayload, pack, unpack
from limpet.adapters.nexios._backends import BaseSessionInterface
from limpet.adapters.nexios._keys import read_keys
from limpet.contract import DONE, Record
from limpet.errors import ConfigurationError, SessionEnded, StoreUnavailable
from limpet.keyring import Keyring
from limpet.manager import SessionManager, system_clock
from limpet.serializers.msgpack import MsgpackSerializer

__all__ = ["FileSessionInterface", "FileSessionManager", "SignedSessionManager"]

_STORE_KEY: Final = re.compile(r"[0-9a-f]{64}")
_ATTEMPTS: Final = 20


class _Documented(BaseSessionInterface):
    """What both have in common: settings, a serializer, and records."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config=config)
        self.serializer: MsgpackSerializer = MsgpackSerializer()
        self.clock = system_clock

    def _read(self, record: Record | None) -> Contents | None:
        """Return what a record holds, if it is a session that has not ended."""
        if record is None or record.expires <= self.clock():
            return None
        try:
            return unpack(record.payload, self.serializer)
        except CorruptPayload:
            return None

    def _record(self, contents: Contents, life: float) -> Record:
        now = self.clock()
        version = secrets.randbits(64) - 2**63
        return Record(version, pack(contents, self.serializer), now, now + round(life * 1000))


class FileSessionInterface(_Documented):
    """Keeps one file for each session, see `limpet.stores.FileStore`.

    Args:
        config: The settings; ``session_file_storage_path`` names the folder, which the first session makes.

    Attributes:
        storage_path: The folder.

    Raises:
        ConfigurationError: It is no settings object.
    """

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.storage_path: str = os.fspath(self._settings.file_storage_path)

    async def load(self, session: Any) -> None:  # type: ignore[override]  # 3.12 has the session as an argument
        """Fill a session with what is kept under its key; with nothing, if there is none."""
        contents = self._read(await self._store.load(_store_key(session.get_session_key())))
        session._session_cache = {} if contents is None else contents.data

    async def save(self, session: Any) -> str:  # type: ignore[override]
        """Keep a session, or forget it if it was cleared; return its key.

        Raises:
            UnstorableValue: A value would not come back as it is.
            SessionEnded: An application has just ended the session, or given it another id.
            StoreUnavailable: The folder cannot be written, or others write the same session all the time.
        """
        given = session.get_session_key()
        key = _store_key(given)
        if session.deleted:
            there = await self._store.load(key)
            if there is not None and not is_mark(there.payload):  # what says that it has ended stays
                await self._store.delete(key)
            session.session_key = None
            return ""
        now, life = self.clock(), session.get_expiry_age()
        new = self._record(Contents(now, dict(session._session_cache)), life)
        outcome = await self._store.create(key, new, now=now)
        for _ in range(_ATTEMPTS):
            if outcome is DONE:
                session.session_key = given
                return str(given)
            if isinstance(outcome, Record):
                if is_mark(outcome.payload) and now < outcome.expires:
                    raise SessionEnded(
                        "this session was ended, or given another id, a moment ago: save into a new one, "
                        "create_session()"
                    )
                contents = self._read(outcome) or Contents(now)
                contents.data = dict(session._session_cache)  # what is noted beside the data stays
                record = self._record(contents, life)._replace(subject=outcome.subject)
                outcome = await self._store.update(key, record, outcome.version, now=now)
            else:
                outcome = await self._store.create(key, new, now=now)
        raise StoreUnavailable("a session was written by others all the time")

    def _get_file_path(self, session_key: str) -> str:
        return os.path.join(self.storage_path, f"{self._settings.file_name}{_store_key(session_key)}.json")

    @cached_property
    def _store(self) -> Any:
        return SessionManager(self._settings.file_url(), cookie=self._settings.cookie()).store


FileSessionManager = FileSessionInterface


class SignedSessionManager(_Documented):
    """Keeps the whole session in its cookie, encrypted. Nothing is kept on the server.

    Args:
        config: The settings.
        secret_key: One secret, or several with the newest first. None: that of the application.

    Raises:
        ConfigurationError: The first argument is no settings object, or the secret is none.
    """

    def __init__(self, config: Any = None, secret_key: Any = None) -> None:
        super().__init__(config)
        self.keyring: Keyring | None = None if secret_key is None else read_keys(secret_key)

    def sign_session_data(self, session_data: Mapping[str, Any]) -> str:
        """Return a cookie's value that holds these values.

        Raises:
            ConfigurationError: There is no secret key.
            UnstorableValue: A value would not come back as it is.
        """
        return self._seal(session_data, _seconds(self.get_lifetime()))

    def verify_session_data(self, token: str | None) -> dict[str, Any]:
        """Return the values in a cookie's value; none of it, if it was forged, changed or has expired.

        Raises:
            ConfigurationError: There is no secret key.
        """
        contents = self._read(self._store.unseal(token)) if token else None
        return {} if contents is None else contents.data

    async def load(self, session: Any) -> None:  # type: ignore[override]  # 3.12 has the session as an argument
        """Fill a session with what its key, the cookie's value, holds."""
        session._session_cache = self.verify_session_data(session.session_key)

    async def save(self, session: Any) -> str:  # type: ignore[override]
        """Return the cookie's value, which becomes the session's key; an empty one, if it was cleared.

        Raises:
            UnstorableValue: A value would not come back as it is.
        """
        session.session_key = "" if session.deleted else self._seal(session._session_cache, session.get_expiry_age())
        return str(session.session_key)

    def _seal(self, data: Mapping[str, Any], life: float) -> str:
        return str(self._store.seal(self._record(Contents(self.clock(), dict(data)), life)))

    @cached_property
    def _store(self) -> Any:
        settings = self._settings
        return SessionManager(
            "cookie:", secret=read_keys(self.keyring), cookie=settings.cookie(), policy=settings.policy()
        ).store


def _store_key(session_key: object) -> str:
    """Return the key of the store: the session's own where it is one, else a digest of it, and never a path.

    Raises:
        ConfigurationError: It is no text.
    """
    if not isinstance(session_key, str):
        raise ConfigurationError(f"a session key is a str, not {type(session_key).__name__}")
    if _STORE_KEY.fullmatch(session_key):
        return session_key
    return hashlib.sha256(session_key.encode("utf-8", "surrogatepass")).hexdigest()


def _seconds(life: float | timedelta) -> float:
    return life.total_seconds() if isinstance(life, timedelta) else float(life)
