"""Long random lives of sessions equal a pure model, on every store; and stores that are wrong are found out."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from holdfast._core.protocols import Store
from holdfast.stores.file import FileStore
from holdfast.stores.memory import MemoryStore
from holdfast.stores.sqlite import SQLiteStore
from holdfast.testing.machine import session_machine
from tests.properties.broken import BROKEN

LONG: Final = os.environ.get("HOLDFAST_LONG") == "1"


def memory() -> Callable[[], Store]:
    """One store in memory, which both workers share."""
    store = MemoryStore()
    return lambda: store


def quick(examples: int, steps: int = 40, **more: object) -> settings:
    """Settings of a normal run; HOLDFAST_LONG=1 runs a hundred times as many examples."""
    return settings(
        max_examples=examples * 100 if LONG else examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        **more,  # type: ignore[arg-type]
    )


def test_memory_equals_the_model() -> None:
    """Sessions in memory are what the model says, whatever requests, clocks and outages do."""
    run_state_machine_as_test(session_machine(memory), settings=quick(60))


def test_sqlite_equals_the_model(tmp_path: Path) -> None:
    """So are sessions in SQLite, with two workers on one file; the disk is not waited for, since nothing crashes."""
    numbers = iter(range(10**9))

    def place() -> Callable[[], Store]:
        return partial(SQLiteStore, tmp_path / f"{next(numbers)}.db", synchronous="OFF")

    run_state_machine_as_test(session_machine(place), settings=quick(15))


def test_files_equal_the_model(tmp_path: Path) -> None:
    """So are sessions in files, with two workers on one folder."""
    numbers = iter(range(10**9))

    def place() -> Callable[[], Store]:
        return partial(FileStore, tmp_path / str(next(numbers)), durable=False)

    run_state_machine_as_test(session_machine(place), settings=quick(15))


@pytest.mark.parametrize("store", BROKEN, ids=lambda store: store.__name__)
def test_a_broken_store_is_refuted(store: type[Store]) -> None:
    """A store with one thing wrong does not pass."""

    def place() -> Callable[[], Store]:
        broken = store()
        return lambda: broken

    search = quick(300, phases=[Phase.generate], derandomize=True, print_blob=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(session_machine(place), settings=search)
