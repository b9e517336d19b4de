"""What the engine needs of what binds sessions to devices (`limpet.bound`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from limpet._core.state import SessionState
from limpet._wire.record import Contents, Found
from limpet.protocols import Header

__all__ = ["Binder"]


class Binder(Protocol):
    """Binds sessions to the devices that they began on."""

    def begin(self, state: SessionState, draft: Contents) -> bool:
        """Note in the contents that a device may bind the session of a login; tell whether that changed them."""
        ...

    def admits(self, found: Found, headers: Sequence[Header]) -> bool:
        """Tell whether a request may use a session: it is bound to no device, or comes from the right one."""
        ...

    def lacks(self, found: Found, headers: Sequence[Header]) -> str | None:
        """Return what a request lacks to use a session, without telling of it; None: nothing."""
        ...

    def headers(self, state: SessionState, prefix: str) -> list[Header]:
        """Return the headers by which a response asks the browser to bind a session, or to prove its device."""
        ...
