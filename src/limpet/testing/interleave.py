"""Every order in which the store calls of operations on one session can happen, run one by one.

The engine's coroutines need no event loop: a store whose every call first yields hands the choice of who goes on to a
scheduler, which tries all choices (`every_order`) or some at random (`some_orders`)::

    for run in every_order(lambda: [first(store), second(store)]):
        assert ...

`Race` puts the operations of real requests on one session together and says what must hold afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from limpet._core.session import Session
from limpet._inline import Inline
from limpet.contract import Scans, Store, supports
from limpet.errors import SessionEnded
from limpet.manager import SessionManager
from limpet.policy import SessionPolicy
from limpet.testing.clock import FakeClock
from limpet.testing.histories.facts import cookie_of
from limpet.testing.histories.stage import pause
from limpet.testing.histories.watched import Watched

__all__ = ["OPERATIONS", "Operation", "Race", "Run", "Visit", "every_order", "pause", "some_orders"]

Start: TypeAlias = Callable[[], Sequence[Coroutine[Any, Any, Any]]]
Operation: TypeAlias = Literal["write", "read", "login", "regenerate", "renewal", "logout", "expiry", "sweep"]

OPERATIONS: Final[tuple[Operation, ...]] = (
    "write",
    "read",
    "login",
    "regenerate",
    "renewal",
    "logout",
    "expiry",
    "sweep",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One order that was run to its end.

    Attributes:
        order: Whose turn it was, step by step: positions in the sequence of coroutines.
        results: What each returned, or the exception that it raised.
    """

    order: tuple[int, ...]
    results: tuple[Any, ...]


def every_order(start: Start) -> Iterator[Run]:
    """Run the coroutines in every order of their steps; ``start`` makes them anew for each order.

    A step ends where a coroutine calls `pause`, as each call of a `Watched` store does. The same order of steps must
    always have the same effect.
    """
    guide = _Guide([])
    while True:
        yield _run(start(), guide.choose)
        prefix = guide.next_prefix()
        if prefix is None:
            return
        guide = _Guide(prefix)


class _Guide:
    """Chooses as it is told at first, then always the first that is ready; remembers what else there was."""

    def __init__(self, prefix: list[int]) -> None:
        self._prefix = prefix
        self._choices: list[tuple[int, list[int]]] = []

    def choose(self, ready: list[int]) -> int:
        made = len(self._choices)
        choice = self._prefix[made] if made < len(self._prefix) else ready[0]
        self._choices.append((choice, ready))
        return choice

    def next_prefix(self) -> list[int] | None:
        """Return the choices that lead to the next order, or None after the last."""
        while self._choices and self._choices[-1][0] == self._choices[-1][1][-1]:
            self._choices.pop()
        if not self._choices:
            return None
        last, ready = self._choices.pop()
        return [*(choice for choice, _ in self._choices), ready[ready.index(last) + 1]]


def some_orders(start: Start, count: int, seed: int = 0) -> Iterator[Run]:
    """Run the coroutines in ``count`` orders drawn at random; the same seed draws the same."""
    drawn = random.Random(seed)  # noqa: S311 - reproducible on purpose
    for _ in range(count):
        yield _run(start(), drawn.choice)


def _run(coroutines: Sequence[Coroutine[Any, Any, Any]], choose: Callable[[list[int]], int]) -> Run:
    results: dict[int, Any] = {}
    order: list[int] = []
    for index, coroutine in enumerate(coroutines):  # up to the first call of a store: nothing shared is touched
        _step(index, coroutine, results)
    while ready := [index for index in range(len(coroutines)) if index not in results]:
        choice = choose(ready)
        order.append(choice)
        _step(choice, coroutines[choice], results)
    return Run(tuple(order), tuple(results[index] for index in range(len(coroutines))))


def _step(index: int, coroutine: Coroutine[Any, Any, Any], results: dict[int, Any]) -> None:
    try:
        coroutine.send(None)
    except StopIteration as end:
        results[index] = end.value
    except Exception as error:  # noqa: BLE001 - it is the result, and judged as such
        results[index] = error


