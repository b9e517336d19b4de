"""The example of a store that is not ours: it passes the suite that we ship, and a broken variant of it does not."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from limpet import SessionManager
from limpet.stores import Store
from limpet.testing import FakeClock, session_machine
from tests.site import Site

FOLDER: Final = Path(__file__).resolve().parents[2] / "examples" / "third_party_store"


def run(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Run one test file of a copy of the folder, without any configuration, as its reader does."""
    copied = shutil.copytree(FOLDER, folder / "copied", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:valkey", name]
    return subprocess.run(command, cwd=copied, capture_output=True, text=True, check=False)


def test_the_store_passes_the_suite(tmp_path: Path) -> None:
    """A store over LMDB keeps every promise, by a test class of five lines."""
    done = run(tmp_path, "test_lmdb_store.py")
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    source = (FOLDER / "test_lmdb_store.py").read_text()
    assert len(source[source.index("class ") :].strip().splitlines()) <= 5


def test_the_broken_store_is_told_what_is_wrong(tmp_path: Path) -> None:
    """An upsert in `update` is caught by the tests of just that, in words that say what to look for."""
    done = run(tmp_path, "test_broken_store.py")
    assert done.returncode == 1
    failed = {line.split("::")[-1].split(" ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED")}
    assert failed == {"test_update_never_creates", "test_nothing_is_revived", "test_delete_wins_over_writers_at_work"}
    assert (
        "update of an absent key returned DONE instead of ABSENT: it must never create, "
        "or a request under way revives a session that was logged out; is it an upsert?" in done.stdout
    )


async def test_sessions_are_listed_and_ended_by_subject(tmp_path: Path) -> None:
    """It pages through a subject's sessions, and forgets what an ended id leaves six minutes later."""
    store = runpy.run_path(str(FOLDER / "lmdb_store.py"))["LmdbStore"](tmp_path / "sessions", 2**24)
    clock = FakeClock()
    site = Site(SessionManager(store, clock=clock, dev=False))
    cookies = [await site.login(name) for name in ("ann", "ann", "bob")]
    assert len(await site.manager.sessions_of("ann")) == 2
    await site.run(lambda session: session.logout(), cookies[0])
    assert len(await site.manager.sessions_of("ann")) == 1
    clock.advance(361)
    assert await site.manager.sweep() == 1
    assert await site.manager.revoke_all("ann") == 1
    assert [await site.whose(cookie) for cookie in cookies] == [None, None, "bob"]
    await site.manager.shutdown()


def test_the_store_equals_the_model(tmp_path: Path) -> None:
    """Random lives of sessions in it are what the model says."""
    made = runpy.run_path(str(FOLDER / "lmdb_store.py"))

    def place() -> Callable[[], Store]:
        store = made["LmdbStore"](tempfile.mkdtemp(dir=tmp_path), 2**24)
        return lambda: store  # LMDB opens a folder once in a process

    quick = settings(
        max_examples=5,
        stateful_step_count=25,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(session_machine(place), settings=quick)
