"""What an application writes for itself: a store, or a serializer for cookie sessions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeAlias

from blacksheep.messages import Request, Response
from blacksheep.sessions import abc as _blacksheep

from limpet.adapters.blacksheep._session import Session

__all__ = ["Serializer", "SessionSerializer", "SessionStore"]

if TYPE_CHECKING:  # to type checkers BlackSheep's session, in the signatures of its classes, is another one
    _BlackSheepStore = ABC
    _BlackSheepSerializer = ABC
else:
    _BlackSheepStore, _BlackSheepSerializer = _blacksheep.SessionStore, _blacksheep.SessionSerializer


class SessionStore(_BlackSheepStore):
    """A store of the application's own: where sessions are kept, and how the client names its one.

    `load` is called before the handler, for every request; `save` after it, if the session was modified, nested values
    included, also when the handler raised or no route was found. Writing after that raises `limpet.SessionClosed`.

    Such a store sees the whole session at once, under ids and deadlines that are its own business. So it cannot give
    what limpet's stores give: two requests at once that both count (the later one wins), an ended session that stays
    ended (a request still under way saves it again), `Session.login`, `Session.regenerate` and `Session.expire_in`
    (they raise), expiry, hashed ids, and writing from a WebSocket (there is no response to save to). Where one of them
    matters, give `use_sessions` the URL of a store instead, or write a `limpet.stores.Store`.
    """

    @abstractmethod
    async def load(self, request: Request) -> Session:
        """Return the session of this request: ``Session(values)``, or ``Session()`` when there is none."""

    @abstractmethod
    async def save(self, request: Request, response: Response, session: Session) -> None:
        """Keep the session, and tell the client by the response how to name it."""


class SessionSerializer(_BlackSheepSerializer):
    """Writes a session as text and reads it again, for cookie sessions.

    Equal sessions have to give equal text. What is read was sealed by this application.
    """

    @abstractmethod
    def read(self, value: str) -> Session:
        """Return the session of a text."""

    @abstractmethod
    def write(self, session: Session) -> str:
        """Return the text of a session."""


Serializer: TypeAlias = SessionSerializer
