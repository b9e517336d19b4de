"""`Session`: what ``request.state.session`` is, and what a store of one's own is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import limpet
from limpet._core.engine import Engine
from limpet._standalone import Standalone

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
        backend = Standalone(dict(data or {}), session_id)
        super().__init__(backend, backend.state)

    @classmethod
    def of(cls, engine: Engine) -> Self:
        """Return the session of a request."""
        session = cls.__new__(cls)
        limpet.Session.__init__(session, engine)
        return session

    @property
    def id(self) -> str | None:
        """The id by which the store knows it: no secret, and useless as a cookie. None before the first save."""
        return self.public_id

    @property
    def data(self) -> dict[str, Any]:
        """What is in it, as a dict; changes to it are saved."""
        return self.live_data()

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
