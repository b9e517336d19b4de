"""A hypothesis state machine that does to sessions what clients, handlers, clocks and outages do, on any store.

What happened is judged at the end, see `limpet.testing.histories.judge`: what is dead is never readable, what is live
is there and whole, nothing that was saved is lost. For a store of your own::

    TestMyStore = session_machine(lambda: partial(MyStore, tempfile.mkdtemp())).TestCase

Its requests reach the engine straight, or as HTTP through an application of any framework: ``session_machine(place,
build=plain)``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from limpet._core.session import Session
from limpet.contract import Finds, Outcome, Pages, Record, Store, Sweeps, supports
from limpet.errors import StoreUnavailable
from limpet.events import Event
from limpet.manager import SessionManager
from limpet.testing._drivers import Build, Driver, EngineDriver, Failure, HttpDriver, plain
from limpet.testing.clock import FakeClock
from limpet.testing.histories import Act, Rules
from limpet.testing.histories.facts import CONSTANT, History, Seen, Visit
from limpet.testing.histories.handler import IDLE, Handler, Numbers
from limpet.testing.histories.judge import judge
from limpet.testing.histories.stage import Moments
from limpet.testing.histories.workers import RENEWAL, policy_of

__all__ = ["Build", "FailingStore", "Place", "SessionMachine", "plain", "session_machine"]

Place: TypeAlias = Callable[[], Callable[[], Store]]
"""Makes an empty place for sessions, and returns what opens a store on it: two workers each open one."""

_WRITES: Final = ("set", "append", "count", "nest", "recent", "constant", "unset", "empty")
_ACTIONS: Final = (*_WRITES, "read", "login:ann", "login:ann", "login:bob", "regenerate", "logout", "restart", "cancel")
_SHORT: Final = (1, 1, 30_000, 30_000, RENEWAL * 1000, RENEWAL * 1001, 60_000)
_TIMES: Final = st.sampled_from((*_SHORT, IDLE * 500, IDLE * 1000, IDLE * 1001, IDLE * 2500))
_PICK: Final = st.integers(0, 1_000)
_FAILURES: Final[st.SearchStrategy[Failure]] = st.sampled_from(("no", "no", "no", "no", "answers 500", "raises"))
_EVENTS: Final = st.sampled_from(("lose", "revoke", "sweep", "reopen", "down", "lossy", "up", "up", "up", "up"))
_POWERS: Final = frozenset({"create_urgently", "find", "find_page", "load_many", "replace", "scan", "sweep"})
_VERSIONED: Final = frozenset({"create_urgently", "replace"})
_RULES: Final = Rules(renews=True, touches=True)


class FailingStore:
    """A store that can be made to fail.

    Attributes:
        down: Every call fails, and does nothing.
        lossy: The first attempt of every write does what it should, and its reply is lost.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.down = self.lossy = False
        self._lost: object = None

    async def open(self) -> None:
        """Open the store behind."""
        await self.store.open()

    async def close(self) -> None:
        """Close the store behind."""
        await self.store.close()

    async def load(self, key: str) -> Record | None:
        """Load, unless the store is down."""
        record: Record | None = await self._do(self.store.load(key))
        return record

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        """Create, and lose the first reply."""
        return self._lose(("create", key, record.version), await self._do(self.store.create(key, record, now=now)))

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        """Update, and lose the first reply."""
        outcome = await self._do(self.store.update(key, record, expected, now=now))
        return self._lose(("update", key, record.version), outcome)

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        """Touch, and lose the first reply."""
        return self._lose(("touch", key, accessed), await self._do(self.store.touch(key, accessed, expires, now=now)))

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        """Delete, and lose the first reply."""
        return self._lose(("delete", key, version), await self._do(self.store.delete(key, version)))

    def __getattr__(self, name: str) -> Any:
        """Hand on the powers of the store behind; they fail as it does."""
        if name not in _POWERS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        behind = getattr(self.store, name)

        async def call(*given: Any, **more: Any) -> Any:
            outcome = await self._do(behind(*given, **more))
            return self._lose((name, *given[:1], given[1].version), outcome) if name in _VERSIONED else outcome

        return call

    async def _do(self, call: Coroutine[Any, Any, Any]) -> Any:
        if self.down:
            call.close()
            raise StoreUnavailable("the store is down")
        return await call

    def _lose(self, call: object, outcome: Outcome) -> Outcome:
        again, self._lost = self._lost == call, call
        if self.lossy and not again:
            raise StoreUnavailable("the reply was lost")
        self._lost = None
        return outcome


