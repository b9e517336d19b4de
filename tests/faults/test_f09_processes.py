"""F09: processes that write one session at once all count."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from limpet.stores import Record, open_store
from tests.faults.local import KINDS, finish, running, url
from tests.faults.service import Service, count
from tests.faults.site_worker import site_of
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


async def test_f09_four_applications(service: Service) -> None:
    """Four processes count in one session at once, through the middleware, on a server behind a network: exactly."""
    await service.site()
    times = count(100, 1000)
    site = site_of(service.url())
    token = await site.session(n=0)
    with contextlib.ExitStack() as stack:
        job = ("count", service.url(), token, str(times))
        for process in [stack.enter_context(running(*job, module="tests.faults.site_worker")) for _ in range(4)]:
            finish(process)
    assert await site.read(token) == {"n": 4 * times}
    await site.manager.shutdown()
