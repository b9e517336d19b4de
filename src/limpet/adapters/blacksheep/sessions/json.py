"""The default serializer of cookie sessions."""

from __future__ import annotations

from limpet.adapters._fallthrough import fall_through
from limpet.adapters.blacksheep._session import Session
from limpet.adapters.blacksheep.sessions.abc import SessionSerializer
from limpet.serializers import JSONSerializer as TypedJSON

__all__ = ["JSONSerializer"]

__getattr__ = fall_through(__name__, "blacksheep.sessions.json")


class JSONSerializer(SessionSerializer):
    """Writes JSON that keeps types: dates, decimals, bytes, tuples and sets come back as they were."""

    def __init__(self) -> None:
        self._json = TypedJSON()

    def read(self, value: str) -> Session:
        """Return the session of a text.

        Raises:
            ValueError: `write` did not write it.
        """
        values = self._json.decode(value.encode())
        if type(values) is not dict:
            raise ValueError("a session is a JSON object")
        return Session(values)

    def write(self, session: Session) -> str:
        """Return the text of a session.

        Raises:
            UnstorableValue: A value would not come back as it is.
        """
        return self._json.encode(session.to_dict()).decode()
