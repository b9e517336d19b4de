"""Runs histories, judges them, and makes a failing one small and readable.

::

    from limpet.stores.memory import MemoryStore
    from limpet.testing.histories import check_histories

    def test_two_requests_at_once_both_count() -> None:
        check_histories(range(2_000), MemoryStore)
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from limpet.contract import Store
from limpet.manager import SessionManager
from limpet.testing.histories.facts import History
from limpet.testing.histories.judge import Problem, judge
from limpet.testing.histories.plans import Act, Mode, Plan, Rules, draw
from limpet.testing.histories.play import play, play_on_loop
from limpet.testing.histories.stage import Stuck
from limpet.testing.histories.workers import MakeManager

__all__ = [
    "Finding",
    "MakeStore",
    "check_histories",
    "check_histories_on_loop",
    "examine",
    "examine_on_loop",
    "findings",
    "shrink",
]

MakeStore: TypeAlias = Callable[[], Store]

_ORDERS: Final = 12  # orders that a smaller plan is tried in before it counts as one that does not fail
_SHARED: Final = 40  # histories that use one store, where making one takes time


@dataclass(frozen=True, slots=True)
class Finding:
    """A history in which something happened that must not.

    Attributes:
        plan: How to run it again: `examine` with the same plan finds the same.
        problems: What is wrong.
        history: What happened; None if it did not end.
    """

    plan: Plan
    problems: tuple[Problem, ...]
    history: History | None

    @property
    def statements(self) -> frozenset[str]:
        """The names of the statements that are broken."""
        return frozenset(problem.statement for problem in self.problems)

    def __str__(self) -> str:
        wrong = "\n".join(f"  {problem}" for problem in self.problems)
        return f"{wrong}\nThe plan, {self.plan}\nWhat happened:\n{self.history or '  it did not end'}"


def examine(plan: Plan, store: Store, make: MakeManager = SessionManager) -> Finding:
    """Run one plan over a store whose calls never wait, and judge it.

    Args:
        store: Empty, or with what other histories left.
        make: Makes a manager for each worker: a class of your own is judged in the same way.
    """
    with _quiet():
        try:
            history = play(plan, store, make)
        except Stuck as error:
            return _endless(plan, error)
        return Finding(plan, tuple(judge(history)), history)


async def examine_on_loop(plan: Plan, store: Store, make: MakeManager = SessionManager, *, salt: str = "") -> Finding:
    """Run one plan over any store, and judge it.

    Args:
        store: Empty, or with what other histories left.
        make: See `examine`.
        salt: Makes ids and subjects other ones, for a store that has seen the same plan before.
    """
    with _quiet():
        try:
            history = await play_on_loop(plan, store, make, salt=salt)
        except Stuck as error:
            return _endless(plan, error)
        return Finding(plan, tuple(judge(history)), history)


def findings(seeds: Iterable[int], store: MakeStore, mode: Mode | None = None) -> Iterator[Finding]:
    """Return the histories of these seeds that fail, as they were drawn."""
    for seed in seeds:
        found = examine(draw(seed, mode), store())
        if found.problems:
            yield found


def check_histories(seeds: Iterable[int], store: MakeStore, mode: Mode | None = None) -> int:
    """Run a history for each seed, and return how many there were.

    Args:
        seeds: What the histories are drawn from.
        store: Makes an empty store whose calls never wait, such as `MemoryStore`.
        mode: Where sessions live; None: mostly on the server.

    Raises:
        AssertionError: One fails. The message holds the smallest that fails in the same way.
    """
    ran = 0
    for ran, seed in enumerate(seeds, 1):  # noqa: B007 - it is what is returned
        found = examine(draw(seed, mode), store())
        if found.problems:
            small = shrink(found.plan, lambda plan: examine(plan, store()), found.statements)
            raise AssertionError(f"the history of seed {seed} fails; the same in small:\n{small}")
    return ran


async def check_histories_on_loop(seeds: Iterable[int], store: MakeStore, mode: Mode | None = None) -> int:
    """Do what `check_histories` does, over a store whose calls wait: for a disk, a server.

    Several histories share one store, under ids and subjects of their own.

    Raises:
        AssertionError: One fails; the message shows it as it was drawn.
    """
    ran = 0
    async with aclosing(_run_on_loop(seeds, store, mode)) as run:
        async for found in run:
            ran += 1
            if found.problems:
                raise AssertionError(f"the history of seed {found.plan.seed} fails:\n{found}")
    return ran


async def _run_on_loop(seeds: Iterable[int], store: MakeStore, mode: Mode | None) -> AsyncGenerator[Finding, None]:
    kept: Store | None = None
    used = 0
    try:
        for seed in seeds:
            plan = draw(seed, mode)
            alone = any(act.kind == "everyone" for act in plan.acts)
            if kept is None or alone or used >= _SHARED:
                if kept is not None:
                    await kept.close()
                kept, used = store(), 0
            used += _SHARED if alone else 1
            yield await examine_on_loop(plan, kept, salt=secrets.token_hex(6))
    finally:
        if kept is not None:
            await kept.close()


# -- smaller


def shrink(plan: Plan, run: Callable[[Plan], Finding], statements: frozenset[str]) -> Finding:
    """Return the smallest plan that was found to break one of the same statements, and what happens in it."""
    best, smaller = run(plan), True
    while smaller:
        smaller = False
        for candidate in _smaller(best.plan):
            found = _fails(candidate, run, statements)
            if found is not None:
                best, smaller = found, True
                break
    return best


def _fails(plan: Plan, run: Callable[[Plan], Finding], statements: frozenset[str]) -> Finding | None:
    for order in range(_ORDERS):
        found = run(replace(plan, seed=plan.seed if order == 0 else order))
        if found.statements & statements:
            return found
    return None


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Return plans with one thing less, those that leave out most first."""
    acts = plan.acts
    for at in range(len(acts) - 1, -1, -1):
        yield replace(plan, acts=acts[:at] + acts[at + 1 :])
    for at, act in enumerate(acts):
        for less in _smaller_acts(act):
            yield replace(plan, acts=(*acts[:at], less, *acts[at + 1 :]))
    plainest = Rules(mode=plan.rules.mode)
    for name in Rules.__slots__:
        if getattr(plan.rules, name) != getattr(plainest, name):
            yield replace(plan, rules=replace(plan.rules, **{name: getattr(plainest, name)}))
    if plan.width > 1:
        yield replace(plan, width=plan.width - 1)


def _smaller_acts(act: Act) -> Iterator[Act]:
    for at in range(len(act.steps)):
        yield replace(act, steps=act.steps[:at] + act.steps[at + 1 :])
    if act.faults:
        yield replace(act, faults={})
    fields = {"ends": "returns", "also": None, "stale": 0, "old": False, "lazy": False, "worker": 0, "actor": 0}
    plainer: list[dict[str, Any]] = [{name: plain} for name, plain in fields.items()]
    for change in plainer:
        less = replace(act, **change)
        if less != act:
            yield less
    if not act.alone:
        yield replace(act, alone=True)


def _endless(plan: Plan, error: Stuck) -> Finding:
    return Finding(plan, (Problem("everything_comes_to_an_end", str(error)),), None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings about faults that were made on purpose out of the log."""
    log = logging.getLogger("limpet")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
