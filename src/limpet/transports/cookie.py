"""The token in a cookie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from limpet._cookies import CookieWriter, find
from limpet._native import mypyc_attr
from limpet.policy import CookiePolicy
from limpet.protocols import Header

__all__ = ["CookieTransport"]


@mypyc_attr(allow_interpreted_subclasses=True)
class CookieTransport:
    """Reads ``Cookie``, writes ``Set-Cookie``.

    Attributes:
        is_ours: Returns None for a value that was not handed out here; of very many it says which to look at. A manager
            sets it.

    Args:
        name: The cookie's name, see `CookiePolicy.derive_name`.
        policy: Its attributes.

    Raises:
        ConfigurationError: Browsers would drop a cookie of this name with these attributes.
    """

    vary = b"Cookie"

    def __init__(self, name: str, policy: CookiePolicy) -> None:
        self.name = name
        self.policy = policy
        self.is_ours: Callable[[str], object] | None = None
        self._bytes = name.encode("ascii", "replace")  # CookieWriter refuses a name that is not ASCII
        self._writer = CookieWriter(name, policy)
        self._clear = (b"set-cookie", self._writer.delete())

    def read(self, headers: Sequence[Header]) -> Sequence[str]:
        """Return the distinct values that the client sent under this name."""
        return find(headers, self._bytes, self.is_ours)

    def write(self, token: str, max_age: int | None) -> Header:
        """Return the ``Set-Cookie`` header; ``max_age`` in seconds, None: until the browser is closed."""
        return b"set-cookie", self._writer.set(token, max_age)

    def clear(self) -> Header:
        """Return the ``Set-Cookie`` header that deletes the cookie."""
        return self._clear

    def clear_others(self) -> list[Header]:
        """Return the headers that delete cookies of this name which earlier settings of path and domain may have left.

        Beside the cookie's own attributes: the same host without ``Domain``, and the path ``/``. A name with a
        ``__Host-`` prefix has no others.
        """
        own = self.policy.path, self.policy.domain
        if self.name.lower().startswith("__host-"):
            return []
        places = dict.fromkeys(
            (path, domain) for path in (self.policy.path, "/") for domain in (self.policy.domain, None)
        )
        others: list[Header] = []
        for path, domain in places:
            if (path, domain) != own:
                policy = replace(self.policy, path=path, domain=domain)
                others.append((b"set-cookie", CookieWriter(self.name, policy).delete()))
        return others

    def __repr__(self) -> str:
        return f"CookieTransport({self.name!r}, {self.policy!r})"