@dataclass(eq=False, slots=True)
class _Open:
    """A request under way."""

    session: Session
    visit: Visit
    handler: Handler


class SessionMachine(RuleBasedStateMachine):
    """The machine; `session_machine` makes one for a store."""

    place: Place
    build: Build | None = None

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._clock = FakeClock()
        self._start = self._clock()
        opened = self.place()
        self._stores = [FailingStore(opened()) for _ in range(2)]
        self._managers = [self._worker(store) for store in self._stores]
        self._driver: Driver = EngineDriver(self._managers, self._runner.run)
        if self.build is not None:
            self._driver = HttpDriver(self._managers, self._runner.run, self.build)
        salt = secrets.token_hex(6)
        self._names = {"ann": f"ann-{salt}", "bob": f"bob-{salt}", "tag": salt}
        self._moments, self._numbers = Moments(), Numbers()
        self._history = History(_RULES, [], constant=deepcopy(CONSTANT), names=self._names)
        self._visit: Visit | None = None
        self._open: list[_Open] = []
        self._tokens: list[str] = []

    def _worker(self, store: FailingStore) -> SessionManager:
        manager = SessionManager(store, policy=policy_of(_RULES), clock=self._clock, dev=False)
        manager.listen(self._note)
        return manager

    def _note(self, event: Event) -> None:
        if self._visit is not None:
            self._visit.events.append((self._moments.now, type(event).__name__))

    @property
    def _down(self) -> bool:
        return self._stores[0].down

    def _begun(self, act: Act, *tokens: str) -> Visit:
        """Note that something begins."""
        visit = Visit(len(self._history.visits), act, tokens, sent=self._moments.tick())
        visit.elapsed = visit.until = self._clock() - self._start
        if self._down or self._stores[0].lossy:
            visit.faults = {0: "fails"}
        self._history.visits.append(visit)
        self._visit = visit
        return visit

    def _over(self, visit: Visit) -> None:
        """Note that it has ended, and that nothing runs any more."""
        visit.answered, visit.until, self._visit = self._moments.tick(), self._clock() - self._start, None

    # -- requests

    @initialize()
    def a_session(self) -> None:
        """There is a session to begin with."""
        self.begin(0, 0)
        self._act(self._open[0], "set")
        self.finish(0, "no")

    @rule(worker=st.integers(0, 1), pick=_PICK)
    def begin(self, worker: int, pick: int) -> None:
        """A client sends a request: most often with a recent id, sometimes with an old one or with none."""
        if len(self._open) == 4:
            return
        recent = pick % 4 if pick % 5 else pick % (len(self._tokens) + 1)
        tokens = (self._tokens[-1 - recent],) if recent < len(self._tokens) else ()
        visit = self._begun(Act(worker=worker), *tokens)
        try:
            session = self._driver.begin(worker, tokens[0] if tokens else "")
        except StoreUnavailable as error:
            visit.error = error
            self._over(visit)
            return
        self._visit, visit.loaded = None, self._moments.tick()
        alive = not session.is_new
        visit.seen = Seen(alive, session.public_id, session.subject, deepcopy(dict(session)))
        known = self._names, self._history.constant, self._history.problems
        handler = Handler(self._moments, self._numbers, visit, session, *known, self._wait)
        self._open.append(_Open(session, visit, handler))

    @precondition(lambda self: self._open)
    @rule(pick=_PICK, failure=_FAILURES)
    def finish(self, pick: int, failure: Failure) -> None:
        """The response starts: what the handler did is carried out."""
        request = self._open.pop(pick % len(self._open))
        visit, handler, group = request.visit, request.handler, request.handler.group
        if self._down or self._stores[0].lossy:
            visit.faults = {0: "fails"}
        visit.failed, began, self._visit = failure != "no", len(visit.events), visit
        handler.bare(failed=visit.failed)
        try:
            visit.out = self._driver.finish(request.session, failure)
        except StoreUnavailable as error:
            visit.error, visit.sends = error, False
            group.state, group.ended = "unknown", self._moments.tick()
        else:
            visit.sends = failure != "raises" or visit.out is not None
            handler.settle(group, began, failed=visit.failed)
            visit.pid = request.session.public_id
            if visit.out:
                self._tokens.append(visit.out)
        self._over(visit)

    @rule(
        actions=st.lists(st.sampled_from(_ACTIONS), min_size=1, max_size=3),
        worker=st.integers(0, 1),
        age=st.sampled_from((0, 0, 0, 1, 2)),
        first=_PICK,
    )
    def visit(self, actions: list[str], worker: int, age: int, first: int) -> None:
        """Up to three requests with one id are under way together, each does one thing, and they finish somehow."""
        before = len(self._open)
        for number, action in enumerate(actions):
            self.begin((worker + number) % 2, age)
            if len(self._open) > before + number:
                self._act(self._open[-1], action)
        while len(self._open) > before:
            self.finish(before + first % (len(self._open) - before), "no")

    @precondition(lambda self: self._open)
    @rule(pick=_PICK, action=st.sampled_from(_ACTIONS))
    def handle(self, pick: int, action: str) -> None:
        """A handler writes, removes a key, logs somebody in or out, changes the id; or the request is cancelled."""
        self._act(self._open[pick % len(self._open)], action)

    def _act(self, request: _Open, action: str) -> None:
        visit = request.visit
        if action != "cancel":
            request.handler.act(action)
            visit.act = Act(worker=visit.act.worker, steps=(*visit.act.steps, action))
            return
        self._open.remove(request)
        self._visit = visit
        heard = self._driver.cancel(request.session)
        visit.died, visit.sends, self._visit = True, False, None
        visit.cut_late = False  # nothing was saved, unless it is a logout that the engine heard of
        request.handler.group.state = "unknown" if heard else "dropped"

    # -- the world

    def _wait(self, name: str) -> None:
        """Handlers of this machine do not let time pass: `tick` does."""

    @rule(milliseconds=_TIMES)
    def tick(self, milliseconds: int) -> None:
        """Time passes."""
        visit = self._begun(Act("tick"))
        self._clock.now += milliseconds
        self._over(visit)

    @rule(event=_EVENTS, pick=_PICK)
    def happen(self, event: str, pick: int) -> None:
        """A record is lost; an operator ends a session; records are swept; a worker starts anew; the store fails."""
        if event in ("down", "lossy", "up"):
            for store in self._stores:
                store.down, store.lossy = event == "down", event == "lossy"
            self._history.faulty = self._history.faulty or event != "up"
        elif event == "reopen":
            self._runner.run(self._stores[pick % 2].store.close())
        elif event == "sweep" and supports(self._stores[0].store, Sweeps):
            self._runner.run(self._stores[0].store.sweep(self._clock(), 1_000))
        elif event in ("lose", "revoke") and self._tokens and not self._down and not self._stores[0].lossy:
            token = self._tokens[-1 - pick % len(self._tokens)]
            key = self._driver.look(token).key
            if key is not None:
                visit = self._begun(Act("revoke"), token)
                if event == "lose":
                    self._runner.run(self._stores[0].store.delete(key))
                    visit.result = 1
                else:
                    visit.result = self._runner.run(self._managers[0].revoke(key))
                self._over(visit)

    # -- what must hold

    def teardown(self) -> None:
        """Look at everything that was ever handed out, judge, and close the stores."""
        for store in self._stores:
            store.down = store.lossy = False
        try:
            for token in dict.fromkeys(self._tokens):
                visit = self._begun(Act(), token)
                seen = self._driver.look(token)
                visit.settled, visit.asked_only, visit.loaded = True, False, self._moments.tick()
                visit.seen, visit.pid = Seen(seen.key is not None, seen.key, seen.subject, seen.data), seen.key
                self._over(visit)
            searches = supports(self._stores[0].store, Finds) or supports(self._stores[0].store, Pages)
            for subject in (self._names["ann"], self._names["bob"]) if searches else ():
                listed = self._runner.run(self._managers[0].sessions_of(subject))
                self._history.listed[subject] = {info.public_id for info in listed}
        finally:
            self._driver.close()
            self._runner.close()
        problems = judge(self._history)
        assert not problems, "\n".join([*map(str, problems), "What happened:", str(self._history)])


def session_machine(place: Place, build: Build | None = None) -> type[SessionMachine]:
    """Return the machine for one kind of store.

    Args:
        place: Makes an empty place for sessions and returns what opens a store on it, such as
            ``lambda: partial(SQLiteStore, tempfile.mktemp())``.
        build: Makes the application that the requests are sent to, as `AdapterSuite.build` does; `plain` makes one of
            no framework. None: they call the manager.
    """
    attributes: dict[str, object] = {"place": staticmethod(place)}
    if build is not None:
        attributes["build"] = staticmethod(build)
    return type("SessionMachine", (SessionMachine,), attributes)
