"""A real PgBouncer in front of a PostgreSQL server of this machine; Debian has it, pip does not."""

from __future__ import annotations

import os
import pwd
import shutil
from urllib.parse import urlsplit

from tests.servers.process import MissingServer, ServerProcess, free_port, scratch_folder, wait_until

__all__ = ["PgBouncer"]


class PgBouncer:
    """Gives every transaction one of ten connections to the server, whoever asks."""

    def __init__(self, server: str, mode: str = "transaction") -> None:
        binary = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if binary is None:
            raise MissingServer("this test needs PgBouncer: apt-get install pgbouncer")
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.folder = scratch_folder("pgbouncer", user.pw_uid if user else None)
        target = urlsplit(server)
        (self.folder / "users").write_text('"postgres" ""\n')
        (self.folder / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"postgres = host={target.hostname} port={target.port} dbname={target.path[1:]} user=postgres\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = any\nauth_file = {self.folder / 'users'}\n"
            f"pool_mode = {mode}\ndefault_pool_size = 10\nmax_client_conn = 500\n"
        )
        self.process = ServerProcess(
            [binary, str(self.folder / "pgbouncer.ini")],
            self.folder,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
        )

    def _ready(self) -> bool:
        log = self.process.log.read_text(errors="replace")
        if not self.process.running:
            raise RuntimeError(f"PgBouncer ended while it started:\n{log[-2000:]}")
        return "process up" in log

    def __enter__(self) -> PgBouncer:
        self.process.start()
        wait_until(self._ready, "the start of PgBouncer")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
