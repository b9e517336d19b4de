"""What can be plugged into the engine beside a store: serializers, sealers, transports, importers, a runtime."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

from limpet.contract import (
    Record,
)

if TYPE_CHECKING:
    pass

__all__ = [
    "Header",
    "Imported",
    "Importer",
    "InOrder",
    "Reader",
    "Runtime",
    "Sealer",
    "Serializer",
    "Signal",
    "Tracer",
    "Transport",
]

T = TypeVar("T")


Header: TypeAlias = tuple[bytes, bytes]
"""One raw header as ASGI carries it: lower-case name, value."""


Reader: TypeAlias = Callable[[Sequence[Header]], tuple[str, Record] | None]
"""Finds and unseals the one cookie of nearly every request, if its key is the newest: ``headers -> (token, record)``.

None: look again, cookie by cookie.
"""


class Imported(NamedTuple):
    """An old session.

    Attributes:
        data: What it holds.
        subject: Whose it is; None: anonymous.
        at: When it was last signed or saved, in milliseconds since 1970; None: that cannot be told.
    """

    data: Mapping[str, Any]
    subject: str | None = None
    at: int | None = None


class Importer(Protocol):
    """Reads another library's sessions until a date, so that nobody is logged out by moving in. Never writes one."""

    origin: str
    """The library's name, for the event."""
    cookie: str
    """The name of its cookie."""
    until: int
    """When it stops reading, in milliseconds since 1970."""
    forget: bool
    """The old cookie is deleted once the session has moved."""

    def find(self, headers: Sequence[Header]) -> Sequence[str]:
        """Return the distinct values of its cookie that the client sent; nothing is decoded."""
        ...

    async def read(self, token: str, now: int) -> Imported | None:
        """Return the old session, or None for anything that the old library would not accept.

        Raises:
            StoreUnavailable: The old store does not answer.
        """
        ...

    def clear(self) -> Header:
        """Return the response header that makes the client forget the old cookie."""
        ...


class Serializer(Protocol):
    """Turns plain values into bytes and back, each with the type it went in with.

    Canonical: equal values give equal bytes in every process. Data only: decoding never runs code.
    """

    format: bytes
    """One byte that names the format, the first of every payload."""

    def encode(self, value: Any) -> bytes:
        """Return the bytes of one value.

        Raises:
            UnstorableValue: It would not come back as it went in; the error names where it is.
        """
        ...

    def decode(self, data: bytes) -> Any:
        """Return the value.

        Raises:
            ValueError: These bytes are not of this format.
        """
        ...


@runtime_checkable
class InOrder(Protocol):
    """A serializer that can keep the order of dicts. One without this power gives them back as `encode` orders them."""

    def encode_in_order(self, value: Any) -> bytes:
        """Return bytes that `Serializer.decode` reads, and that differ from those of `encode` by the order of dicts.

        They have the same length and the same bytes in another order: so a change is told from another order fast.

        Raises:
            UnstorableValue: As for `Serializer.encode`.
        """
        ...


class Sealer(Protocol):
    """Turns bytes into a token that nobody without the keys can make, and back."""

    def seal(self, data: bytes) -> str:
        """Return a URL-safe token of these bytes under the newest key."""
        ...

    def open(self, token: str) -> bytes | None:
        """Return the bytes, or None for anything that no listed key sealed for this name and purpose."""
        ...

    def current(self, token: str) -> bool:
        """Return whether the token is sealed under the newest key; otherwise it is issued again."""
        ...


class Transport(Protocol):
    """Carries the token between client and server: a cookie, or a header."""

    vary: bytes
    """The request header that the response depends on, for ``Vary``."""

    def read(self, headers: Sequence[Header]) -> Sequence[str]:
        """Return the distinct values that the client presented, well-formed or not, usually none or one."""
        ...

    def write(self, token: str, max_age: int | None) -> Header:
        """Return the response header that hands out the token; ``max_age`` in seconds, None for a browser session."""
        ...

    def clear(self) -> Header | None:
        """Return the response header that makes the client forget the token, if there is one."""
        ...


class Signal(Protocol):
    """What one task waits for until another sets it."""

    def set(self) -> None:
        """Let the one who waits go on."""
        ...

    def wait(self) -> Awaitable[None]:
        """Wait until it is set."""
        ...


class Runtime(Protocol):
    """What the engine needs of an event loop, so that it needs to know none."""

    def limit(self, call: Awaitable[T], seconds: float) -> Awaitable[T]:
        """Await the call for so long at most, then raise `StoreUnavailable`."""
        ...

    def turn(self, key: str) -> AbstractAsyncContextManager[None]:
        """Hold the only turn for this key in this process."""
        ...

    def signal(self) -> Signal:
        """Return a new signal, for tasks of one request that queue for its session."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait so long, for a lock that another process holds; 0: let other tasks run."""
        ...

    def together(self, steps: Sequence[Callable[[], Awaitable[T]]]) -> Awaitable[list[T]]:
        """Carry out all steps, side by side as far as that can be; return what they return, or raise an error."""
        ...

    def finish(self, call: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Await the call; if the caller is cancelled, the call goes on to its end."""
        ...

    def spawn(self, call: Awaitable[Any], event: Mapping[str, Any] | None = None) -> None:
        """Run to the end what nobody waits for.

        Args:
            event: What an asynchronous event listener is told, if the call is one.
        """
        ...


class Tracer(Protocol):
    """Watches what the engine does: spans and durations. It is never given an id, a key or a value."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """Return what surrounds a ``load`` or ``commit`` of a session, or one call of the store (``store.update``)."""
        ...
