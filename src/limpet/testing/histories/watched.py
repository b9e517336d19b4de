"""A store on a stage: every call is a step, can fail in each way that a network and a process have, and is noted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

from limpet.contract import Finds, LoadsMany, Outcome, Pages, Record, Replaces, Scans, Store, Sweeps, Urgent, supports
from limpet.errors import StoreUnavailable
from limpet.testing.histories.stage import never, pause

__all__ = ["FAULTS", "LASTING", "WRITES", "Caller", "Fault", "Kind", "Watched", "calling"]

Kind: TypeAlias = Literal[
    "fails",
    "fails twice",
    "loses the reply",
    "loses both replies",
    "lands twice",
    "cut before",
    "cut after",
    "is gone",
    "is gone after",
    "hangs",
    "hangs after",
]

LASTING: Final[Mapping[Kind, Kind]] = MappingProxyType(
    {"is gone": "is gone", "is gone after": "is gone", "hangs": "hangs", "hangs after": "hangs"}
)
"""What lasts: from one call on the store refuses all calls of the request, or lets each wait in vain; that call is done
before, or not. With what becomes of the later calls."""
FAULTS: Final[tuple[Kind, ...]] = tuple(kind for kind in get_args(Kind) if kind not in LASTING)
"""What can happen to one call: nothing is done, once or in the second attempt too; it is done and the reply is lost,
once or in both attempts; it is done twice, as by a network that repeats; the process dies before or after it."""
WRITES: Final = frozenset({"create", "update", "replace", "touch", "delete"})


class Caller(Protocol):
    """What is calling a store: a request, or an operator.

    Attributes:
        calls: The names of its calls so far.
        faults: What is to happen to which of them.
    """

    calls: list[str]
    faults: dict[int, Kind]

    def cut(self) -> None:
        """Its process dies now."""
        ...


calling: ContextVar[Caller | None] = ContextVar("calling", default=None)
"""The request that is running."""


@dataclass(slots=True)
class Fault:
    """A fault that goes on in the second attempt of the same call."""

    kind: Kind
    call: tuple[str, str]


@dataclass(slots=True)
class _Alive:
    """A process that can die."""

    dead: bool = False
    closed: bool = False


@dataclass
class Watched:
    """A store whose every call pauses first; one for each process, over a store that they share.

    Args:
        store: The store behind.
        forgets: What of an index is lost: takes the keys that were found and returns those to drop.
    """

    store: Store
    forgets: Callable[[Sequence[str]], set[str]] | None = None
    process: Any = field(default_factory=_Alive)
    _again: dict[int, Fault] = field(default_factory=dict[int, Fault])

    def __post_init__(self) -> None:
        inner: Any = self.store
        powers: tuple[tuple[type, str], ...] = (
            (Sweeps, "sweep"),
            (Finds, "find"),
            (Pages, "find_page"),
            (LoadsMany, "load_many"),
            (Replaces, "replace"),
            (Scans, "scan"),
            (Urgent, "create_urgently"),
        )
        for power, name in powers:
            if not supports(inner, power):
                setattr(self, name, None)

    async def open(self) -> None:
        """Open the store behind."""
        await self.store.open()

    async def close(self) -> None:
        """Leave the store behind open: others use it."""

    async def load(self, key: str) -> Record | None:
        """Load."""
        found: Record | None = await self._do("load", key, lambda: self.store.load(key))
        return found

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Create."""
        return await self._write("create", key, lambda: self.store.create(key, record, now=now))

    async def create_urgently(self, key: str, record: Record, *, now: int) -> Outcome:
        """Create, also while the store is full."""
        inner: Any = self.store
        return await self._write("create", key, lambda: inner.create_urgently(key, record, now=now))

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Update."""
        return await self._write("update", key, lambda: self.store.update(key, record, expected, now=now))

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Replace."""
        inner: Any = self.store
        return await self._write("replace", key, lambda: inner.replace(key, record, expected, now=now))

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        """Touch."""
        return await self._write("touch", key, lambda: self.store.touch(key, accessed, expires, now=now))

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        """Delete."""
        return await self._write("delete", key, lambda: self.store.delete(key, version))

    async def sweep(self, now: int, limit: int) -> int:
        """Sweep."""
        inner: Any = self.store
        swept: int = await self._do("sweep", "", lambda: inner.sweep(now, limit))
        return swept

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        """Find, without what the index has lost."""
        inner: Any = self.store
        return self._kept(await self._do("find", subject, lambda: inner.find(subject)))

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Find a page, without what the index has lost."""
        inner: Any = self.store
        page, after = await self._do("find_page", subject, lambda: inner.find_page(subject, cursor, limit))
        return self._kept(page), after

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Load several."""
        inner: Any = self.store
        found: Sequence[Record | None] = await self._do("load_many", "", lambda: inner.load_many(keys))
        return found

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        """Scan."""
        inner: Any = self.store
        page: tuple[Sequence[tuple[str, Record]], str | None]
        page = await self._do("scan", "", lambda: inner.scan(cursor, limit))
        return page

    def _kept(self, found: Sequence[tuple[str, Record]]) -> Sequence[tuple[str, Record]]:
        if self.forgets is None:
            return found
        dropped = self.forgets([key for key, _ in found])
        return [(key, record) for key, record in found if key not in dropped]

    async def _write(self, name: str, key: str, call: Callable[[], Awaitable[Outcome]]) -> Outcome:
        outcome: Outcome = await self._do(name, key, call)
        return outcome

    async def _do(self, name: str, key: str, call: Callable[[], Awaitable[Any]]) -> Any:
        caller = calling.get()
        self._check()
        await pause()
        await self._live()
        if caller is None:
            return await call()
        kind = self._fault(caller, name, key)
        caller.calls.append(name)
        if kind is None:
            return await call()
        failure = StoreUnavailable(f"a fault was made: {name} {kind}", waited=kind in ("hangs", "hangs after"))
        if kind in ("fails", "fails twice", "is gone", "hangs"):
            raise failure
        if kind == "cut before":
            caller.cut()
            await self._live()
        await call()
        if kind == "lands twice":
            return await call()
        if kind == "cut after":
            caller.cut()
            await self._live()
        raise failure

    def _fault(self, caller: Caller, name: str, key: str) -> Kind | None:
        again = self._again.pop(id(caller), None)
        if again is not None and again.call == (name, key):
            return again.kind
        number = len(caller.calls)
        kind = caller.faults.get(number)
        for at, there in caller.faults.items():
            if at < number and there in LASTING:
                kind = LASTING[there]
                break
        if kind == "fails twice":
            self._again[id(caller)] = Fault("fails", (name, key))
        elif kind == "loses both replies":
            self._again[id(caller)] = Fault("loses the reply", (name, key))
        return kind

    def _check(self) -> None:
        if self.process.closed:
            raise StoreUnavailable("the process is dead")

    async def _live(self) -> None:
        while self.process.dead:
            await pause(never)
