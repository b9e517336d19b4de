"""Child processes that end with the test process, ports that no other worker takes, folders that do not pile up."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

__all__ = ["MissingServer", "ServerProcess", "free_port", "scratch_folder", "sweep_leftovers", "wait_until"]

_PREFIX: Final = "limpet-test-"
_OWNER: Final = "owner"
_PORTS: Final = range(20_000, 32_000)  # below the range that the kernel hands out for outgoing connections
_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None, use_errno=True)
_held_ports: dict[int, int] = {}
# The kernel ends a child when the *thread* that started it ends, so one thread that never does starts them all.
_starter: Final = ThreadPoolExecutor(1, "server-starter")


class MissingServer(Exception):
    """A server that the tests need is not installed; the message says what to install."""


def free_port() -> int:
    """Return a port that nobody listens on and that no other test process is given while this one lives.

    A lock on a file per port decides between test processes; binding once decides against everybody else.
    """
    folder = Path(tempfile.gettempdir()) / f"{_PREFIX}ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    start = os.getpid() * 37 % len(_PORTS)
    for offset in range(len(_PORTS)):
        port = _PORTS[(start + offset) % len(_PORTS)]
        if port in _held_ports:
            continue
        handle = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(handle)
            continue
        _held_ports[port] = handle
        return port
    raise RuntimeError("no free port between 20000 and 31999")


def scratch_folder(kind: str, owner: int | None = None) -> Path:
    """Make a folder directly in the temp root (pytest's own sits under one that only its user may enter)."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-"))
    (folder / _OWNER).write_text(f"{os.getpid()} {_started(os.getpid())}")
    folder.chmod(0o755)
    if owner is not None:
        os.chown(folder, owner, -1)
    return folder


def sweep_leftovers() -> None:
    """Remove the folders of test runs that ended without cleaning up, and end the servers that still run in them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        try:
            pid, started = (folder / _OWNER).read_text().split()
        except (OSError, ValueError):
            continue
        if _started(int(pid)) == started:
            continue
        for child in _processes_in(folder):
            _signal(child, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    """Poll until it is so; these are other processes, there is no clock to turn.

    Raises:
        TimeoutError: It was not so in time.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.005)


class ServerProcess:
    """One server process with its children."""

    def __init__(
        self, command: Sequence[str], folder: Path, *, user: int | None = None, group: int | None = None
    ) -> None:
        self._command = list(command)
        self._folder = folder
        self._user = user
        self._group = group
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "log"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def start(self) -> None:
        with self.log.open("wb") as log:
            self._process = _starter.submit(
                subprocess.Popen,
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self._user,
                group=self._group,
                extra_groups=[] if self._user is not None else None,
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            ).result()

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End it the polite way and wait until it is gone."""
        if self.running:
            self.thaw()
            _signal(self.pid, with_signal)
        self._reap()

    def kill(self) -> None:
        """End the whole tree at once, children too, and wait until every process is gone."""
        if self.running:
            _signal(self.pid, signal.SIGSTOP)  # so that it starts no child while the tree is read
            tree = list(_tree(self.pid))
            for pid in tree:
                _signal(pid, signal.SIGKILL)
            self._reap()
            wait_until(lambda: not any(_started(pid) for pid in tree), "the end of the server's processes")

    def freeze(self) -> None:
        """Stop the whole tree without closing a socket: a server that hangs."""
        _signal(self.pid, signal.SIGSTOP)
        for pid in _tree(self.pid):
            _signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the whole tree go on."""
        for pid in _tree(self.pid):
            _signal(pid, signal.SIGCONT)

    def _reap(self) -> None:
        if self._process is not None:
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended by itself between the look and the signal


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


def _started(pid: int) -> str:
    """Return when a process was started, in clock ticks since boot, or nothing when it has ended."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] not in "ZX" else ""


def _tree(root: int) -> Iterator[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    todo = [root]
    while todo:
        pid = todo.pop()
        yield pid
        todo.extend(parents.get(pid, ()))


def _processes_in(folder: Path) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                where = (entry / "cwd").readlink()
            except OSError:
                continue
            if where == folder or folder in where.parents:
                yield int(entry.name)
