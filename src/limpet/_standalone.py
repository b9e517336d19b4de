"""The backend of a session that belongs to no request: a mapping with the notes, and nothing that saves it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from limpet._core.state import ENDED, LOGIN, REGENERATE, SessionState, Stored
from limpet._wire.record import Contents
from limpet.contract import Record
from limpet.errors import SessionClosed
from limpet.policy import SessionPolicy

if TYPE_CHECKING:
    from limpet._core.mapping import SessionMapping

__all__ = ["Standalone"]

S = TypeVar("S")
_ALONE: Final = "this session belongs to no request, so that nothing {} it: use the session of a request for that"


class Standalone:
    """Answers as an engine would whose store was never asked.

    Args:
        data: What the session holds.
        public_id: What it is kept under, if anything.
        encode: Encodes the data, to tell whether it changed; None: by what it looks like.
    """

    rotate_on: frozenset[str] = frozenset()
    is_server_side = True
    policy = SessionPolicy()

    def __init__(
        self, data: dict[str, Any], public_id: str | None = None, encode: Callable[[Any], bytes] | None = None
    ) -> None:
        self._encode = encode or _looks
        self._before = self._encode(data)
        self.state = SessionState()
        self.state.draft = Contents(0, data)
        self.state.data = data
        if public_id is not None:
            self.state.stored = Stored(b"", public_id, Record(0, b"", 0))

    @property
    def clock(self) -> Callable[[], int]:
        """Returns milliseconds of a clock that nothing else goes by."""
        return _uptime

    def open_sealed(self, state: SessionState) -> None:
        """Do nothing: there is no cookie."""

    def note_login(self, state: SessionState) -> None:
        """Do nothing: nothing is revoked."""

    def differs(self, state: SessionState) -> bool:
        """Tell whether a handler changed anything."""
        return bool(state.flags & (LOGIN | REGENERATE | ENDED)) or self._encode(state.data) != self._before

    def deadline_of(self, state: SessionState) -> int | None:
        """Return None: it never ends by itself."""
        return None

    def drop_write(self, state: SessionState, reason: str) -> None:
        """Do nothing."""

    async def load(self, session: SessionMapping) -> None:
        """Do nothing: it has what it was made with."""

    async def save(self, session: SessionMapping) -> None:
        """Refuse.

        Raises:
            SessionClosed: Always.
        """
        raise SessionClosed(_ALONE.format("saves"))

    async def refresh(self, session: SessionMapping) -> None:
        """Refuse, as `save` does."""
        raise SessionClosed(_ALONE.format("reads"))

    async def is_live(self, session: SessionMapping) -> bool:
        """Refuse, as `save` does."""
        raise SessionClosed(_ALONE.format("reads"))

    def exclusive_for(self, session: S, name: str, *, life: float, wait: float) -> AbstractAsyncContextManager[S]:
        """Hand the session out: nothing else has it."""
        return _alone(session)


@asynccontextmanager
async def _alone(session: S) -> AsyncIterator[S]:
    yield session


def _uptime() -> int:
    return time.monotonic_ns() // 1_000_000


def _looks(data: Any) -> bytes:
    return repr(data).encode("utf-8", "backslashreplace")
