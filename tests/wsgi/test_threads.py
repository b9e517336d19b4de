"""Threads that use one manager at once, on each store that needs no server."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from limpet import SessionManager
from limpet._blocking import ThreadRuntime, drive
from limpet._wire.journal import JOURNAL
from limpet.stores import MemoryStore
from limpet.wsgi import BlockingSession, SessionMiddleware
from tests.wsgi.client import Browser, application
from tests.wsgi.threads import at_once


def url_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """Return the URL of an empty store of that kind."""
    if kind == "redis":
        return f"{request.getfixturevalue('redis_url')}?prefix={request.getfixturevalue('redis_prefix')}"
    if kind == "postgres":
        return f"{request.getfixturevalue('postgres_url')}?schema={request.getfixturevalue('postgres_schema')}"
    return {"memory": "memory:", "sqlite": f"sqlite:///{folder}/s.db", "file": f"file:{folder}/s"}[kind]


@pytest.fixture(params=["memory", "sqlite", "file", "redis", "postgres"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SessionManager]:
    """A manager over each store, under the settings that it has by itself."""
    manager = SessionManager(url_of(request.param, request, tmp_path))
    yield manager
    manager.blocking.shutdown()


def until(happened: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def visitor(manager: SessionManager) -> dict[str, str]:
    """Return the cookie of somebody who has just logged in."""
    browser = Browser(SessionMiddleware(application(lambda session: session.login("ann")), manager))
    browser.get()
    return browser.cookies


def test_fifty_increments_at_once_count_fifty(manager: SessionManager) -> None:
    """Each of ten threads adds five times, and fifty requests have counted."""
    cookies = visitor(manager)
    app = SessionMiddleware(application(lambda session: session.increment("n")), manager)

    def visit() -> list[int]:
        return [Browser(app, cookies=cookies).get().status for _ in range(5)]

    assert at_once([visit] * 10) == [[200] * 5] * 10
    seen = Browser(SessionMiddleware(application(lambda session: session["n"]), manager), cookies=cookies)
    assert seen.get().text == "50"


def test_requests_that_all_have_read_keep_what_each_writes(manager: SessionManager) -> None:
    """Ten requests read before the first of them writes: ten keys and ten items of a list remain."""
    cookies, gate = visitor(manager), threading.Barrier(10)

    def visit(number: int) -> int:
        def handler(session: BlockingSession) -> None:
            session.get("k")
            gate.wait(10)
            session[f"k{number}"] = number
            session.setdefault("all", []).append(number)

        return Browser(SessionMiddleware(application(handler), manager), cookies=cookies).get().status

    assert at_once([partial(visit, number) for number in range(10)]) == [200] * 10
    seen = Browser(SessionMiddleware(application(lambda s: (len(s), sorted(s["all"]))), manager), cookies=cookies)
    assert seen.get().text == str((11, list(range(10))))


def test_a_revocation_ends_sessions_while_threads_write(manager: SessionManager) -> None:
    """After ``revoke_all`` has returned no request of any thread has the session."""
    cookies = [visitor(manager) for _ in range(4)]
    app = SessionMiddleware(application(lambda session: (session.subject, session.increment("n"))[0]), manager)
    ended = threading.Event()

    def visit(own: dict[str, str]) -> bool:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            was_ended = ended.is_set()
            if Browser(app, cookies=own).get().text == "None":
                return True
            assert not was_ended, "a request that began after the revocation had its session"
        return False

    def revoke() -> bool:
        time.sleep(0.02)
        manager.blocking.revoke_all("ann")
        ended.set()
        return True

    calls: list[Callable[[], bool]] = [revoke, *(partial(visit, own) for own in cookies)]
    assert at_once(calls) == [True] * 5
    assert manager.blocking.sessions_of("ann") == []


def test_a_lock_is_held_by_one_thread_at_a_time(manager: SessionManager) -> None:
    """``exclusive`` of the manager and of a session wait for each other by blocking."""
    cookies, inside, most = visitor(manager), [0], [0]

    def enter() -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.003)
        inside[0] -= 1

    def named() -> int:
        with manager.blocking.exclusive("report"):
            enter()
        return 200

    assert at_once([named] * 5) == [200] * 5
    assert most[0] == 1

    def handler(session: BlockingSession) -> None:
        with session.blocking.exclusive("token") as held:
            enter()
            held["n"] = held.get("n", 0) + 1

    app = SessionMiddleware(application(handler), manager)
    assert at_once([lambda: Browser(app, cookies=cookies).get().status] * 5) == [200] * 5
    seen = Browser(SessionMiddleware(application(lambda session: session["n"]), manager), cookies=cookies)
    assert (most[0], seen.get().text) == (1, "5")


def test_threads_that_share_a_session_save_one_after_the_other() -> None:
    """A request that hands its session to threads of its own loses nothing of what they save."""
    manager = SessionManager("memory:")
    cookies = visitor(manager)

    def handler(session: BlockingSession) -> None:
        def save(number: int) -> None:
            for _ in range(20):
                session[f"k{number}"] = number
                session.blocking.save()

        at_once([partial(save, number) for number in range(4)])

    assert Browser(SessionMiddleware(application(handler), manager), cookies=cookies).get().status == 200
    seen = Browser(SessionMiddleware(application(lambda session: len(session)), manager), cookies=cookies)
    assert seen.get().text == "4"


def test_no_thread_sees_a_part_of_a_journal_and_a_part_of_another() -> None:
    """The journal changes as one: its number always goes with the groups that it was read with."""
    manager = SessionManager("memory:")
    visitor(manager)
    positions = manager.engine.storage.positions
    records = []
    for _ in range(6):
        manager.blocking.revoke_all("ann")
        records.append(drive(manager.engine.storage.load(JOURNAL)))
    stop = threading.Event()

    def take(start: int) -> int:
        number = start
        while not stop.is_set():
            number = (number + 1) % 6
            journal = positions.take(records[number])
            assert journal.seq == max(journal.groups.values())
            seen = positions.journal
            assert seen.seq == max(seen.groups.values())
        return 0

    def end() -> int:
        time.sleep(0.3)
        stop.set()
        return 0

    assert at_once([lambda: take(0), lambda: take(2), lambda: take(4), end]) == [0] * 4


def test_a_turn_is_handed_on_in_order_and_never_waited_for_without_end() -> None:
    """Threads take turns in the order in which they came; who waits longer than the patience goes ahead."""
    runtime, order = ThreadRuntime(patience=30), list[int]()

    def queued() -> int:
        return len(runtime._turns.get("k", ()))

    def hold(number: int) -> None:
        if number:
            until(lambda: queued() >= number - 1 and order == [0])

        async def work() -> None:
            async with runtime.turn("k"):
                order.append(number)
                if number == 0:
                    until(lambda: queued() == 3)

        drive(work())

    at_once([partial(hold, number) for number in range(4)])
    assert order == [0, 1, 2, 3]
    runtime = ThreadRuntime()
    turn = runtime.turn("k")
    drive(turn.__aenter__())
    began = time.monotonic()
    drive(runtime.turn("k").__aenter__())
    assert 0.2 < time.monotonic() - began < 2
    drive(turn.__aexit__())
    drive(runtime.turn("k").__aenter__())  # the one that went ahead has left nothing behind


def test_a_turn_is_not_lost_with_a_greenlet_that_was_just_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is killed in its queue hands on the turn that it has got in the same moment."""
    runtime = ThreadRuntime(patience=0.25)
    first, second = runtime.turn("key"), runtime.turn("key")
    drive(first.__aenter__())

    def killed(event: threading.Event, seconds: float) -> None:
        drive(first.__aexit__(None, None, None))
        assert event.is_set()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Event, "wait", killed)
        with pytest.raises(KeyboardInterrupt):
            drive(second.__aenter__())
    third = runtime.turn("key")
    drive(third.__aenter__())
    assert third._held
    drive(third.__aexit__(None, None, None))
    assert not runtime._turns


