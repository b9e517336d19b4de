"""A hypothesis state machine that does to sessions what clients, handlers, clocks and outages do, on any store.

It compares with a pure model after every step: what is dead is never readable, what is live equals the model,
nothing that was saved is lost. For a store of your own::

    TestMyStore = session_machine(lambda: partial(MyStore, tempfile.mkdtemp())).TestCase

Its requests reach the engine straight, or as HTTP through an application of any framework: ``session_machine(place,
build=plain)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from limpet._core.policy import SessionPolicy
from limpet._core.protocols import Outcome, Store, Sweeps, supports
from limpet._core.record import Record
from limpet._core.session import Session
from limpet.errors import StoreUnavailable
from limpet.manager import SessionManager
from limpet.testing._drivers import Build, Driver, EngineDriver, Failure, HttpDriver, Seen, plain
from limpet.testing._model import ABSOLUTE, GRACE, IDLE, RENEWAL, SLACK, Model, Request
from limpet.testing.clock import FakeClock

__all__ = ["Build", "FailingStore", "Place", "SessionMachine", "plain", "session_machine"]

Place: TypeAlias = Callable[[], Callable[[], Store]]
"""Makes an empty place for sessions, and returns what opens a store on it: two workers each open one."""

_ACTIONS: Final = ("a", "a", "b", "read", "remove", "ann", "ann", "bob", "regenerate", "logout", "cancel")
_SHORT: Final = (1, 1, GRACE, GRACE, RENEWAL, RENEWAL, RENEWAL, SLACK)
_TIMES: Final = st.sampled_from((*_SHORT, IDLE // 2, IDLE, IDLE + SLACK // 2))
_PICK: Final = st.integers(0, 1_000)
_FAILURES: Final[st.SearchStrategy[Failure]] = st.sampled_from(("no", "no", "no", "no", "answers 500", "raises"))


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
    """A request under way: the real one and the model's."""

    real: Session
    model: Request


