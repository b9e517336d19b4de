"""The store suite finds what is wrong with a store, and says so in words that help to mend it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from subprocess import run
from sys import executable
from typing import Any

import pytest

import limpet.errors
from limpet.stores import MemoryStore, Record, Store
from limpet.testing.suite_store import StoreSuite
from tests.testing.broken_stores import (
    AnswersFromASnapshot,
    ChecksThenWrites,
    CountsNothing,
    DeletesAnyVersion,
    DeletesNothing,
    ForgetsNobody,
    HidesTheConflict,
    IgnoresVersion,
    KeepsFloats,
    KeepsText,
    LeaksDriverErrors,
    LoadsAFew,
    LoadsWhatIsThere,
    LosesTheIndex,
    MovesBack,
    OnePageForAll,
    Overwrites,
    PagesByNumber,
    PagesForEver,
    RaisesOnAbsence,
    ReplacesAnything,
    ReplacesBehindTheIndex,
    ReplacesLikeUpdate,
    ScansTwice,
    StaysClosed,
    SwallowsFailures,
    SweepsEverything,
    SweepsTheLiving,
    TouchCountsAsAWrite,
    TouchCreates,
    TouchMovesBack,
    TouchRevives,
    Upserts,
    UrgentlyOverwrites,
)

REFUTED: Sequence[tuple[Callable[[], MemoryStore], str, str]] = [
    (Upserts, "test_update_never_creates", "update of an absent key returned DONE instead of ABSENT"),
    (Upserts, "test_nothing_is_revived", "update after delete returned DONE instead of ABSENT"),
    (Upserts, "test_delete_wins_over_writers_at_work", "deleted while others wrote it came back"),
    (IgnoresVersion, "test_update_needs_the_current_version", "an update was lost"),
    (IgnoresVersion, "test_one_of_many_updates", "50 of 50 concurrent updates of one version returned DONE, not 1"),
    (ChecksThenWrites, "test_one_of_many_updates", "concurrent updates of one version returned DONE, not 1"),
    (ChecksThenWrites, "test_every_writer_that_tries_again_counts", "of 50 concurrent writers were kept"),
    (HidesTheConflict, "test_update_needs_the_current_version", "expected a Record, got ABSENT"),
    (AnswersFromASnapshot, "test_update_needs_the_current_version", "must return the record that is there now"),
    (AnswersFromASnapshot, "test_update_recognises_a_repeated_write", "did not return the version that it had written"),
    (Overwrites, "test_create_never_overwrites", "create over a record must return the record that is there"),
    (Overwrites, "test_one_of_many_creates", "50 of 50 concurrent creates of one key returned DONE, not 1"),
    (MovesBack, "test_update_never_moves_time_back", "update moved a time back: accessed is"),
    (TouchMovesBack, "test_touch_never_moves_time_back", "touch moved a time back: accessed is"),
    (TouchRevives, "test_nothing_is_revived", "touch after delete returned DONE instead of ABSENT"),
    (TouchCreates, "test_touch_never_creates", "touch of an absent key returned DONE instead of ABSENT"),
    (TouchCountsAsAWrite, "test_touch_moves_time_forward", "load after touch: version is"),
    (TouchCountsAsAWrite, "test_touch_does_not_stand_in_the_way_of_an_update", "touch changed the version"),
    (DeletesAnyVersion, "test_delete_of_another_version_keeps_the_record", "it ignores the version"),
    (DeletesNothing, "test_delete_removes", "delete returned DONE and the record is still there"),
    (DeletesNothing, "test_delete_of_an_absent_key_is_fine", "delete of an absent key returned DONE instead of ABSENT"),
    (RaisesOnAbsence, "test_absent_is_none", "KeyError"),
    (KeepsText, "test_payload_bytes_come_back", "payload is"),
    (KeepsFloats, "test_versions_of_64_bits", "load of version 9007199254740993: version is 9007199254740992"),
    (ForgetsNobody, "test_subjects_are_any_text_or_none", "load of subject '': subject is None and should be ''"),
    (StaysClosed, "test_a_closed_store_opens_when_it_is_used", "the store is closed"),
    (SwallowsFailures, "test_an_outage_is_told", "load during an outage returned None instead of raising"),
    (
        LeaksDriverErrors,
        "test_an_outage_is_told",
        "load during an outage raised ConnectionResetError('connection lost')",
    ),
    (SweepsTheLiving, "test_sweep_spares_the_living", "['not yet expired', 'moved by touch']"),
    (SweepsEverything, "test_sweep_deletes_what_has_expired", "sweep with a limit of 3 deleted 7"),
    (LosesTheIndex, "test_find_follows_every_write", "find after the subject changed gave 2 records, not 1"),
    (ScansTwice, "test_scan_walks_through_everything", "twice"),
    (UrgentlyOverwrites, "test_create_urgently_is_create", "create_urgently where there is a record must return it"),
    (CountsNothing, "test_count_is_about_right", "count gave 0, and there are 7 records at least"),
    (ReplacesLikeUpdate, "test_replace_takes_times_as_given", "load after replace: accessed is"),
    (ReplacesLikeUpdate, "test_sweep_follows_a_replace", "sweep did not delete a record that replace shortened"),
    (ReplacesAnything, "test_replace_needs_the_current_version", "an update was lost"),
    (ReplacesAnything, "test_replace_never_creates", "replace of an absent key returned DONE instead of ABSENT"),
    (ReplacesAnything, "test_one_of_many_replaces", "concurrent writers of one version were told DONE, not 1"),
    (ReplacesBehindTheIndex, "test_replace_moves_a_subject", "after replace with subject eve, find gave"),
    (LoadsWhatIsThere, "test_load_many_gives_what_load_gives", "load_many of 5 keys gave 4 answers"),
    (LoadsAFew, "test_load_many_of_many", "load_many of 300 keys gave 100 answers"),
    (OnePageForAll, "test_pages_give_all_of_a_subject", "a page of about 10 records has 300"),
    (PagesByNumber, "test_pages_go_on_while_records_come_and_go", "find_page passed over"),
    (PagesForEver, "test_pages_give_all_of_a_subject", "find_page did not come to an end"),
    (PagesForEver, "test_pages_go_on_while_records_come_and_go", "find_page comes to no end"),
    (PagesForEver, "test_pages_of_nobody", "find_page of nothing gave [] and ''"),
]


class WithOutage(StoreSuite):
    """The suite with the hook that turns a store's service off, for the stores here that have the switch."""

    def outage(self, store: Store) -> AbstractAsyncContextManager[object] | None:
        if not isinstance(store, SwallowsFailures | LeaksDriverErrors):
            return None

        @contextlib.asynccontextmanager
        async def down() -> AsyncIterator[None]:
            store.down = True
            yield
            store.down = False

        return down()


