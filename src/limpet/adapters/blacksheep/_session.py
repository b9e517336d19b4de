"""The session with BlackSheep's words, of a request or alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, Self

from limpet._core import session as core
from limpet._core.engine import Engine
from limpet._standalone import Standalone
from limpet.errors import SessionError, UnstorableValue
from limpet.serializers import MsgpackSerializer

__all__ = ["Session"]

_OWN: Final = "a store of the application's own keeps this session and {}: give use_sessions a store's URL for that"


class Session(core.Session):
    """A `limpet.Session`. ``Session(values)`` makes one for a store of the application's own.

    Args:
        values: What is in it.
    """

    __slots__ = ()

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        backend = Standalone(dict(values or {}), encode=_encode)
        super().__init__(backend, backend.state)

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

    def login(
        self,
        subject: str,
        *,
        remember: bool = False,
        tags: Mapping[str, str] | None = None,
        acr: str | None = None,
        amr: Iterable[str] = (),
    ) -> None:
        """Note that ``subject`` proved who they are, see `limpet.Session.login`."""
        self._refuse_alone("cannot change the id")
        super().login(subject, remember=remember, tags=tags, acr=acr, amr=amr)

    def regenerate(self) -> None:
        """Change the id and keep the data, see `limpet.Session.regenerate`."""
        self._refuse_alone("cannot change the id")
        super().regenerate()

    def _refuse_alone(self, what: str) -> None:
        if isinstance(core.backend_of(self), Standalone):
            raise SessionError(_OWN.format(what))


def _encode(value: Any) -> bytes:
    """Tell values apart. Objects that only the application's store can keep count as what they look like."""
    try:
        return MsgpackSerializer().encode(value)
    except UnstorableValue:
        return repr(value).encode("utf-8", "backslashreplace")
