"""The session with BlackSheep's words, of a request or alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any, Final, Self

from limpet._core import session as core
from limpet._core.manager import Engine
from limpet._core.policy import SessionPolicy
from limpet._core.record import Contents, Record, pack
from limpet.errors import SessionError, UnstorableValue
from limpet.serializers import MsgpackSerializer
from limpet.transports import HeaderTransport

__all__ = ["Session"]

_OWN: Final = "a store of the application's own keeps this session and {}: give use_sessions a store's URL for that"


class Session(core.Session):
    """A `limpet.Session`. ``Session(values)`` makes one for a store of the application's own.

    Args:
        values: What is in it.
    """

    __slots__ = ()

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(_nobody())
        self._contents = Contents(0)
        self._data = self._contents.data
        self._data.update(values or {})
        self._base = pack(self._contents, self._engine.serializer)

    @classmethod
    def of(cls, engine: Engine) -> Self:
        """Return an empty session that an engine loads and saves."""
        session = cls.__new__(cls)
        core.Session.__init__(session, engine)
        return session

    def set(self, name: str, value: Any) -> None:
        """Set a value; the same as ``session[name] = value``."""
        self[name] = value

    def to_dict(self) -> dict[str, Any]:
        """Return the values as a dict of its own; what is nested in it is not copied."""
        return dict(self)

    def expire_in(self, life: float | timedelta | None) -> None:
        """Give this session a deadline of its own, see `limpet.Session.expire_in`."""
        self._refuse_alone("knows no deadlines")
        super().expire_in(life)

    def _write(self, *, new_id: bool = False) -> None:
        if new_id:
            self._refuse_alone("cannot change the id")
        super()._write(new_id=new_id)

    def _refuse_alone(self, what: str) -> None:
        if self._engine is _nobody():
            raise SessionError(_OWN.format(what))


class _Nowhere:
    """The store of sessions that stand alone."""

    def seal(self, record: Record) -> str:
        raise SessionError(_OWN.format("is told when the handler has returned"))

    def unseal(self, token: str) -> Record | None:
        return None

    def current(self, token: str) -> bool:
        return True


class _Comparing:
    """Tells whether values changed. Objects that only the application's store can keep count as what they look like."""

    format = b"?"

    def __init__(self) -> None:
        self._exact = MsgpackSerializer()

    def encode(self, value: Any) -> bytes:
        try:
            return self._exact.encode(value)
        except UnstorableValue:
            return repr(value).encode("utf-8", "backslashreplace")

    def decode(self, data: bytes) -> Any:
        return self._exact.decode(data)


@cache
def _nobody() -> Engine:
    """Return the engine of sessions that stand alone: it compares, and saves nothing."""
    return Engine(
        store=_Nowhere(),
        policy=SessionPolicy(rotate_on=(), idle_timeout=None, absolute_timeout=None, anonymous_timeout=None),
        transport=HeaderTransport(),
        serializer=_Comparing(),
        namespace="",
        clock=lambda: 0,
    )
