"""F06: a process that is killed while it saves leaves the old or the new record, and what was acknowledged stays."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from limpet.stores import Record, open_store
from tests.counts import count
from tests.faults.local import KINDS, finish, running, url
from tests.faults.local_worker import state
from tests.stores.blocking import done, key

KILLS = count(30, 1000)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_f06_kill_nine(kind: str, tmp_path: Path) -> None:
    """After each of many kills the record is that of the last acknowledged save, or of the one under way, and whole."""
    dice = random.Random(6)
    store: Any = open_store(url(kind, tmp_path))
    saves = 0
    with running("nursery", url(kind, tmp_path)) as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        for kill in range(KILLS):
            print(kill, file=nursery.stdin, flush=True)
            child = int(nursery.stdout.readline().removeprefix("pid "))
            acknowledged = -1
            last = dice.randrange(-1, 12)
            while acknowledged < last:
                acknowledged = int(nursery.stdout.readline().removeprefix("ack "))
            time.sleep(dice.uniform(0, 0.003))  # any moment of the save that follows, or of one after that
            os.kill(child, signal.SIGKILL)
            while (line := nursery.stdout.readline()).startswith("ack "):
                acknowledged = int(line.removeprefix("ack "))
            assert line == f"end {-signal.SIGKILL}\n", line + (nursery.stderr.read() if nursery.stderr else "")
            saves += acknowledged + 1
            found: Record | None = done(store.load(key(kill)))
            possible = (state(acknowledged), state(acknowledged + 1))
            assert found in possible, f"kill {kill}, after save {acknowledged}: version {found and found.version}"
            for number in range(3):
                subject = f"user-{number}"
                listed = key(kill) in {name for name, _ in done(store.find(subject))}
                assert listed == (found is not None and found.subject == subject)
        finish(nursery)
    assert saves > KILLS, f"only {saves} saves in {KILLS} runs"
    assert done(store.check()) == []
    done(store.close())