@dataclass(slots=True)
class Visit:
    """What one operation met and did.

    Attributes:
        kind: Which operation it was.
        saw: It found the session alive.
        lost: It found, on saving, that the session had ended.
        ended: It was a logout of a session that it found alive.
        token: What it handed to the client; empty: it took the cookie back.
    """

    kind: Operation
    saw: bool = False
    lost: bool = False
    ended: bool = False
    token: str | None = None


class _Waiting(Inline):
    """Who waits for a lock lets the others go on, and looks again."""

    async def sleep(self, seconds: float) -> None:
        await pause()


@dataclass(slots=True)
class Race:
    """Operations that meet on one session, each in a process of its own, over one store.

    Args:
        kinds: What meets: names of `OPERATIONS`.
        store: Makes the store behind; its calls must not wait.
        subject: Whose the session is; None: no login came before.
    """

    kinds: Sequence[Operation]
    store: Callable[[], Store]
    subject: str | None = None
    _inner: Store = field(init=False)
    _clock: FakeClock = field(init=False)
    _token: str = field(init=False)
    _managers: list[SessionManager] = field(init=False)
    _visits: list[Visit] = field(init=False)

    def every_order(self) -> int:
        """Run every order, check each, and return how many there are.

        Raises:
            AssertionError: Something must not happen and did; a note on it says in which order.
        """
        return sum(self._checked(run) for run in every_order(self.start))

    def some_orders(self, count: int, seed: int = 0) -> int:
        """Run and check ``count`` orders drawn at random; see `every_order`."""
        return sum(self._checked(run) for run in some_orders(self.start, count, seed))

    def start(self) -> list[Coroutine[Any, Any, Any]]:
        """Make a fresh store with one session in it, and the operations that are to meet on it."""
        self._inner, self._clock = self.store(), FakeClock()
        manager = self._manager(self._inner)
        session = manager.begin(())
        session.update(kept=True, log=[], n=0)
        if self.subject is not None:
            session.login(self.subject)
        _finish(manager.commit(session))
        self._token = cookie_of(manager.header(session), manager.cookie_name) or ""
        self._clock.advance(_RENEWAL + 1)
        self._managers = [self._manager(Watched(self._inner), renews=kind == "renewal") for kind in self.kinds]
        self._visits = [Visit(kind) for kind in self.kinds]
        return [self._operation(number) for number in range(len(self.kinds))]

    def _manager(self, store: Store, *, renews: bool = False) -> SessionManager:
        policy = SessionPolicy(
            idle_timeout=_IDLE,
            anonymous_timeout=None,
            touch_interval=0,
            renewal_interval=_RENEWAL if renews else None,
            rotate_on=(),
        )
        manager = SessionManager(store, policy=policy, clock=self._clock, dev=False)
        manager.runtime = _Waiting()
        return manager

    async def _operation(self, number: int) -> None:
        visit, manager = self._visits[number], self._managers[number]
        if visit.kind == "expiry":
            await pause()
            self._clock.advance(2 * _IDLE)
        elif visit.kind == "sweep":
            await manager.sweep()
        else:
            session = self._begin(manager, self._token)
            await manager.load(session)
            visit.saw = session.public_id is not None
            if visit.saw or visit.kind == "login":
                _HANDLERS[visit.kind](session, number)
            await manager.commit(session)
            visit.token = cookie_of(manager.header(session), manager.cookie_name)
            visit.lost = visit.saw and visit.kind != "logout" and session.public_id is None
            visit.ended = visit.kind == "logout" and visit.saw

    @staticmethod
    def _begin(manager: SessionManager, token: str) -> Session:
        return manager.begin([(b"cookie", f"{manager.cookie_name}={token}".encode())])

    # -- what must hold

    def _checked(self, run: Run) -> int:
        try:
            self._check(run)
        except AssertionError as error:
            steps = " ".join(f"{self.kinds[number]}#{number}" for number in run.order)
            error.add_note(f"in this order of steps: {steps}; the session was of {self.subject or 'nobody'}")
            raise
        return 1

    def _check(self, run: Run) -> None:
        for result in run.results:
            assert result is None, f"an operation raised {result!r}"
        tokens = {self._token: "the session"} | {visit.token: visit.kind for visit in self._visits if visit.token}
        live = {token: session for token in tokens if (session := self._read(token)) is not None}
        held: dict[str, dict[str, Any]] = {str(session.public_id): dict(session) for session in live.values()}
        # New credentials begin a session of their own, whatever became of the one before; nothing else does.
        same = {session.public_id for token, session in live.items() if tokens[token] != "login"}
        assert len(same) <= 1, f"the session is alive under {len(same)} ids after {', '.join(self.kinds)}"
        over = any(visit.ended for visit in self._visits) or "expiry" in self.kinds
        if over:
            for token in live:
                assert tokens[token] == "login", f"the id of {tokens[token]} is alive after {', '.join(self.kinds)}"
        if any(visit.kind in ("login", "regenerate") and not visit.lost and visit.token for visit in self._visits):
            assert self._token not in live, "the old id is alive after its change"
        self._check_writes(list(held.values()), over)
        self._check_orphans(set(held))

    def _check_writes(self, held: list[dict[str, Any]], over: bool) -> None:
        for data in held:
            log = data.get("log", [])
            assert len(set(log)) == len(log), f"an append was made twice: {log}"
            assert data.get("n", 0) == len(log), f"increment made {data.get('n')} of {len(log)} appends"
        for number, visit in enumerate(self._visits):
            if visit.kind not in ("write", "login", "regenerate", "renewal") or not (
                visit.saw or visit.kind == "login"
            ):
                continue
            kept = any(f"key{number}" in data for data in held)
            if visit.lost:
                assert not kept, f"{visit.kind} is told that nothing was saved, and it was"
                assert not visit.token, f"{visit.kind} lost the session and hands out an id"
            elif not over or visit.kind == "login":
                expired = visit.kind == "login" and "expiry" in self.kinds
                # Of two logins of one browser the later takes the place of the earlier, and one that comes with a dead
                # id that of whatever followed it.
                logins = [other for other in self._visits if other.kind == "login"]
                anew = len(logins) > 1 or any(not other.saw for other in logins if other is not visit)
                assert kept or expired or anew, f"what {visit.kind} saved is gone"
            if kept:
                assert any(number in data.get("log", ()) for data in held), "the append of a write is gone"

    def _check_orphans(self, known: set[str]) -> None:
        assert supports(self._inner, Scans)
        rows, _ = _finish(self._inner.scan(None, 100))
        manager = self._manager(self._inner)
        for key, _ in rows:
            found = _finish(self._open(manager, key))
            assert found is None or found in known, "a session is alive under an id that nobody has"

    @staticmethod
    async def _open(manager: SessionManager, key: str) -> str | None:
        """Return the public id of the session that a record belongs to; None: it is none, or over."""
        try:
            async with manager.open(key) as session:
                return session.public_id
        except SessionEnded:
            return None

    def _read(self, token: str) -> Session | None:
        manager = self._manager(self._inner)
        session = self._begin(manager, token)
        _finish(manager.load(session))
        return session if session.public_id is not None else None


_IDLE: Final = 3600
_RENEWAL: Final = 600


def _write(session: Session, number: int) -> None:
    session[f"key{number}"] = number
    session["log"].append(number)
    session.increment("n")


def _read(session: Session, number: int) -> None:
    session.get("kept")


def _login(session: Session, number: int) -> None:
    session.login("ann")
    session.setdefault("log", [])
    _write(session, number)


def _regenerate(session: Session, number: int) -> None:
    session.regenerate()
    _write(session, number)


def _logout(session: Session, number: int) -> None:
    session.logout()


_HANDLERS: Final[dict[Operation, Callable[[Session, int], None]]] = {
    "write": _write,
    "read": _read,
    "renewal": _write,
    "login": _login,
    "regenerate": _regenerate,
    "logout": _logout,
}


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a store that is to be interleaved must not wait: give one that keeps records in memory")
