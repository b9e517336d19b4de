"""`Session`: what ``request.state.session`` is, and what a store of one's own is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn, Self

import limpet
from limpet._core.manager import Engine
from limpet._core.policy import SessionPolicy
from limpet._core.record import Contents
from limpet._core.standing import Standing
from limpet.errors import SessionClosed

__all__ = ["Session"]


class Session(limpet.Session):
    """A session with FastMVC's words for it; `limpet.Session` has the rest.

    ``clear()`` ends it: the row is deleted from the store and the cookie from the browser, and what is written after it
    begins a new session. ``regenerate()`` gives it a new id and keeps the data.

    Args:
        session_id: The id under which a store of one's own keeps it.
        data: What is in it.
    """

    __slots__ = ()

    def __init__(self, session_id: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(_NOWHERE)
        self._key = session_id
        self._contents = Contents(0, dict(data or {}))
        self._data = self._contents.data

    @classmethod
    def of(cls, engine: Engine) -> Self:
        """Return the session of a request."""
        session = cls.__new__(cls)
        Standing.__init__(session, engine)
        return session

    @property
    def id(self) -> str | None:
        """The id by which the store knows it: no secret, and useless as a cookie. None before the first save."""
        return self.public_id

    @property
    def data(self) -> dict[str, Any]:
        """What is in it, as a dict; changes to it are saved."""
        self._read()
        if self._contents is None:
            self._begin()
        self._exposed = True
        return self._data

    def set(self, key: str, value: Any) -> None:
        """Set a value; the same as ``session[key] = value``."""
        self[key] = value

    def delete(self, key: str | None = None) -> None:
        """Remove a key, if it is there. Without a key: end the session, as ``clear()`` does."""
        if key is None:
            self.clear()
        else:
            self.pop(key, None)

    @property
    def deleted(self) -> bool:
        """Whether this request has emptied it."""
        return self.modified and not self


class _Nowhere(Engine):
    """Stands behind a session that somebody made by hand, to be read by a store and by nobody else."""

    def __init__(self) -> None:
        self.policy = SessionPolicy()
        self.clock = lambda: 0
        self.is_server_side = True

    async def load(self, session: limpet.Session) -> None:
        """Do nothing: it has what it was made with."""

    def differs(self, session: limpet.Session) -> bool:
        """Return False: nothing is going to be saved."""
        return False

    async def save(self, session: limpet.Session) -> NoReturn:
        """Refuse.

        Raises:
            SessionClosed: Always.
        """
        raise SessionClosed(
            "this Session was made by hand, for a store: the session of a request is request.state.session"
        )

    async def refresh(self, session: limpet.Session) -> NoReturn:
        """Refuse, as `save` does."""
        await self.save(session)

    async def is_live(self, session: limpet.Session) -> NoReturn:
        """Refuse, as `save` does."""
        await self.save(session)


_NOWHERE: Final = _Nowhere()
