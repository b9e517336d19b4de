"""Thousands of drawn histories keep what sessions promise, on every store; what breaks a promise is found out."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from limpet.contract import Record, Store
from limpet.stores.file import FileStore
from limpet.stores.memory import MemoryStore
from limpet.stores.postgres import PostgresStore
from limpet.stores.redis import RedisStore
from limpet.stores.sqlite import SQLiteStore
from limpet.testing.histories import (
    OPERATIONS,
    Act,
    Finding,
    Plan,
    Rules,
    check_faults,
    check_histories,
    check_histories_on_loop,
    draw,
    examine,
    examine_on_loop,
    faults_of,
    shrink,
)
from limpet.testing.histories.plans import Mode
from limpet.testing.histories.stage import Stage, Stuck, pause
from tests.properties.broken import LostCheck, SwallowedFailure
from tests.properties.broken_managers import BROKEN_MANAGERS, SwallowsFailures

SEED: Final = int(os.environ.get("LIMPET_SEED", "0"))
HISTORIES: Final = int(os.environ.get("LIMPET_HISTORIES", "100000"))
"""Where long runs begin to draw, and how many histories they run on each kind of store."""
BLOCK: Final = 300

Open = Callable[[pytest.FixtureRequest], Callable[[], Store]]


def _files(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue("tmp_path")
    return folder


def _sqlite(request: pytest.FixtureRequest) -> Callable[[], Store]:
    folder = _files(request)
    return lambda: SQLiteStore(folder / f"{secrets.token_hex(8)}.db", synchronous="OFF")


def _file(request: pytest.FixtureRequest) -> Callable[[], Store]:
    folder = _files(request)
    return lambda: FileStore(folder / secrets.token_hex(8), durable=False)


def _redis(request: pytest.FixtureRequest) -> Callable[[], Store]:
    url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_prefix")
    return lambda: RedisStore(url, prefix=f"{prefix}{secrets.token_hex(8)}:")


def _postgres(request: pytest.FixtureRequest) -> Callable[[], Store]:
    url, schema = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_schema")
    return lambda: PostgresStore(url, schema=f"{schema} {secrets.token_hex(6)}")


STORES: Final[dict[str, Open]] = {"sqlite": _sqlite, "file": _file, "redis": _redis, "postgres": _postgres}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Callable[[], Store]:
    """What makes an empty store, of each kind whose calls wait."""
    return STORES[request.param](request)


# -- nothing is broken


@pytest.mark.parametrize("block", range(8))
def test_histories(block: int) -> None:
    """Over a store in memory, where every call may be the moment at which another request goes on."""
    first = SEED + block * BLOCK
    assert check_histories(range(first, first + BLOCK), MemoryStore) == BLOCK


@pytest.mark.parametrize("mode", ["none", "epoch", "denylist"])
def test_histories_of_cookies(mode: Mode) -> None:
    """Sessions in cookies: what was put in comes out, and what was ended stays ended where it can be."""
    assert check_histories(range(SEED, SEED + BLOCK), MemoryStore, mode) == BLOCK


async def test_histories_on_every_store(store: Callable[[], Store]) -> None:
    """The same over stores whose calls are waited for."""
    assert await check_histories_on_loop(range(SEED, SEED + 40), store) == 40


@pytest.mark.parametrize("name", OPERATIONS)
def test_f28_f29_every_fault_at_every_call(name: str) -> None:
    """The browser has the old session or the new one, whole, whatever call of the store fails, and however."""
    assert check_faults(name, MemoryStore) > 1


@pytest.mark.long
@pytest.mark.timeout(0)
def test_many_histories() -> None:
    """Many more, over a store in memory."""
    assert check_histories(range(SEED, SEED + HISTORIES), MemoryStore) == HISTORIES


@pytest.mark.long
@pytest.mark.timeout(0)
async def test_many_histories_on_every_store(store: Callable[[], Store]) -> None:
    """Many more, over stores whose calls are waited for."""
    assert await check_histories_on_loop(range(SEED, SEED + HISTORIES), store) == HISTORIES


# -- what is broken is found out


class ForgetsSubjects(MemoryStore):
    """Finds nobody's sessions."""

    async def find(self, subject: str) -> list[tuple[str, Record]]:
        return []

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[list[tuple[str, Record]], str | None]:
        return [], None


