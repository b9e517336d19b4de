"""F22: a process that forks after it opened its store, as a preloading server does, shares nothing with them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limpet._blocking import drive
from limpet.contract import DONE, Record
from limpet.stores.file import FileStore
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
