"""A site with pages to attack, over a store that counts its calls: what tests of threats are written with.

::

    site = WatchedSite(secret=SECRET)
    token = (await site.ask("/write")).given
    assert (await site.ask("/read", token)).text == "1"
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from limpet import Session
from limpet._wire.marks import is_mark
from limpet.contract import Record
from limpet.stores import ClientStore, MemoryStore, Store, WrappingStore
from tests.site import Handler, Site

__all__ = ["ANONYMOUS", "NAME", "OLDER", "OTHER", "SECRET", "Watched", "WatchedSite"]

NAME: Final = "__Host-Http-session"
SECRET: Final = "kH7mZ2qN-4tRwXb9Yc1LfVs6DjPg8aUe0oTiQ5"
OLDER: Final = "Wn3pYx8Lq-1vKzRt6Bm9HcJd4SfGa7Ue2oXiT0"
OTHER: Final = "Cj5rUe9Wb-2mXpLy7Kt4NqZs1DhVg6Ra8oFiQ3"
ANONYMOUS: Final = "{}"

_CALLS: Final = {"load_many": "load"} | {
    name: name
    for name in ("load", "create", "update", "replace", "touch", "delete", "sweep", "find", "find_page", "scan")
}


class Watched(WrappingStore):
    """A memory store that counts its calls, and answers as one over a network does: not at once.

    Attributes:
        kept: The memory store behind, whose other powers it has.
        calls: How often each call was made; several records that are read at once are one load.
    """

    immediate = None  # it is waited for

    def __init__(self) -> None:
        self.kept = MemoryStore()
        self.calls: Counter[str] = Counter()
        super().__init__(self.kept)

    @property
    def rows(self) -> dict[str, Record]:
        """Everything that is stored."""
        return self.kept._records

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in _CALLS or found is None:
            return found

        async def counted(*given: Any, **more: Any) -> Any:
            self.calls[_CALLS[name]] += 1
            return await found(*given, **more)

        return counted


def _write(session: Session) -> int:
    session["n"] = session.get("n", 0) + 1
    number: int = session["n"]
    return number


PAGES: Final[dict[str, Handler]] = {
    "/touch": lambda session: None,
    "/read": lambda session: session.get("n"),
    "/dump": lambda session: dict(session),
    "/write": _write,
    "/login": lambda session: session.login("ann"),
    "/rotate": lambda session: session.regenerate(),
    "/logout": lambda session: session.logout(),
}


class WatchedSite(Site):
    """A `Site` as it is by default, whose errors are answered and whose store nobody sweeps.

    Args:
        pages: More than `PAGES`.
        store: None: a `Watched` one.
    """

    def __init__(
        self,
        pages: dict[str, Handler] | None = None,
        store: Store | ClientStore | str | None = None,
        **settings: Any,
    ) -> None:
        self.watched = Watched()
        settings = {"dev": None, "sweep_interval": None, **settings}
        kept = self.watched if store is None else store
        super().__init__(kept, {**PAGES, **(pages or {})}, answers_errors=True, **settings)

    @property
    def rows(self) -> dict[str, Record]:
        """Everything in the `Watched` store."""
        return self.watched.rows

    @property
    def kept(self) -> dict[str, Record]:
        """Every session in the `Watched` store, without what says that an id has ended."""
        return {key: record for key, record in self.rows.items() if not is_mark(record.payload)}
