"""A command in one process ends sessions of a server in another: the next request, and the sockets that are open."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.servers.process import ServerProcess, free_port, scratch_folder, wait_until

ROOT = Path(__file__).resolve().parents[2]


class Served:
    """The application on a server of its own, over a store."""

    def __init__(self, store: str, folder: Path) -> None:
        self.store, self.port = store, free_port()
        variables = [f"LIMPET_STORE={store}", "LIMPET_DEV=1", f"PYTHONPATH={ROOT}"]
        serve = ["-m", "uvicorn", "tests.subjects.served:app", "--port", str(self.port)]
        self._browsers = ExitStack()
        self.process = ServerProcess(["/usr/bin/env", "-uLIMPET_SECRET", *variables, sys.executable, *serve], folder)

    def __enter__(self) -> Served:
        self.process.start()
        wait_until(lambda: "running on" in self.process.log.read_text(), "the start of the server", 60)
        return self

    def __exit__(self, *_: object) -> None:
        self._browsers.close()
        self.process.kill()

    def browser(self, name: str) -> httpx.Client:
        """Return a browser that is signed in."""
        browser = self._browsers.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{self.port}"))
        assert browser.post(f"/login/{name}").text == "in"
        return browser

    def socket(self, browser: httpx.Client, path: str) -> ClientConnection:
        """Open a WebSocket with the browser's cookie."""
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        return connect(f"ws://127.0.0.1:{self.port}{path}", additional_headers={"Cookie": cookie})

    def revoke(self, *how: str) -> str:
        """Run ``limpet revoke``; return what it says."""
        run = [sys.executable, "-m", "limpet", "revoke", "--store", self.store, *how]
        done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout


@pytest.fixture(params=["sqlite", "file", "redis", "postgres"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server over each kind of store that processes share."""
    folder = scratch_folder("served")
    if request.param == "redis":
        url, prefix = request.getfixturevalue("redis_url"), request.getfixturevalue("redis_prefix")
        store = f"{url}?prefix={quote(prefix)}"
    elif request.param == "postgres":
        url, schema = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_schema")
        store = f"{url}?schema={quote(schema)}"
    else:
        store = {"sqlite": f"sqlite:///{folder}/s.db", "file": f"file:{folder}/sessions"}[request.param]
    with Served(store, folder) as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


HOW = {"subject": ("--subject", "ann"), "tag": ("--tag", "oidc_sid=s1"), "everyone": ("--everyone", "--yes")}


def test_sessions_are_dead_at_the_next_request(served: Served) -> None:
    """However it is asked to, the command ends two sessions, and the running server serves neither again."""
    for how in HOW.values():
        browsers = [served.browser("ann") for _ in range(2)]
        assert [browser.get("/whoami").text for browser in browsers] == ["ann", "ann"]
        assert served.revoke(*how) == "2 sessions ended.\n"
        assert [browser.get("/whoami").text for browser in browsers] == ["nobody", "nobody"]


def test_open_sockets_are_closed(served: Served) -> None:
    """A socket of an ended session is closed with 1008, and another person's stays open."""
    ann, bob = served.browser("ann"), served.browser("bob")
    with ExitStack() as open_ones:
        hers = open_ones.enter_context(served.socket(ann, "/echo"))
        his = open_ones.enter_context(served.socket(bob, "/echo"))
        for socket in (hers, his):
            socket.send("hello")
            assert socket.recv(10) == "hello"
        assert served.revoke("--subject", "ann") == "1 session ended.\n"
        with pytest.raises(ConnectionClosed) as closed:
            hers.recv(10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        his.send("still here")
        assert his.recv(10) == "still here"
