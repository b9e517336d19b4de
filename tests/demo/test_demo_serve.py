"""``limpet demo`` as a program: it says where the page is, or why there is none, and ends cleanly."""

from __future__ import annotations

import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.running import in_process_of_its_own
from tests.demo.server import DemoServer
from tests.servers.process import free_port


def test_it_prints_its_address_and_ends_with_control_c(tmp_path: Path) -> None:
    """The printed address serves the page; Ctrl-C ends it with code 0 and no traceback."""
    command = [sys.executable, "-m", "limpet", "demo", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address
        assert httpx.get(address[0]).status_code == 200
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out.startswith("Stopped.")
    assert "Traceback" not in errors


def test_a_killed_server_comes_back_with_its_sessions() -> None:
    """Kill -9, start again: still signed in. The database is private, and git is told to leave it alone."""
    with DemoServer() as server, httpx.Client(base_url=server.url) as visitor:
        assert visitor.post("/sign-in", data={"name": "Ann"}).status_code == 303
        server.kill()
        server.start()
        assert "Signed in as <strong>Ann</strong>" in visitor.get("/").text
        folder = server.folder / ".limpet"
        assert stat.S_IMODE((folder / "sessions.db").stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert (folder / ".gitignore").read_text() == "*\n"


def test_a_port_in_use_is_said_in_one_sentence(tmp_path: Path) -> None:
    """The sentence names the port and the option; the exit code is 1 and nothing was made."""
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        done = in_process_of_its_own("demo", "--port", str(port), folder=tmp_path)
    assert done.returncode == 1
    assert f"port {port} is in use" in done.stderr
    assert f"--port {port + 1}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    """The sentence says which address would do."""
    done = in_process_of_its_own("demo", "--host", "192.0.2.1", "--port", "0", folder=tmp_path)
    assert done.returncode == 1
    assert "0.0.0.0" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--store", "redis://127.0.0.1:1/0"), "127.0.0.1:1"),
        (("--store", "nosuch:"), "'nosuch'"),
        (("--store", "sqlite:////proc/nowhere/s.db"), "/proc/nowhere"),
        (("--no-dev",), "sqlite:///sessions.db"),
    ],
)
def test_a_store_that_does_not_work_is_said_at_once(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Not with the first visitor: exit code 1, one reason, no traceback."""
    done = in_process_of_its_own("demo", "--port", "0", *arguments, folder=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "The demo is at" not in done.stdout


def test_without_its_packages_it_says_what_to_install(tmp_path: Path) -> None:
    """Who has installed the command alone reads the extra's name."""
    script = "import sys; sys.modules['uvicorn'] = None; from limpet.cli import main; sys.exit(main(['demo']))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "pip install 'limpet[demo]'" in done.stderr