def failures(make: Callable[[], MemoryStore]) -> dict[str, str]:
    """Return what each failing test of the suite says about a store."""
    found: dict[str, str] = {}
    for name, test in inspect.getmembers(WithOutage(), inspect.iscoroutinefunction):
        if name.startswith("test_"):
            try:
                asyncio.run(test(make()))
            except Exception as error:  # noqa: BLE001 - what a test raises is what is looked at
                found[name] = f"{type(error).__name__}: {error}"
    return found


@pytest.mark.parametrize(("make", "test", "message"), REFUTED)
def test_a_broken_store_is_refuted(make: Callable[[], MemoryStore], test: str, message: str) -> None:
    """A store that breaks one promise fails the test of that promise, with a message that names the fault."""
    suite: Any = WithOutage()
    with pytest.raises(Exception) as raised:
        asyncio.run(getattr(suite, test)(make()))
    assert message in f"{raised.type.__name__}: {raised.value}"


def test_a_right_store_is_not_refuted() -> None:
    """The store that all these broken ones are made from fails no test."""
    assert failures(MemoryStore) == {}


def test_every_test_of_the_suite_can_fail() -> None:
    """No test of the suite is there for show: each is failed by one of these stores, or by one that does nothing."""
    names = {name for name, _ in inspect.getmembers(StoreSuite, inspect.iscoroutinefunction) if name[:5] == "test_"}
    failed = {test for _, test, _ in REFUTED} | set(failures(DoesNothing))
    assert names - failed == {"test_another_store_sees_what_was_written"}, "that one is failed below"


class DoesNothing(MemoryStore):
    """Answers every call, and never rightly."""

    async def load(self, key: str) -> Record | None:
        return Record(0, b"", 0, 0)

    async def sweep(self, now: int, limit: int) -> int:
        return limit

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        return (), "again"

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        return [(subject, Record(0, b"", 0, 0))]

    async def check(self) -> Sequence[str]:
        return ["bad"]


def test_a_store_that_forgets_is_refuted() -> None:
    """A store that claims to outlive its object, and does not, fails the test of a second store."""

    class Durable(StoreSuite):
        def reopen(self, store: Store) -> Store:
            return MemoryStore()

    with pytest.raises(AssertionError, match="load in a second store: expected a Record, got None"):
        asyncio.run(Durable().test_another_store_sees_what_was_written(MemoryStore()))


SUBCLASS = """
import pytest
from limpet.stores import MemoryStore
from limpet.testing.suite_store import StoreSuite

class TestMine(StoreSuite):
    {mark}

    @pytest.fixture
    def store(self):
        return MemoryStore()

    {backend}
"""
BACKEND = """
    @pytest.fixture
    def anyio_backend(self):
        return "asyncio"
"""


@pytest.mark.parametrize(
    ("mark", "backend", "options"),
    [
        ("", "", ["-p", "no:anyio", "-p", "pytest_asyncio", "-o", "asyncio_mode=auto"]),
        ("pytestmark = pytest.mark.anyio", BACKEND, ["-p", "no:asyncio", "-p", "anyio"]),
    ],
    ids=["pytest-asyncio", "anyio"],
)
def test_a_subclass_is_all_it_takes(tmp_path: Path, mark: str, backend: str, options: list[str]) -> None:
    """A third party's test file of a few lines runs the whole suite, under either plugin."""
    (tmp_path / "test_mine.py").write_text(SUBCLASS.format(mark=mark, backend=backend))
    command = [executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:valkey", *options, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(limpet.errors.__file__).parents[1])}
    done = run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "54 passed" in done.stdout
