"""What signed and encrypted tokens have in common: their first six bytes, their keys, and how those are found.

::

    version (1) | mode (1) | key id (4) | what the mode makes of the data      -> base64url without padding

Six bytes are eight characters, so a token's first eight characters say which key it claims, without any decoding.
At most that one key is tried.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, Generic, TypeVar

from limpet._core.tokens import b64decode, b64encode, b64read
from limpet._native import mypyc_attr
from limpet.keyring import Keyring
from limpet.protocols import Header

__all__ = ["MAX_TOKEN", "TokenSealer"]

MAX_TOKEN: Final = 4096
"""Characters of the longest token that is looked at: no browser keeps a longer cookie (RFC 6265bis, section 5.6)."""

HEAD_CHARS: Final = 8
_PAIR_CHARS: Final = 1 + HEAD_CHARS
_VERSION: Final = b"\x01"

K = TypeVar("K")
T = TypeVar("T")


class _Ring(Generic[K]):  # written out: mypyc has no dataclass that is generic and has slots
    """All keys of one generation of the keyring: the one that seals, and those that open by their tokens' beginning.

    Attributes:
        pair: The head with the equals sign that stands before it in a cookie.
        by_head: Each key with its end date.
    """

    __slots__ = ("by_head", "generation", "head", "newest", "pair")

    def __init__(self, generation: int, head: str, newest: K, by_head: dict[str, tuple[K, int | None]]) -> None:
        self.generation = generation
        self.head = head
        self.pair = b"=" + head.encode("ascii")
        self.newest = newest
        self.by_head = by_head


@mypyc_attr(allow_interpreted_subclasses=True)
class TokenSealer(ABC, Generic[K]):
    """Seals for one purpose and one name; a token of another purpose, name or mode opens nothing.

    Args:
        keyring: Where the keys come from. A `Keyring.replace` takes effect on the next call.
        purpose: What the tokens are for, such as ``"session-id"``.
        name: What they are bound to: the name of their cookie or header.
        clock: Milliseconds since 1970; asked only about keys that have an end date.
    """

    mode: ClassVar[bytes]

    def __init__(self, keyring: Keyring, *, purpose: str, name: str, clock: Callable[[], int]) -> None:
        self._keyring = keyring
        self._purpose = purpose
        self._name = name
        self._clock = clock
        self._ring: _Ring[K] | None = None

    def seal(self, data: bytes) -> str:
        """Return a URL-safe token of these bytes under the newest key."""
        ring = self._ring
        if ring is None or ring.generation != self._keyring.generation:
            ring = self._refresh()
        return ring.head + b64encode(self._close(ring.newest, data))

    def open(self, token: str) -> bytes | None:
        """Return the bytes, or None for anything that no listed key sealed for this name and purpose.

        There is one outcome for everything that can be wrong with a token.
        """
        ring = self._ring
        if ring is None or ring.generation != self._keyring.generation:
            ring = self._refresh()
        found = ring.by_head.get(token[:HEAD_CHARS])
        if found is None or len(token) > MAX_TOKEN:
            return None
        key, until = found
        if until is not None and self._clock() >= until:
            return None
        body = b64decode(token[HEAD_CHARS:])
        return None if body is None else self._reveal(key, body)

    def reader(self, cookie: str, parse: Callable[[str, bytes], T | None]) -> Callable[[Sequence[Header]], T | None]:
        """Return what finds and opens the cookie of nearly every request, ``headers -> what parse returns``.

        One cookie of this name, spelled as browsers do, sealed under the newest key. Everything else is None, be it
        right or wrong: `cookies.find` and `open` tell. What is in it was read by the same rules, in one go.

        Args:
            cookie: The cookie's name.
            parse: Takes the token and what was sealed in it.
        """
        name, length = cookie.encode("ascii"), len(cookie)

        def read(headers: Sequence[Header]) -> T | None:
            ring = self._ring
            if ring is None or ring.generation != self._keyring.generation:
                ring = self._refresh()
            rest: bytes | None = None
            for field, line in headers:
                if field == b"cookie" and (at := line.find(name)) >= 0:
                    if rest is not None or (at and not line.startswith(b"; ", at - 2)):
                        return None
                    rest = line[at + length :]
            if rest is None or rest.find(name) >= 0:
                return None
            pair = rest.partition(b";")[0]
            if pair[:_PAIR_CHARS] != ring.pair or len(pair) > MAX_TOKEN:
                return None
            body = b64read(pair[_PAIR_CHARS:])
            data = None if body is None else self._reveal(ring.newest, body)
            return None if data is None else parse(pair[1:].decode("ascii"), data)

        return read

    def current(self, token: str) -> bool:
        """Tell whether a token that opens was sealed under the newest key; else it is time to seal it again."""
        ring = self._ring
        if ring is None or ring.generation != self._keyring.generation:
            ring = self._refresh()
        return token.startswith(ring.head)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(purpose={self._purpose!r}, name={self._name!r})"

    @abstractmethod
    def _prepare(self, key: bytes, associated: bytes) -> K:
        """Return the key with everything that can be computed ahead of a token."""

    @abstractmethod
    def _close(self, key: K, data: bytes) -> bytes:
        """Return what follows the head of a token."""

    @abstractmethod
    def _reveal(self, key: K, body: bytes) -> bytes | None:
        """Return the data, or None when the body was not made with this key."""

    def _refresh(self) -> _Ring[K]:
        """Derive the keys again. The mode is part of the purpose: no two modes share a key."""
        generation = self._keyring.generation
        purpose = f"token {self.mode.decode()} {self._purpose}"
        prepared: list[tuple[str, K, int | None]] = []
        for key_id, key, until in self._keyring.derive(purpose, self._name):
            head = _VERSION + self.mode + key_id
            associated = head + _framed(self._name) + _framed(self._purpose)
            prepared.append((b64encode(head), self._prepare(key, associated), until))
        # Should two key ids ever be equal, the newer key has it.
        by_head = {text: (key, until) for text, key, until in reversed(prepared)}
        text, newest, _ = prepared[0]
        self._ring = ring = _Ring(generation, text, newest, by_head)
        return ring


def _framed(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "big") + data
