"""Runs a plan: browsers with jars, workers with clocks of their own, operators; and notes what happened."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

from limpet._core.session import Session
from limpet.contract import NEVER, Finds, Pages, Scans, Store, supports
from limpet.errors import LimpetError
from limpet.events import Event
from limpet.manager import SessionManager
from limpet.protocols import Importer
from limpet.testing.histories.facts import CONSTANT, History, Seen, Visit, cookie_of
from limpet.testing.histories.handler import IDLE, Handler, Numbers
from limpet.testing.histories.plans import Act, Plan
from limpet.testing.histories.stage import LoopStage, Stage, pause
from limpet.testing.histories.watched import calling
from limpet.testing.histories.workers import (
    RENEWAL,
    START,
    Browser,
    MakeManager,
    Settings,
    Worker,
    old_session,
    policy_of,
)

__all__ = ["Play", "play", "play_on_loop"]

_TIMES: Final = {"tick": 5, "wait": 1_200, "half": IDLE // 2, "long": IDLE * 7 // 10, "expiry": 3 * IDLE}
"""How long each act that lets time pass takes, in seconds; ``long`` is a step of a handler."""
_FOR_GOOD: Final = 1_000 * 86_400
"""Seconds after which nothing of a history may be left in its store."""
_KEPT: Final = 2
"""Records that may be there for ever, however much happened."""


class Play:
    """One run of a plan over one store.

    Args:
        store: Empty, or used by others under other ids and subjects.
        stage: What decides who goes on.
        salt: Goes into the names of subjects, so that no other history in this store has them.
        make: Makes the manager of a worker.
    """

    def __init__(self, plan: Plan, store: Store, stage: Stage, salt: str, make: MakeManager = SessionManager) -> None:
        self.plan, self.store, self.stage = _fitting(plan, store), store, stage
        plan = self.plan
        self.dice = random.Random(plan.seed)  # noqa: S311 - reproducible on purpose
        self.elapsed = 0
        self.numbers = Numbers()
        self.names = {"ann": f"ann-{salt}", "bob": f"bob-{salt}", "tag": salt}
        self.constant = deepcopy(CONSTANT)
        self.history = History(plan.rules, [], constant=self.constant, names=self.names)
        importers: Sequence[Importer] = ()
        if plan.rules.imports:
            self.history.imported, importers = old_session({"user": self.names["ann"], "k999": 999})
        policy = policy_of(plan.rules)
        self.settings = Settings(plan.rules, policy, importers, store, stage, make, self._note, self._forgets)
        self.browsers = [Browser() for _ in range(3)]
        self.workers = [self._worker(skew) for skew in plan.rules.skew]
        self._outside: list[Visit] = []  # time passes, whichever process dies
        self.pids: dict[str, str] = {}
        self.running = 0

    def _worker(self, skew: int) -> Worker:
        return Worker(self.settings, START + self.elapsed + skew)

    def _forgets(self, keys: Sequence[str]) -> set[str]:
        """Lose some of what the index has."""
        return {key for key in keys if self.dice.random() < 0.5}

    def _note(self, event: Event) -> None:
        """Note an event for the request that was running."""
        visit = calling.get()
        if isinstance(visit, Visit) and not self.stage.closed:
            visit.events.append((self.stage.now, type(event).__name__))

    def begin(self) -> None:
        """Put what begins the acts on the stage."""
        self.stage.add("director", self._direct())

    async def _direct(self) -> None:
        for act in self.plan.acts:
            room = 0 if act.alone else self.plan.width - 1
            if self.running > room:
                await pause(lambda room=room: self.running <= room)  # type: ignore[misc]
            self._start(act)
            await pause()
        if self.running:
            await pause(lambda: self.running == 0)
        self._settle()

    def _visit(self, act: Act) -> Visit:
        visit = Visit(len(self.history.visits), act, elapsed=self.elapsed, sent=self.stage.tick())
        visit.faults = dict(act.faults)
        self.history.visits.append(visit)
        self.history.faulty = self.history.faulty or bool(act.faults)
        return visit

    def _start(self, act: Act) -> None:
        worker = self.workers[act.worker]
        if worker.dead:
            worker = self.workers[act.worker] = self._worker(self.plan.rules.skew[act.worker])
        visit = self._visit(act)
        under_way = self._outside if act.kind in _TIMES else worker.visits
        under_way.append(visit)

        def cut() -> None:
            at, last = len(visit.calls) - 1, act.last_write
            visit.cut_late = last is None or at > last or (at == last and act.faults.get(at) == "cut after")
            for there in worker.visits:
                there.until = self.elapsed
            worker.cut()
            self.running -= sum(there.died for there in worker.visits)
            worker.visits.clear()

        visit.on_cut = cut
        does = self._request if act.kind == "request" else self._operate
        self.running += 1
        self.stage.add(f"#{visit.number}", self._whole(visit, under_way, does(visit, worker)))

    async def _whole(self, visit: Visit, under_way: list[Visit], does: Coroutine[Any, Any, None]) -> None:
        calling.set(visit)
        try:
            await does
        except LimpetError as error:
            visit.error = error
        except Exception as error:  # noqa: BLE001 - whatever a request raises that is not ours is a fault of ours
            visit.error = error
            self.history.problems.append(f"#{visit.number} raised {error!r}")
        if visit.answered is None:
            visit.answered = self.stage.tick()
        visit.until = self.elapsed
        under_way.remove(visit)
        if visit.act.kind == "request" and not visit.settled and visit.sends and (visit.ok or visit.out is not None):
            await pause()  # answers arrive in any order
            self.browsers[visit.act.actor].keep(visit.out)
        self.running -= 1

    # -- requests

    def _headers(self, visit: Visit, worker: Worker) -> list[tuple[bytes, bytes]]:
        act, name = visit.act, worker.manager.cookie_name
        browser = self.browsers[act.actor]
        tokens = [browser.sends(act.stale)]
        if act.also is not None:
            tokens.append(self.browsers[act.also].cookie)
        visit.tokens = tuple(dict.fromkeys(token for token in tokens if token))
        pairs = [f"{name}={token}" for token in visit.tokens]
        if self.history.imported is not None and (act.old or (act.actor == 0 and not visit.tokens)):
            visit.tokens = (self.history.imported,)
            pairs = [f"session={self.history.imported}"]
        return [(b"cookie", "; ".join(pairs).encode())] if pairs else []

    async def _request(self, visit: Visit, worker: Worker) -> None:
        await self._served(visit, worker, self._headers(visit, worker))

    async def _served(self, visit: Visit, worker: Worker, headers: list[tuple[bytes, bytes]]) -> None:
        manager = worker.manager
        session = manager.begin(headers)
        visit.sends = False
        if not visit.act.lazy:
            await self._read(visit, worker, session)
        handler = self._handler(visit, worker, session)
        try:
            await handler.run()
        except LimpetError as error:
            visit.error = error
        visit.failed = visit.error is not None or visit.act.ends != "returns"
        handler.bare(failed=visit.failed)
        group, began = handler.group, len(visit.events)
        if visit.failed:
            await manager.commit(session, failed=True)
            if group.state == "open":
                handler.settle(group, began, failed=True)
        else:
            await handler.saving(lambda: manager.commit(session), group, last=True)
        token = cookie_of(manager.header(session), manager.cookie_name)
        visit.sends = visit.act.ends != "raises" and (visit.error is None or token is not None)
        visit.out = token if visit.sends else None
        visit.pid = None if handler.unread else session.public_id
        if visit.seen is None:
            visit.loaded, visit.read = self.stage.tick(), self.elapsed
        if token and self.plan.rules.mode != "server" and not visit.failed:
            visit.made = session.subject, deepcopy(dict(session))
        if visit.pid is not None and (token or len(visit.tokens) == 1):
            self.pids[token or visit.tokens[0]] = visit.pid
        visit.answered = self.stage.tick()

    async def _read(self, visit: Visit, worker: Worker, session: Session) -> None:
        await worker.manager.load(session)
        visit.loaded, visit.read = self.stage.tick(), self.elapsed
        whole = visit.settled or visit.number % 3 > 0  # the others look at nothing that they do not need
        data = deepcopy(dict(session)) if whole else None
        alive = not session.is_new or session.subject is not None
        visit.seen = Seen(alive, session.public_id, session.subject, data)

    def _handler(self, visit: Visit, worker: Worker, session: Session) -> Handler:
        known = self.names, self.constant, self.history.problems, self._tick
        does = lambda: self._read(visit, worker, session), lambda: self._revoke(visit, worker)
        return Handler(self.stage, self.numbers, visit, session, *known, *does)

    async def _revoke(self, visit: Visit, worker: Worker) -> None:
        """Let a handler do what an operator does: revoke the session that its request came with."""
        pid = visit.seen.public_id if visit.seen is not None else self.pids.get("".join(visit.tokens[:1]))
        meant = [token for token in visit.tokens if len(visit.tokens) == 1 or self.pids.get(token) == pid]
        if pid is None or not meant or self.plan.rules.mode != "server":
            return
        act = self._visit(Act("revoke", visit.act.actor, visit.act.worker))
        act.tokens, act.pid, act.faults = tuple(meant), pid, visit.faults
        try:
            act.result = await worker.manager.revoke(pid)
        except LimpetError as error:
            act.error = error
            raise
        finally:
            act.until = self.elapsed
        act.answered = self.stage.tick()

    # -- operators

    async def _operate(self, visit: Visit, worker: Worker) -> None:
        kind, _, name = visit.act.kind.partition(":")
        mode = self.plan.rules.mode
        if mode != "server" and kind not in _TIMES and kind != "sweep" and (mode, kind) != ("epoch", "revoke_all"):
            self.history.visits.remove(visit)  # refused in words, where there is nothing on the server
            return
        manager, token = worker.manager, self.browsers[visit.act.actor].cookie
        pid = self.pids.get(token)
        visit.subject = self.names.get(name)
        match kind:
            case "tick" | "wait" | "half" | "expiry":
                self._tick(kind)
            case "sweep":
                await manager.sweep()
            case "open" if pid is not None:
                visit.tokens, visit.pid = (token,), pid
                async with manager.open(pid) as session:
                    visit.loaded = self.stage.tick()
                    visit.seen = Seen(True, session.public_id, session.subject, deepcopy(dict(session)))
                    handler = self._handler(visit, worker, session)
                    handler.act("".join(visit.act.steps) or "append")
                    handler.group.state = "unknown"  # until it is saved
                    await pause()
                handler.settle(handler.group, len(visit.events))
            case "revoke" if pid is not None:
                visit.tokens, visit.pid = (token,), pid
                visit.result = await manager.revoke(pid)
            case "revoke_all":
                visit.result = await manager.revoke_all(self.names[name])
            case "spare":
                visit.spared = token if pid is not None else None
                visit.result = await manager.revoke_all(self.names[name], except_=pid)
            case "revoke_tag":
                visit.result = await manager.revoke(tag=("sid", self.names["tag"]))
            case "everyone":
                visit.result = await manager.revoke_everyone()
            case _:
                pass

    def _tick(self, name: str) -> None:
        seconds = RENEWAL + 1 if name == "tick" and self.plan.rules.renews else _TIMES[name]
        self.elapsed += seconds * 1000
        for number, worker in enumerate(self.workers):
            skew = self.plan.rules.skew[number]
            if self.plan.rules.steps:
                skew = self.dice.choice((-150_000, -5_000, 0, 5_000, 150_000))  # hosts: five minutes apart
            worker.clock.now = START + self.elapsed + skew

    # -- the end

    def _settle(self) -> None:
        """Look at everything that was ever handed out, from a process whose clock is right and whose store works."""
        self.stage.add("settling", self._look())

    async def _look(self) -> None:
        worker = Worker(self.settings, START + self.elapsed, clean=True)
        name = worker.manager.cookie_name
        tokens = {visit.out for visit in self.history.visits if visit.out}
        for token in sorted(tokens):
            await self._see(worker, token, [(b"cookie", f"{name}={token}".encode())])
        if self.plan.rules.mode == "server" and _searches(self.store):
            for subject in (self.names["ann"], self.names["bob"]):
                self.history.listed[subject] = {info.public_id for info in await worker.manager.sessions_of(subject)}
        if self.plan.sweeps:
            await self._sweep(worker)

    async def _sweep(self, worker: Worker) -> None:
        """Let everything expire: what is then left is never removed."""
        worker.clock.advance(_FOR_GOOD)
        await worker.manager.sweep()
        if supports(self.store, Scans):
            left, _ = await self.store.scan(None, 100)
            late = [record for _, record in left if record.expires < NEVER]
            if late or len(left) > _KEPT:
                self.history.problems.append(f"{len(left)} records are left for ever after everything has expired")

    async def _see(self, worker: Worker, token: str, headers: list[tuple[bytes, bytes]]) -> None:
        visit = self._visit(Act(steps=("ask",)))
        visit.settled, visit.tokens = True, (token,)
        worker.visits.append(visit)
        self.running += 1
        await self._whole(visit, worker.visits, self._served(visit, worker, headers))


def _searches(store: Store) -> bool:
    """Tell whether a store finds the sessions of a subject."""
    return supports(store, Finds) or supports(store, Pages)


def _fitting(plan: Plan, store: Store) -> Plan:
    """Return the plan without what needs an optional power that the store does not have."""
    lacking = {"everyone"} if not supports(store, Scans) else set[str]()
    if not _searches(store):
        lacking |= {"revoke_all", "spare", "revoke_tag"}
        plan = replace(plan, rules=replace(plan.rules, max_sessions=None))
    if not lacking:
        return plan
    acts = (replace(act, kind="nothing") if act.kind.partition(":")[0] in lacking else act for act in plan.acts)
    return replace(plan, acts=tuple(acts))


def _chooser(plan: Plan) -> Callable[[int], int]:
    return random.Random(plan.seed).randrange  # noqa: S311 - reproducible on purpose


@contextmanager
def _reproducible(seed: str) -> Iterator[None]:
    """Let entropy come from a seed, so that a history runs the same way again."""
    dice = random.Random(seed)  # noqa: S311 - reproducible on purpose
    with patch.object(os, "urandom", dice.randbytes), patch.object(random, "_urandom", dice.randbytes):
        yield


def play(plan: Plan, store: Store, make: MakeManager = SessionManager, *, salt: str = "") -> History:
    """Run a plan over a store whose calls never wait.

    Args:
        salt: Makes ids and subjects other ones, for a store that has seen the same plan before.

    Raises:
        Stuck: It does not end.
    """
    stage = Stage(_chooser(plan))
    run = Play(plan, store, stage, salt or str(plan.seed), make)
    run.begin()
    with _reproducible(f"{plan.seed} {salt}"):
        try:
            stage.run()
        finally:
            stage.clear()
    return _ended(run, stage)


async def play_on_loop(plan: Plan, store: Store, make: MakeManager = SessionManager, *, salt: str = "") -> History:
    """Run a plan over any store; see `play`.

    Raises:
        Stuck: It does not end.
    """
    stage = LoopStage(_chooser(plan))
    run = Play(plan, store, stage, salt or str(plan.seed), make)
    run.begin()
    with _reproducible(f"{plan.seed} {salt}"):
        try:
            await stage.run_on_loop()
        finally:
            await stage.clear_on_loop()
    return _ended(run, stage)


def _ended(run: Play, stage: Stage) -> History:
    for actor in stage.failed():
        if actor.name in ("director", "settling", "background"):  # a request raises what its tasks raise
            run.history.problems.append(f"{actor.name} raised {actor.error!r}")
    return run.history
