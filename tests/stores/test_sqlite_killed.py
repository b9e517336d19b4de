"""Without a loop, one caller writes what others have queued: it may be killed, as a greenlet by its timeout."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from limpet.errors import StoreUnavailable
from limpet.stores import SQLiteStore
from tests.stores.blocking import done, key, record


class Killed(BaseException):
    """The time of a greenlet is over."""


def failing(_: sqlite3.Connection) -> None:
    raise sqlite3.OperationalError("this one cannot be done")


@pytest.mark.parametrize("transaction", [1, 2], ids=["of all", "of one, after that of all was rolled back"])
def test_a_write_that_another_caller_carries_out(
    tmp_path: Path, transaction: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If that one is killed while it waits for the file's lock, no write that was not committed is taken for done."""
    store = SQLiteStore(tmp_path / "sessions.db")
    for number in (1, 2):
        done(store.create(key(number), record(), now=0))
    database: Any = store._database
    begin, begun, outcomes = database._begin, 0, list[object]()

    def begin_or_die(connection: sqlite3.Connection) -> None:
        nonlocal begun
        begun += 1
        if begun == transaction:
            raise Killed
        begin(connection)

    def caller(call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        try:
            outcomes.append(done(call()))
        except (StoreUnavailable, Killed) as error:
            outcomes.append(type(error))

    monkeypatch.setattr(database, "_begin", begin_or_die)
    calls: list[Any] = [lambda: store.delete(key(1)), lambda: store.delete(key(2)), lambda: database.run(failing)]
    threads = [threading.Thread(target=caller, args=(call,)) for call in calls]
    with database._writing:
        for number, thread in enumerate(threads, 1):
            thread.start()
            while len(database._jobs) < number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == sorted(map(str, [Killed, StoreUnavailable, StoreUnavailable]))
    assert [done(store.load(key(number))) for number in (1, 2)] == [record(), record()]
    done(store.close())
