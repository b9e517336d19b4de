"""Install a wheel as a stranger would, into an environment that holds nothing else, and use it there."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Final

from scripts.extras import MODULES, ROOT, imports

_STARTS_WITHIN: Final = 60  # seconds
_BARE: Final = "import limpet, sys; sys.exit(bool({'asyncio', 'ormsgpack', 'cryptography'} & set(sys.modules)))"


def install(python: str, folder: Path, *what: str) -> Path:
    """Make an environment and install into it; return its interpreter.

    Raises:
        subprocess.CalledProcessError: It cannot be installed.
    """
    subprocess.run([python, "-m", "venv", folder], check=True)
    inner = folder / "bin" / "python"
    subprocess.run([inner, "-m", "pip", "install", "--quiet", *what], check=True, env=_environment())
    return inner


def _environment(**more: str) -> dict[str, str]:
    """Return the environment of a stranger: nothing in it is about limpet, and nothing adds to Python's path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LIMPET_", "PYTHON"))}
    return kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | more


def extra_problems(python: str, wheel: Path, extra: str, folder: Path) -> Iterator[str]:
    """Yield a line if what an extra is for cannot be imported where only the wheel and that extra are."""
    try:
        inner = install(python, folder, f"{wheel}[{extra}]")
    except subprocess.CalledProcessError as error:
        yield f"limpet[{extra}] cannot be installed: {error}"
        return
    for name in MODULES if extra == "all" else (extra,):
        if name not in MODULES or (extra == "all" and name == "testing"):
            continue
        yield from _run(inner, folder, f"limpet[{extra}], modules of {name}", imports(name))
    yield from _run(inner, folder, f"limpet[{extra}], a bare import", _BARE)
    done = subprocess.run([inner, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    if done.returncode:
        yield f"limpet[{extra}]: {done.stdout.strip()}"


def _run(inner: Path, folder: Path, what: str, program: str) -> Iterator[str]:
    done = subprocess.run(
        [inner, "-c", program], cwd=folder, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        yield f"{what}: {done.stderr.strip().splitlines()[-1:] or done.returncode}"


# --- the README -------------------------------------------------------------------------------


def readme_problems(python: str, wheel: Path, folder: Path, readme: Path = ROOT / "README.md") -> Iterator[str]:
    """Do what the README says under its example, with the wheel in the place of the name; yield what went wrong.

    Its ``pip install`` line makes the environment, its block with a file's name is that file, and the line that starts
    a server starts it, on a port that is free. A browser of a few lines then goes through the application.
    """
    text = readme.read_text(encoding="utf-8")
    wanted = re.search(r"^pip install '?limpet\[([^\]]+)\]'?(.*)$", text, re.MULTILINE)
    program = re.search(r'^```python title="(\w+\.py)"\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
    start = re.search(r"^LIMPET_DEV=1 (uvicorn \S+)", text, re.MULTILINE)
    if not wanted or not program or not start:
        yield "README.md: it lacks the line that installs, the program, or the line that starts it"
        return
    inner = install(python, folder, f"{wheel}[{wanted[1]}]", *wanted[2].split())
    (folder / program[1]).write_text(program[2], encoding="utf-8")
    port = _free_port()
    command = [inner, "-m", *start[1].split(), "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=_environment(LIMPET_DEV="1"), stdout=log, stderr=log)
        try:
            yield from (f"README.md: {problem}" for problem in _visit(server, port, folder))
        finally:
            server.terminate()
            server.wait(30)
    if not (folder / "sessions.db").exists():
        yield "README.md: its example kept nothing in sessions.db"


def _visit(server: subprocess.Popen[bytes], port: int, folder: Path) -> Iterator[str]:
    deadline = time.monotonic() + _STARTS_WITHIN
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    else:
        yield f"the server did not start: {(folder / 'server.log').read_text(encoding='utf-8')[-500:]}"
        return
    browser = Browser(port)
    for path, status, body in (
        ("/basket/tea", 200, '["tea"]'),
        ("/basket/milk", 200, '["tea","milk"]'),
        ("/visits", 200, "1"),
        ("/login/ann", 200, '"hello, ann"'),
        ("/visits", 200, "2"),
        ("/logout", 200, "null"),
        ("/basket/tea", 200, '["tea"]'),
    ):
        answer = browser.post(path)
        if answer != (status, body):
            yield f"POST {path} was answered with {answer}, not with {(status, body)}"


class Browser:
    """Keeps cookies between requests to one port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookies: dict[str, str] = {}

    def post(self, path: str) -> tuple[int, str]:
        """Return the status and the body of the answer to a POST."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            line = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
            connection.request("POST", path, headers={"Cookie": line} if line else {})
            response = connection.getresponse()
            body = response.read().decode()
            for header in response.headers.get_all("Set-Cookie", []):
                for name, morsel in SimpleCookie(header).items():
                    if morsel["max-age"] == "0":
                        self._cookies.pop(name, None)
                    else:
                        self._cookies[name] = morsel.value
            return response.status, body
        finally:
            connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