class SessionMachine(RuleBasedStateMachine):
    """The machine; `session_machine` makes one for a store."""

    place: Place
    build: Build | None = None

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._clock = FakeClock()
        opened = self.place()
        self._stores = [FailingStore(opened()) for _ in range(2)]
        managers = [self._worker(store) for store in self._stores]
        self._driver: Driver = EngineDriver(managers, self._runner.run)
        if self.build is not None:
            self._driver = HttpDriver(managers, self._runner.run, self.build)
        self._model = Model()
        self._open: list[_Open] = []
        self._tokens: list[str] = []
        self._values = 0

    def _worker(self, store: FailingStore) -> SessionManager:
        policy = SessionPolicy(
            idle_timeout=IDLE / 1000,
            absolute_timeout=ABSOLUTE / 1000,
            anonymous_timeout=None,
            touch_interval=0,
            renewal_interval=RENEWAL / 1000,
            renewal_grace=GRACE / 1000,
            rotate_on=(),
        )
        return SessionManager(store, policy=policy, clock=self._clock, dev=False)

    # -- requests

    @initialize()
    def a_session(self) -> None:
        """There is a session to begin with."""
        self.begin(0, 0)
        self._act(self._open[0], "a")
        self.finish(0, "no")

    @rule(worker=st.integers(0, 1), pick=_PICK)
    def begin(self, worker: int, pick: int) -> None:
        """A client sends a request: most often with a recent id, sometimes with an old one or with none."""
        if len(self._open) == 4:
            return
        recent = pick % 4 if pick % 5 else pick % (len(self._tokens) + 1)
        token = self._tokens[-1 - recent] if recent < len(self._tokens) else ""
        try:
            real = self._driver.begin(worker, token)
        except StoreUnavailable:
            assert self._stores[0].down, "a store that works was reported as unavailable"
            return
        model = self._model.begin(token, self._clock())
        self._open.append(_Open(real, model))
        self._compare(Seen.of(real), model)

    @precondition(lambda self: self._open)
    @rule(pick=_PICK, failure=_FAILURES)
    def finish(self, pick: int, failure: Failure) -> None:
        """The response starts: what the handler did is carried out."""
        request = self._open.pop(pick % len(self._open))
        now, failed, lossy = self._clock(), failure != "no", self._stores[0].lossy
        try:
            token = self._driver.finish(request.real, failure)
        except StoreUnavailable:
            assert self._stores[0].down or lossy, "a store that works was reported as unavailable"
            if not self._stores[0].down:
                self._model.finish(request.model, None, now, failed=failed, lossy=True)
            return
        if self._stores[0].down:
            return  # nothing was to be written, or it was no more than a touch
        if token:
            self._tokens.append(token)
        held = self._model.finish(request.model, token, now, failed=failed, lossy=lossy)
        if held:
            assert token in (held, None), "the client was given another id than its session has"
        else:
            assert not token, "a request whose session is over hands out an id"

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

    # -- handlers

    @precondition(lambda self: self._open)
    @rule(pick=_PICK, action=st.sampled_from(_ACTIONS))
    def handle(self, pick: int, action: str) -> None:
        """A handler writes, removes a key, logs somebody in or out, changes the id; or the request is cancelled."""
        self._act(self._open[pick % len(self._open)], action)

    def _write(self, request: _Open, key: str) -> None:
        """Assign, append inside the session, and count."""
        self._values += 1
        mine = request.model.mine.data
        request.real[key] = mine[key] = self._values
        for data in (request.real, mine):
            data.setdefault("log", []).append(self._values)
        mine["n"] = mine.get("n", 0) + 1
        request.model.counted += 1
        assert request.real.increment("n") == mine["n"]

    def _act(self, request: _Open, action: str) -> None:
        real, model = request.real, request.model
        if model.mine.created == 0 and action not in ("read", "remove", "cancel"):
            model.mine.created = self._clock()
        match action:
            case "read":
                real.get("a")
            case "a" | "b":
                self._write(request, action)
            case "remove":
                for data in (real, model.mine.data):
                    data.pop("a", None)
            case "regenerate":
                real.regenerate()
                model.regenerate = True
            case "logout":
                real.logout()
                model.ended = model.ended or model.token is not None
                model.begin_again(self._clock())
            case "cancel":
                self._open.remove(request)
                if self._driver.cancel(real) and not self._stores[0].down:
                    self._model.finish(model, None, self._clock(), failed=True, lossy=self._stores[0].lossy)
            case subject:
                real.login(subject)
                if model.mine.subject not in (None, subject):
                    model.displaced = model.displaced or model.token is not None
                    model.begin_again(self._clock())
                model.mine.subject, model.mine.created, model.login = subject, self._clock(), True

    # -- the world

    @rule(milliseconds=_TIMES)
    def tick(self, milliseconds: int) -> None:
        """Time passes."""
        self._clock.now += milliseconds

    @rule(event=st.sampled_from(("revoke", "sweep", "reopen", "down", "lossy", "up", "up", "up", "up")), pick=_PICK)
    def happen(self, event: str, pick: int) -> None:
        """An operator ends a session; records are swept; a worker starts anew; the store fails, or works again."""
        if event in ("down", "lossy", "up"):
            for store in self._stores:
                store.down, store.lossy = event == "down", event == "lossy"
        elif event == "reopen":
            self._runner.run(self._stores[pick % 2].store.close())
        elif event == "sweep" and supports(self._stores[0].store, Sweeps):
            self._runner.run(self._stores[0].store.sweep(self._clock(), 1_000))
            self._model.sweep(self._clock())
        elif event == "revoke" and self._tokens and not self._stores[0].down:
            token = self._tokens[-1 - pick % len(self._tokens)]
            key = self._driver.look(token).key
            found = self._model.locate(token, self._clock())
            if key is not None and found is not None:
                self._runner.run(self._stores[0].store.delete(key))
                del self._model.rows[found[0]]

    # -- what must hold

    @invariant()
    def what_is_readable_equals_the_model(self) -> None:
        """Under every id that was ever handed out lies what the model says, or nothing."""
        if not self._stores[0].down:
            for token in self._tokens:
                self._compare(self._driver.look(token), self._model.begin(token, self._clock()))

    def teardown(self) -> None:
        """Close the stores."""
        self._driver.close()
        self._runner.close()

    @staticmethod
    def _compare(real: Seen, model: Request) -> None:
        if model.token is None:
            assert real.key is None, f"a session that is over can be read: {real.data}"
        else:
            assert real.key is not None, f"a live session is gone: {model.mine.data}"
            assert real.data == model.mine.data
            assert real.subject == model.mine.subject


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