# Windows has no fork, and so no server that forks.
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("kind", ["sqlite", "file", "redis", "postgres"])
def test_a_fork_after_opening(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A server that opens the store before it forks its workers (``--preload``) shares no connection with them."""
    manager = SessionManager(url_of(kind, request, tmp_path))
    cookies = visitor(manager)
    app = SessionMiddleware(application(lambda session: session.increment("n")), manager)
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                done = [Browser(app, cookies=cookies).get().status for _ in range(5)]
                status = 0 if done == [200] * 5 else 2
            finally:
                os._exit(status)
        children.append(child)
    for _ in range(5):
        assert Browser(app, cookies=cookies).get().status == 200
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 3
    seen = Browser(SessionMiddleware(application(lambda session: session["n"]), manager), cookies=cookies)
    assert seen.get().text == "20"
    manager.blocking.shutdown()


def test_expired_sessions_are_swept_by_a_thread(tmp_path: Path) -> None:
    """A request after the interval begins a sweep, which nobody waits for."""
    now = [1_800_000_000_000]
    store = MemoryStore()
    manager = SessionManager(store, clock=lambda: now[0])
    app = SessionMiddleware(application(lambda session: session.increment("n")), manager)
    Browser(app).get()
    now[0] += 400 * 86_400_000
    Browser(app).get()
    until(lambda: len(drive(store.scan(None, 10))[0]) == 1)


def test_a_clock_that_was_ahead_for_a_while_stops_no_sweep(tmp_path: Path) -> None:
    """What a request has put off by a clock that was a year ahead is done soon after that was set right."""
    now = [1_800_000_000_000]
    store = MemoryStore()
    manager = SessionManager(store, clock=lambda: now[0])
    app = SessionMiddleware(application(lambda session: session.increment("n")), manager)
    Browser(app).get()
    now[0] += 365 * 86_400_000
    Browser(app).get()
    until(lambda: len(drive(store.scan(None, 10))[0]) == 1)
    now[0] -= 365 * 86_400_000
    Browser(app).get()
    for _ in range(2):
        now[0] += 20 * 86_400_000
        Browser(app).get()
    until(lambda: len(drive(store.scan(None, 10))[0]) == 2)  # that of the year ahead, and the last one
