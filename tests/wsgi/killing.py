"""The workers of a gunicorn, killed and replaced while clients write."""

from __future__ import annotations

import threading
import time

from tests.counts import count
from tests.wsgi.threads import at_once
from tests.wsgi.workers import Server

__all__ = ["kill_and_replace"]


def kill_and_replace(server: Server, cookie: str) -> None:
    """Let six clients add to one number while workers are killed, and now and then all replaced.

    What was answered has counted, and nothing has twice. A request whose worker was killed may have counted or not: the
    sum lies between the two.
    """
    stop = threading.Event()
    answered: list[int] = []

    def visit() -> tuple[int, int]:
        counted = unsure = 0
        while not stop.is_set():
            try:
                status, _, _ = server.get("/add", cookie)
            except OSError:
                unsure += 1
                time.sleep(0.02)
                continue
            if status == 200:
                counted += 1
                answered.append(1)
            else:
                unsure += 1
        return counted, unsure

    def trouble() -> tuple[int, int]:
        for turn in range(count(3, 60)):
            progress(20)
            if turn % 3 == 2:
                server.restart()
            else:
                server.kill_a_worker()
        progress(20)
        stop.set()
        return 0, 0

    def progress(more: int) -> None:
        """Wait until so many more were answered: on a busy machine workers take their time to start."""
        goal, deadline = len(answered) + more, time.monotonic() + 60
        while len(answered) < goal and time.monotonic() < deadline:
            time.sleep(0.02)

    outcomes = at_once([visit] * 6 + [trouble], within=600)
    counted, unsure = (sum(part) for part in zip(*outcomes, strict=True))
    deadline = time.monotonic() + 20
    found = ""
    while not found:
        try:
            found = server.get("/seen", cookie)[1]
        except OSError:
            assert time.monotonic() < deadline
    total = int(found[1:].partition(",")[0])
    print(f"answered {counted}, not known {unsure}, counted {total}")
    assert counted > 0
    assert counted <= total <= counted + unsure
