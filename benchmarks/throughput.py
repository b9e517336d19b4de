"""A hello application under uvicorn, read + write, one process, keep-alive connections from another process."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time

from benchmarks.drive import FOREIGN, SECRET
from tests.servers.process import free_port

__all__ = ["APPLICATIONS", "measure"]

APPLICATIONS = ("asgi", "Starlette", "holdfast, signed cookie", "holdfast, memory")
_CONNECTIONS = 16


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, cookie: bytes) -> bytes:
    writer.write(b"GET %b HTTP/1.1\r\nHost: example.org\r\nCookie: %b\r\n\r\n" % (path.encode(), cookie))
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(2)
    return head


async def _load(port: int, seconds: float) -> float:
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(_CONNECTIONS)]
    cookies: list[bytes] = []
    for reader, writer in connections:
        head = await _ask(reader, writer, "/seed", FOREIGN)
        pairs = [line.split(b": ", 1)[1].split(b";")[0] for line in head.split(b"\r\n") if line[:11] == b"set-cookie:"]
        cookies.append(b"; ".join([FOREIGN, *pairs]))
    done, until = 0, time.perf_counter() + seconds

    async def client(number: int) -> None:
        nonlocal done
        reader, writer = connections[number]
        while time.perf_counter() < until:
            await _ask(reader, writer, "/write", cookies[number])
            done += 1
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(_CONNECTIONS)))
    return done / (time.perf_counter() - start)


def _serve(name: str, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "benchmarks.throughput", name, str(port)])


async def _ready(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise TimeoutError(f"uvicorn did not open port {port} within 10 s")


async def _measure(*, quick: bool) -> dict[str, float]:
    rounds, seconds = (2, 1.0) if quick else (7, 2.0)
    servers = {name: (port := free_port(), _serve(name, port)) for name in APPLICATIONS}
    seen: dict[str, list[float]] = {}
    try:
        for port, _ in servers.values():
            await _ready(port)
        for _ in range(rounds):
            for name, (port, _) in servers.items():
                seen.setdefault(name, []).append(await _load(port, seconds))
    finally:
        for _, process in servers.values():
            process.terminate()
            process.wait()
    return {name: statistics.median(rates) for name, rates in seen.items()}


def measure(*, quick: bool) -> dict[str, float]:
    """Return the requests a second of each application."""
    return asyncio.run(_measure(quick=quick))


def _main(name: str, port: int) -> None:
    import uvicorn

    from benchmarks import plain

    apps = {
        "asgi": plain.without,
        "Starlette": plain.starlette_app(),
        "holdfast, signed cookie": plain.holdfast_app("cookie:signed", secret=SECRET),
        "holdfast, memory": plain.holdfast_app("memory:"),
    }
    uvicorn.run(apps[name], port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
