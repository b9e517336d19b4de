"""F22: a process that forks after it opened its store, as a preloading server does, shares nothing with them."""

from __future__ import annotations

import io
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limpet._blocking import drive
from limpet.adapters.django import _settings as django_settings
from limpet.audit import JSONAuditLog
from limpet.contract import DONE, Record
from limpet.events import SessionCreated
from limpet.stores.file import FileStore
from limpet.stores.memory import MemoryStore
from tests.faults.local import KINDS, finish, running, url


@pytest.mark.parametrize("kind", KINDS)
def test_f22_fork(kind: str, tmp_path: Path) -> None:
    """Four children and their parent use the store that the parent had opened: each reads its own, all is kept."""
    with running("fork", url(kind, tmp_path)) as process:
        finish(process)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_f22_a_child_keeps_no_file_locked(tmp_path: Path) -> None:
    """A process forks while another of its threads holds a session's lock; the child lives on and touches nothing."""
    store, key, record = FileStore(tmp_path), "a" * 64, Record(1, b"x", 1, 2**50)
    await store.create(key, record, now=1)
    folder, children = store._folder, list[int]()
    is_current = folder._is_current

    def fork(handle: int, name: str) -> bool:
        if not children:
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
        return is_current(handle, name)

    folder._is_current = fork  # type: ignore[method-assign]
    try:
        assert await store.update(key, record._replace(version=3), 2, now=1) == record  # it lost: the file stays
        assert await store.update(key, record._replace(version=3), 1, now=1) is DONE
    finally:
        os.kill(children[0], signal.SIGKILL)
        os.waitpid(children[0], 0)
        await store.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_f22_a_child_waits_for_no_thread_of_its_parent(tmp_path: Path) -> None:
    """A process forks while other threads of it sweep and list the sessions of somebody: its child can do both."""
    store, record = FileStore(tmp_path), Record(1, b"x", 1, 2**50, "ann")
    drive(store.create("a" * 64, record, now=1))
    inside, over = threading.Semaphore(0), threading.Event()

    def slow(call: Callable[..., Any]) -> Callable[..., Any]:
        def slowed(*given: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                inside.release()
                over.wait()
            return call(*given)

        return slowed

    store._folder.names = slow(store._folder.names)  # type: ignore[method-assign]
    store._subjects.keys = slow(store._subjects.keys)  # type: ignore[method-assign]
    threads = [
        threading.Thread(target=lambda: drive(store.sweep(1, 1))),
        threading.Thread(target=lambda: drive(store.find_page("ann", None, 1))),
    ]
    for thread in threads:
        thread.start()
        inside.acquire()
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        drive(store.sweep(2**51, 1))
        os._exit(len(drive(store.find_page("ann", None, 1))[0]))  # it is swept: none
    over.set()
    for thread in threads:
        thread.join()
    assert os.waitpid(child, 0)[1] == 0


class Held:
    """Something that a thread is in the middle of while its process forks."""

    def __init__(self) -> None:
        self.entered, self.over = threading.Event(), threading.Event()

    def pause(self, *_: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            self.entered.set()
            self.over.wait(0.3)  # a fork may wait for it

    def fork(self, begin: Callable[[], object], go_on: Callable[[], object]) -> None:
        """Fork while a thread is inside ``begin``; the child has to get through ``go_on``."""
        thread = threading.Thread(target=begin)
        thread.start()
        self.entered.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            status = 1
            try:
                go_on()
                status = 0
            finally:
                os._exit(status)
        self.over.set()
        thread.join()
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_f22_a_child_has_whole_records_in_memory() -> None:
    """A process forks while a thread makes room in its memory store: its child can write, and finds no half of it."""
    held, store = Held(), MemoryStore(max_records=1)
    drive(store.create("a" * 64, Record(1, b"x", 1, 2**50, "ann"), now=1))

    class Slow(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            held.pause()
            return True

    def go_on() -> None:
        found = drive(store.find("ann")), drive(store.find("ben"))
        assert [len(each) for each in found] == [0, 1]
        assert drive(store.create("c" * 64, Record(1, b"x", 1, 2**50), now=1)) is DONE

    logger, handler = logging.getLogger("limpet.stores.memory"), Slow()
    logger.addHandler(handler)
    try:
        held.fork(lambda: drive(store.create("b" * 64, Record(1, b"x", 1, 2**50, "ben"), now=1)), go_on)
    finally:
        logger.removeHandler(handler)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_f22_a_child_writes_its_own_audit_log() -> None:
    """A process forks while a thread writes a line to a stream: its child can write one too."""
    held = Held()

    class Slow(io.StringIO):
        def flush(self) -> None:
            held.pause()

    log = JSONAuditLog(Slow())

    def write() -> None:
        log(SessionCreated(at=1))

    held.fork(write, write)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_f22_a_child_puts_its_own_manager_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process forks while a thread puts Django's manager together: its child can do so too."""
    held = Held()
    monkeypatch.setattr(django_settings._made, "manager", None)
    monkeypatch.setattr(django_settings, "_options", dict)
    monkeypatch.setattr(django_settings, "_put_together", held.pause)
    held.fork(django_settings.manager, django_settings.manager)
