"""What this process has seen since it began: logins, ends, failures, and how long the store takes. Kept by the minute.

It listens to the manager's events and looks on as its tracer; a day is kept, in memory, and nothing of any session.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from limpet import events
from limpet.protocols import Tracer

__all__ = ["History", "Span"]

_MINUTE: Final = 60_000
_KEPT: Final = 24 * 60  # minutes
_ACTS: Final = 10  # acts of operators that are remembered
_ENDS: Final[tuple[type[events.Event], ...]] = (
    events.SessionLoggedOut,
    events.SessionRevoked,
    events.SessionExpired,
)
_WAITED_FOR: Final = frozenset({"store.load", "store.create", "store.update", "store.touch", "store.delete"})


@dataclass(slots=True)
class Span:
    """What happened within some minutes.

    Attributes:
        begins: In milliseconds since 1970.
        logins: How often somebody logged in.
        ends: How many sessions were logged out or revoked, made room for newer ones, or came back after their deadline.
        calls: Calls of the store that requests waited for.
        seconds: How long these took together.
        slowest: How long the slowest of them took, in seconds.
    """

    begins: int
    logins: int = 0
    ends: int = 0
    calls: int = 0
    seconds: float = 0.0
    slowest: float = 0.0

    @property
    def average(self) -> float:
        """How long a call took on average, in seconds."""
        return self.seconds / self.calls if self.calls else 0.0

    def add(self, other: Span) -> None:
        """Take in what happened in another one."""
        self.logins += other.logins
        self.ends += other.ends
        self.calls += other.calls
        self.seconds += other.seconds
        self.slowest = max(self.slowest, other.slowest)


@dataclass(slots=True)
class History:
    """The last day by the minute, and the number of events of each kind since the beginning.

    Attributes:
        clock: Returns milliseconds since 1970.
        inner: The tracer that was there before, which is told as well.
        began: When counting began, in milliseconds since 1970.
        totals: How many events there were of each class, by its name.
        acts: What operators and other processes have ended lately, the last first: the ends that say who acts.
    """

    clock: Callable[[], int]
    inner: Tracer | None = None
    began: int = 0
    totals: Counter[str] = field(default_factory=Counter)
    acts: deque[events.Event] = field(default_factory=lambda: deque(maxlen=_ACTS))
    _minutes: OrderedDict[int, Span] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def note(self, event: events.Event) -> None:
        """Count an event; a listener of the manager's."""
        self.totals[type(event).__name__] += 1
        if event.by is not None and isinstance(event, events.RevocationSeen | events.SessionRevoked):
            self.acts.appendleft(event)
        if isinstance(event, events.SessionLoggedIn):
            self._now().logins += 1
        elif isinstance(event, _ENDS) or (isinstance(event, events.LimitReached) and not event.refused):
            self._now().ends += 1

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a call of the store, whether it fails or not; a tracer of the manager's."""
        with nullcontext() if self.inner is None else self.inner.step(name):
            if name not in _WAITED_FOR:
                yield
                return
            started = perf_counter()
            try:
                yield
            finally:
                took = perf_counter() - started
                minute = self._now()
                minute.calls += 1
                minute.seconds += took
                minute.slowest = max(minute.slowest, took)

    def spans(self, minutes: int, count: int) -> Sequence[Span]:
        """Return the last ``count`` spans of so many minutes each, the one that is under way last."""
        width = minutes * _MINUTE
        last = self.clock() // width * width
        found = [Span(last - width * back) for back in reversed(range(count))]
        for begins, minute in self._minutes.items():
            place = (begins - found[0].begins) // width
            if 0 <= place < count:
                found[place].add(minute)
        return found

    def _now(self) -> Span:
        begins = self.clock() // _MINUTE * _MINUTE
        minute = self._minutes.get(begins)
        if minute is None:
            minute = self._minutes[begins] = Span(begins)
            while len(self._minutes) > _KEPT:
                self._minutes.popitem(last=False)
        return minute