class MixesUp(MemoryStore):
    """Now and then answers with the record that was asked for before."""

    def __init__(self) -> None:
        super().__init__()
        self._loads = 0
        self._last: Record | None = None

    async def load(self, key: str) -> Record | None:
        self._loads += 1
        found = await super().load(key)
        mixed = self._last if self._loads % 7 == 0 and found is not None and self._last is not None else found
        self._last = found if found is not None else self._last
        return mixed


BROKEN_STORES: Final = (LostCheck, SwallowedFailure, ForgetsSubjects, MixesUp)


def _differs(broken: Callable[[Plan], Finding], most: int = 400) -> Finding | None:
    """Return the first history that fails with what is broken, and does not with what is whole."""
    for seed in range(most):
        plan = draw(seed)
        found = broken(plan)
        if found.problems and not examine(plan, MemoryStore()).problems:
            return found
    return None


@pytest.mark.parametrize("store", BROKEN_STORES, ids=lambda store: store.__name__)
def test_a_broken_store_is_found_out(store: type[MemoryStore]) -> None:
    """A store that breaks its contract breaks a promise in some history, and the whole store in that does not."""
    assert _differs(lambda plan: examine(plan, store())) is not None


@pytest.mark.parametrize("name", BROKEN_MANAGERS)
def test_a_broken_manager_is_found_out(name: str) -> None:
    """So does a manager that breaks one."""
    make = BROKEN_MANAGERS[name]
    assert _differs(lambda plan: examine(plan, MemoryStore(), make)) is not None


def test_swallowed_failures_are_found_out() -> None:
    """A manager that reports as saved what no store took is found out where a call fails twice."""
    assert not any(found.problems for found in faults_of("write", MemoryStore))
    assert any(found.problems for found in faults_of("write", MemoryStore, SwallowsFailures))


# -- what is found can be run again, and read


def _clumsy() -> Plan:
    acts = tuple(Act(actor=number % 2, worker=number % 2, steps=("set", "append")) for number in range(6))
    return Plan(Rules(queues=False, max_sessions=2, touches=True), acts, seed=7)


def test_a_history_is_reproducible() -> None:
    """The same plan gives the same history, to the last id."""
    for seed in range(20):
        first, again = (str(examine(draw(seed), MemoryStore())) for _ in range(2))
        assert first == again


async def test_a_history_is_the_same_on_a_loop() -> None:
    """On an event loop the same plan takes the same steps."""
    for seed in range(20):
        plan = draw(seed)
        by_hand, on_loop = examine(plan, MemoryStore()), await examine_on_loop(plan, MemoryStore())
        assert str(by_hand) == str(on_loop)


def test_a_failing_history_is_made_small() -> None:
    """What has nothing to do with the failure is left out, and what is left still fails."""
    broken = BROKEN_MANAGERS["counts for itself"]
    plan = Plan(
        Rules(touches=True), (*_clumsy().acts, Act(steps=("count",), alone=True), Act(steps=("count",))), seed=1
    )
    found = next(found for seed in range(200) if (found := _run(plan, seed, broken)).problems)
    small = shrink(found.plan, lambda plan: examine(plan, MemoryStore(), broken), found.statements)
    assert small.statements & found.statements
    assert len(small.plan.acts) < len(plan.acts)
    assert examine(small.plan, MemoryStore(), broken).statements == small.statements
    assert "does not find" in str(small)
    assert f"order drawn from {small.plan.seed}" in str(small)


def _run(plan: Plan, seed: int, broken: Callable[..., object]) -> Finding:
    from dataclasses import replace

    return examine(replace(plan, seed=seed), MemoryStore(), broken)  # type: ignore[arg-type]


def test_a_check_says_what_fails_and_how_to_run_it_again() -> None:
    """The message names the seed, the statement that is broken, the plan and what happened."""
    with pytest.raises(AssertionError) as caught:
        check_histories(range(400), LostCheck)
    text = str(caught.value)
    assert text.startswith("the history of seed ")
    for part in ("the same in small:", "The plan, rules: ", "What happened:"):
        assert part in text


def test_whoever_waits_for_ever_is_named() -> None:
    """Coroutines that wait for each other, or never end, are a failure with their names."""

    async def waits() -> None:
        await pause(lambda: False)

    async def turns() -> None:
        while True:
            await pause()

    for coroutine, text in ((waits, "all wait for each other: one"), (turns, "no end after")):
        stage = Stage(lambda ready: 0)
        stage.add("one", coroutine())
        with pytest.raises(Stuck, match=text):
            stage.run()
        stage.clear()
