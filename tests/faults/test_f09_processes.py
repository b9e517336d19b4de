"""F09: processes that write one session at once all count."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from holdfast.stores import Record, open_store
from tests.faults.local import KINDS, finish, running, url
from tests.stores.blocking import NOW, done, key

UPDATES = 250


@pytest.mark.parametrize("kind", KINDS)
def test_f09_four_processes(kind: str, tmp_path: Path) -> None:
    """Four processes with 250 version-checked updates each leave a thousand marks, each once."""
    store: Any = open_store(url(kind, tmp_path))
    done(store.create(key(1), Record(0, b"", NOW, NOW), now=NOW))
    with contextlib.ExitStack() as stack:
        jobs = [("append", url(kind, tmp_path), mark, str(UPDATES)) for mark in "abcd"]
        for writer in [stack.enter_context(running(*job)) for job in jobs]:
            finish(writer)
    final = done(store.load(key(1)))
    counted = Counter(final.payload.decode().split())
    assert counted == Counter(f"{mark}{number}" for mark in "abcd" for number in range(UPDATES))
    done(store.close())
