"""The application that a real gunicorn serves, and how one is started, asked and killed."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from limpet import CookiePolicy, SessionManager
from limpet.wsgi import SessionMiddleware

__all__ = ["Server", "app", "serving"]

ROOT = Path(__file__).resolve().parents[2]


def _app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    session, path = environ["limpet.session"], environ["PATH_INFO"]
    answer: object = None
    if path == "/login":
        session.login("ann")
    elif path == "/add":
        answer = session.increment("n")
    elif path == "/key":
        session[environ["QUERY_STRING"]] = True
    elif path == "/both":
        with session.blocking.exclusive("slow"):
            answer = session.increment("n")
    elif path == "/seen":
        answer = (session.get("n", 0), len(session))
    elif path == "/logout":
        session.logout()
    body = str(answer).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve a request; the manager is made when the module is imported, so before a fork with ``--preload``."""
    return _served(environ, start_response)


if "LIMPET_TEST_STORE" in os.environ:
    _manager = SessionManager(os.environ["LIMPET_TEST_STORE"], cookie=CookiePolicy(name="sid", secure=False))
    if os.environ.get("LIMPET_TEST_OPEN"):
        _manager.blocking.startup()  # before the fork
        _manager.blocking.sessions_of("nobody")
    _served = SessionMiddleware(_app, _manager)


class Server:
    """One gunicorn.

    Attributes:
        port: Where it listens.
        process: Its master.
    """

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process

    def get(self, path: str, cookie: str | None = None, *, timeout: float = 20) -> tuple[int, str, str | None]:
        """Send a request; return status, body and the cookie that was set.

        Raises:
            OSError: No worker answered.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"cookie": f"sid={cookie}"} if cookie else {})
            response = connection.getresponse()
            body = response.read().decode()
            line = response.getheader("set-cookie")
            return response.status, body, SimpleCookie(line)["sid"].value if line else None
        except http.client.HTTPException as error:  # cut off in the middle
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def workers(self) -> list[int]:
        """Return the processes that serve."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in found.split()]

    def kill_a_worker(self) -> None:
        """Kill one at once; the master starts another."""
        workers = self.workers()
        if workers:
            os.kill(workers[0], signal.SIGKILL)

    def restart(self) -> None:
        """Let the master replace all workers."""
        self.process.send_signal(signal.SIGHUP)


@contextmanager
def serving(
    store: str, folder: Path, *arguments: str, opened: bool = False, served: str = "tests.wsgi.workers:app"
) -> Iterator[Server]:
    """Start a gunicorn with an application over a store.

    Args:
        served: The application, which answers as the one here does.
        arguments: More for its command line.
        opened: The store is opened when the module is imported.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    environment = {**os.environ, "LIMPET_TEST_STORE": store, "PYTHONPATH": str(ROOT)}
    if opened:
        environment["LIMPET_TEST_OPEN"] = "1"
    command = [sys.executable, "-m", "gunicorn", served, "--bind", f"127.0.0.1:{port}"]
    command += ["--no-control-socket", *arguments]
    with (folder / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    server = Server(port, process)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                if server.get("/")[0] == 200:
                    break
            except OSError:
                pass
            said = (folder / "gunicorn.log").read_text()
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
