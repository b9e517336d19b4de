"""A client of WSGI applications that holds them to PEP 3333, and an application to talk to."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from limpet import SessionManager
from limpet.wsgi import BlockingSession, SessionMiddleware
from tests.jar import keep

__all__ = ["Browser", "Reply", "application", "site"]

Handler = Callable[[BlockingSession], object]


@dataclass
class Reply:
    """What an application answered.

    Attributes:
        status: The status code; 0: it never began to answer.
        headers: All headers, as they were sent.
        parts: The body as it came.
    """

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    parts: list[bytes] = field(default_factory=list[bytes])

    @property
    def text(self) -> str:
        """The body."""
        return b"".join(self.parts).decode()

    def header(self, name: str) -> str | None:
        """Return the values of a header, with commas between them."""
        found = [value for each, value in self.headers if each.lower() == name]
        return ", ".join(found) if found else None


class Browser:
    """Sends requests to one application, and keeps its cookies."""

    def __init__(self, app: Any, *, cookies: dict[str, str] | None = None) -> None:
        self.app = validator(app)
        self.cookies = dict(cookies or {})

    def get(self, path: str = "/", *, stop_after: int | None = None, scheme: str = "https", **environ: Any) -> Reply:
        """Send a request, read the answer and close it.

        Args:
            stop_after: Hang up after so many parts of the body.
            environ: What else the environ is to hold.
        """
        reply = Reply()
        sent: dict[str, Any] = {"PATH_INFO": path, "wsgi.url_scheme": scheme, "wsgi.input": io.BytesIO(), **environ}
        if self.cookies:
            sent["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        setup_testing_defaults(sent)
        sent.setdefault("QUERY_STRING", "")
        sent.setdefault("SCRIPT_NAME", "")

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if exc_info is not None and any(reply.parts):
                raise exc_info[1].with_traceback(exc_info[2])
            reply.status, reply.headers = int(status[:3]), headers
            return reply.parts.append

        body: Any = self.app(sent, start_response)
        try:
            for number, part in enumerate(body, 1):
                reply.parts.append(part)
                if number == stop_after:
                    break
        finally:
            body.close()
        keep(self.cookies, [value for name, value in reply.headers if name.lower() == "set-cookie"])
        return reply


def application(handler: Handler, status: str = "200 OK") -> Any:
    """Return an application that answers what a handler of its session returns."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = str(handler(environ["limpet.session"])).encode()
        start_response(status, [("Content-Type", "text/plain")])
        return [answer]

    return app


def site(handler: Handler, manager: SessionManager | None = None, **settings: Any) -> Browser:
    """Return a browser of an application with that handler."""
    return Browser(SessionMiddleware(application(handler), manager or SessionManager("memory:"), **settings))
