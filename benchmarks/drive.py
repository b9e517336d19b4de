"""Call an application directly, without sockets, and remember its cookie."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

__all__ = [
    "FOREIGN",
    "LARGE",
    "PATHS",
    "SECRET",
    "SMALL",
    "Call",
    "Subject",
    "asgi_call",
    "folder",
    "seeded",
    "use",
    "wsgi_call",
]

SECRET = "kT9vQ2xLr8Zs5WnYb3HdJc6FgM1pXaUe4RtOiEwqNzA"
SMALL: dict[str, Any] = {
    "user": "ann",
    "n": 1,
    "roles": ["editor", "author"],
    "email": "ann@example.org",
    "theme": "dark",
    "cart": {"tea": 1, "milk": 2},
}
"""About 100 bytes as MessagePack."""
LARGE: dict[str, Any] = {**SMALL, "items": [{"id": 1000 + i, "name": f"article {i}", "count": i} for i in range(48)]}
"""About 2 KB."""
PATHS = ("untouched", "read", "write", "seed", "seed2k")
"""What a framework's application serves, see `use`."""
FOREIGN = (
    b"_ga=GA1.2.1034567890.1712345678; _gid=GA1.2.987654321.1712345678; consent=%7B%22ads%22%3Afalse%7D; "
    b"_fbp=fb.1.1712345678901.1234567890; locale=en-GB; ab_test=variant-b; csrftoken=Zx81kQmN0pR5tVwY"
)
"""What other scripts of a site leave in a browser: 200 bytes, sent with every request of the benchmark."""

Call = Callable[[str, bytes], Awaitable[list[bytes]]]
"""``(path, cookie header) -> Set-Cookie values``"""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One session layer, and the same application without it.

    Attributes:
        name: As it stands in the tables.
        base: What its cost is counted from; the name of a `Subject` without sessions.
        make: Returns a way to call it.
        group: Where it keeps sessions; ``none``: it has none.
    """

    name: str
    make: Callable[[], Call]
    base: str = "asgi"
    group: str = "cookie"


def use(path: str, session: Any) -> None:
    """Do with a session what the path says."""
    if path == "read":
        session.get("user")
    elif path == "write":
        session["n"] = session.get("n", 0) + 1
    elif path == "seed":
        session.update(SMALL)
    elif path == "seed2k":
        session.update(LARGE)


def folder() -> Path:
    """Return a new temporary folder, which is removed when the process ends."""
    path = Path(tempfile.mkdtemp(prefix="limpet-bench-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


HEADERS: list[tuple[bytes, bytes]] = [
    (b"host", b"example.org"),
    (
        b"user-agent",
        b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0",
    ),
    (b"accept", b"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
    (b"accept-language", b"en-GB,en;q=0.9"),
    (b"accept-encoding", b"gzip, deflate, br"),
]


def scope(path: str, cookie: bytes) -> dict[str, Any]:
    """Return the ASGI scope of a request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [*HEADERS, (b"cookie", cookie)] if cookie else [*HEADERS],
        "client": ("192.0.2.1", 40000),
        "server": ("example.org", 443),
    }


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def asgi_call(app: Any) -> Call:
    """Return a way to call an ASGI application."""

    async def call(path: str, cookie: bytes) -> list[bytes]:
        cookies: list[bytes] = []

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] < 400, (path, message)
                for name, value in message["headers"]:
                    if name == b"set-cookie":
                        cookies.append(value)

        await app(scope(path, cookie), _receive, send)
        return cookies

    return call


def wsgi_call(app: Any) -> Call:
    """Return a way to call a WSGI application."""

    async def call(path: str, cookie: bytes) -> list[bytes]:
        cookies: list[bytes] = []

        def start(status: str, headers: list[tuple[str, str]], error: Any = None) -> None:
            assert status < "400", (path, status)
            for name, value in headers:
                if name.lower() == "set-cookie":
                    cookies.append(value.encode("latin-1"))

        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "SCRIPT_NAME": "",
            "QUERY_STRING": "",
            "SERVER_NAME": "example.org",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "example.org",
            "HTTP_USER_AGENT": HEADERS[1][1].decode(),
            "HTTP_ACCEPT": HEADERS[2][1].decode(),
            "wsgi.url_scheme": "https",
            "wsgi.input": BytesIO(),
            "wsgi.errors": BytesIO(),
            "wsgi.version": (1, 0),
        }
        if cookie:
            environ["HTTP_COOKIE"] = cookie.decode()
        body = app(environ, start)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()
        return cookies

    return call


async def seeded(call: Call, path: str = "/seed") -> bytes:
    """Return the Cookie header of a browser that has a session."""
    pairs = [value.split(b";")[0] for value in await call(path, b"")]
    before, _, after = FOREIGN.partition(b"; _fbp")
    return b"; ".join([before, *(pair for pair in pairs if pair.partition(b"=")[2]), b"_fbp" + after])
