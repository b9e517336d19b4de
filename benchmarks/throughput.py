"""Hello applications under uvicorn, read + write: requests a second, and the server's CPU for one of them.

The share that a session layer leaves depends on what the rest of a request costs, so there is more than one hello:

* a route of a Starlette application, which is what people write: it reads a value of the session, sets another, and
  answers two bytes;
* a bare ASGI function that does the same; nothing is cheaper, so no application keeps a smaller share;
* the Starlette route once more with h11 in place of httptools. uvicorn takes httptools where it is installed (with
  ``uvicorn[standard]``, or because another package brings it) and h11 otherwise, which costs two or three times as
  much; here each is named, so that the figures do not depend on what else is installed.

Each is served without sessions too, with a dict in the session's place. All run in one process on asyncio's loop, with
the access log off: it is on by default, costs as much as a session, and would make every share look better.

The load comes from one process over 16 keep-alive connections, without pipelining. It is a bare loop over sockets, so
that the server is what limits; how busy the server was is part of the result: far below 100 %, its rate says less than
its CPU. Subjects take turns, in changing order, and each figure is the median of all rounds.
"""

from __future__ import annotations

import selectors
import socket
import statistics
import subprocess
import sys
import time
from typing import Any, Literal, NamedTuple, cast

from benchmarks.drive import FOREIGN, SECRET
from tests.servers.process import free_port

__all__ = ["APPLICATIONS", "Rate", "measure"]

_HELLO = {
    "bare ASGI": ("bare", "httptools"),
    "Starlette route": ("route", "httptools"),
    "Starlette route, h11": ("route", "h11"),
}
_LAYERS = {
    "Starlette's sessions": "starlette",
    "limpet signed cookie": "cookie:signed",
    "limpet memory": "memory:",
}
APPLICATIONS = {name: hello for hello in _HELLO for name in (hello, *(f"{hello}, {layer}" for layer in _LAYERS))}
"""Each application, and the one without sessions that it is compared with."""

_CONNECTIONS = 16
_END = b"\r\n\r\nok"


class Rate(NamedTuple):
    """What one application served.

    Attributes:
        per_second: Requests a second.
        kept: That as a share of what the same application serves without sessions.
        kept_by_cpu: The same by the server's CPU, which does not mind who else uses the machine.
        cpu: Microseconds of the server's CPU for a request.
        added: How many of them the session layer added.
        busy: The share of the time for which the server was on a processor.
    """

    per_second: float
    kept: float
    kept_by_cpu: float
    cpu: float
    added: float
    busy: float


class _Turn(NamedTuple):
    per_second: float
    cpu: float
    busy: float


def _ask(connection: socket.socket, path: bytes, cookie: bytes) -> dict[bytes, bytes]:
    """Send one request, wait for the answer, and return its headers."""
    connection.sendall(_request(path, cookie))
    answer = b""
    while not answer.endswith(_END):
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError(f"the server closed the connection in the middle of {path.decode()}: {answer!r}")
        answer += piece
    return dict(line.split(b": ", 1) for line in answer[: -len(_END)].split(b"\r\n")[1:])


def _request(path: bytes, cookie: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: example.org\r\nCookie: %b\r\n\r\n" % (path, cookie)


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _load(port: int, seconds: float) -> _Turn:
    """Keep every connection of one server busy for a while."""
    asked = _connect(port)
    connections = [_connect(port) for _ in range(_CONNECTIONS)]
    requests: dict[socket.socket, bytes] = {}
    for connection in connections:
        pair = _ask(connection, b"/seed", FOREIGN).get(b"set-cookie", b"").partition(b";")[0]
        requests[connection] = _request(b"/write", b"; ".join(filter(None, (FOREIGN, pair))))
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        cpu, start = int(_ask(asked, b"/cpu", b"")[b"x-cpu"]), time.perf_counter()
        done = _drive(selector, requests, start + seconds)
        wall = time.perf_counter() - start
        cpu = int(_ask(asked, b"/cpu", b"")[b"x-cpu"]) - cpu
    for connection in (asked, *connections):
        connection.close()
    return _Turn(done / wall, cpu / done / 1000, cpu / wall / 1e9)


def _drive(selector: selectors.BaseSelector, requests: dict[socket.socket, bytes], until: float) -> int:
    """Send the next request on each connection as soon as the last is answered, and count the answers."""
    done, unfinished = 0, dict.fromkeys(requests, b"")
    for connection, request in requests.items():
        connection.sendall(request)
    while time.perf_counter() < until:
        for key, _ in selector.select():
            ready: Any = key.fileobj
            answer = unfinished[ready] + ready.recv(65536)
            if answer.endswith(_END):
                done += 1
                unfinished[ready] = b""
                ready.sendall(requests[ready])
            elif answer:
                unfinished[ready] = answer
            else:
                raise ConnectionError("the server closed a connection under load")
    return done


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            _connect(port).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"uvicorn did not open port {port} within 30 s, or ended with {process.poll()}")


def measure(*, quick: bool) -> dict[str, Rate]:
    """Return what each application served."""
    rounds, seconds = (9, 0.3) if quick else (15, 0.5)
    servers: dict[str, tuple[int, subprocess.Popen[bytes]]] = {}
    turns: dict[str, list[_Turn]] = {name: [] for name in APPLICATIONS}
    try:
        for name in APPLICATIONS:
            port = free_port()
            command = [sys.executable, "-m", "benchmarks.throughput", name, str(port)]
            servers[name] = (port, subprocess.Popen(command))
        for port, process in servers.values():
            _wait(port, process)
            _load(port, 0.2)  # the first requests import what comes late
        for turn in range(rounds):
            for name in APPLICATIONS if turn % 2 else reversed(APPLICATIONS):
                turns[name].append(_load(servers[name][0], seconds))
    finally:
        for _, process in servers.values():
            process.terminate()
            process.wait()
    return {name: _rate(turns[name], turns[base]) for name, base in APPLICATIONS.items()}


def _rate(turns: list[_Turn], base: list[_Turn]) -> Rate:
    """Return the medians; what is compared is compared within a round: there, both met the same weather."""
    return Rate(
        statistics.median(turn.per_second for turn in turns),
        statistics.median(turn.per_second / other.per_second for turn, other in zip(turns, base, strict=True)),
        statistics.median(other.cpu / turn.cpu for turn, other in zip(turns, base, strict=True)),
        statistics.median(turn.cpu for turn in turns),
        statistics.median(turn.cpu - other.cpu for turn, other in zip(turns, base, strict=True)),
        statistics.median(turn.busy for turn in turns),
    )


def _application(name: str) -> Any:
    from benchmarks import frameworks, plain

    hello = APPLICATIONS[name]
    layer = _LAYERS[name.removeprefix(f"{hello}, ")] if name != hello else None
    if _HELLO[hello][0] == "route":
        return frameworks.starlette_app(layer)
    if layer is None:
        return plain.without
    if layer == "starlette":
        return plain.starlette_app()
    return plain.limpet_app(layer, secret=SECRET if layer.startswith("cookie") else None)


def _main(name: str, port: int) -> None:
    """Serve one application; ``/cpu`` tells what the process has used."""
    import uvicorn

    app = _application(name)

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/cpu":
            headers = [(b"x-cpu", b"%d" % time.process_time_ns()), (b"content-length", b"2")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"ok"})
        else:
            await app(scope, receive, send)

    parser = cast('Literal["httptools", "h11"]', _HELLO[APPLICATIONS[name]][1])
    uvicorn.run(counted, port=port, http=parser, loop="asyncio", log_level="error", access_log=False)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
