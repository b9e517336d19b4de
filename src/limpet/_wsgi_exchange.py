"""One request of a WSGI application and its response: the session is saved at the right moments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias

from limpet._core.session import state_of
from limpet._core.state import ACCESSED, CLOSED
from limpet._doors import BlockingSession, Pairs
from limpet._environ import Environ, mount_of
from limpet._serving import as_text
from limpet.errors import Answer, LimpetError, answer_to
from limpet.manager import SessionManager
from limpet.refusals import answer_error

__all__ = ["Middleware", "StartResponse", "WSGIExchange"]

StartResponse: TypeAlias = Callable[..., Any]


class Middleware(Protocol):
    """What an exchange needs of `limpet.wsgi.SessionMiddleware`."""

    manager: SessionManager

    def check_test_client(self, environ: Environ) -> None:
        """Warn once if a Secure cookie goes out to a test client that will drop it."""
        ...

    def ended(self) -> None:
        """Note that a request has ended."""
        ...


class WSGIExchange:
    """One request and its response: saves at the right moments.

    Attributes:
        answer: What was sent in the place of the application's response, after an error of ours; None: nothing was.
    """

    __slots__ = (
        "_code",
        "_doors",
        "_environ",
        "_failed",
        "_given",
        "_marked",
        "_middleware",
        "_server",
        "_session",
        "_write",
        "answer",
    )

    def __init__(
        self, middleware: Middleware, environ: Environ, session: BlockingSession, server: StartResponse
    ) -> None:
        self._middleware = middleware
        self._doors = middleware.manager.blocking
        self._environ = environ
        self._session = session
        self._server = server
        self._code = 0  # of the response that the application began with
        self._failed = False
        self._given: tuple[str, Pairs, Any] | None = None  # what waits for the first part of the body
        self._marked: tuple[Pairs, Pairs] | None = None  # the headers of the application, and those that were sent
        self._write: Callable[[bytes], object] = _discard
        self.answer: Answer | None = None

    def start(self, status: str, headers: Pairs, exc_info: Any = None) -> Callable[[bytes], object]:
        """Note the response; the ``start_response`` that the application is given."""
        if self.answer is not None:
            return _discard
        if self._given is not None and exc_info is None:  # a second one, which the server refuses
            self.go()
        if self._marked is not None:  # an error page in the place of a response of which nothing was sent yet
            self._failed = True
            ours = [pair for pair in self._marked[1] if pair not in self._marked[0]]
            more = () if exc_info is None else (exc_info,)
            return self._server(status, [*headers, *ours], *more)  # type: ignore[no-any-return]
        self._failed = self._given is not None or int(status[:3]) >= 500
        self._code = self._code or int(status[:3])
        self._given = status, headers, exc_info
        return self.write

    def write(self, data: bytes) -> None:
        """Send a part of the body; what ``start_response`` returns."""
        if data:
            self.go()
            self._write(data)

    def go(self) -> None:
        """Save, and start the response, as the first part of its body is there."""
        if self._given is None:
            return
        (status, headers, exc_info), self._given = self._given, None
        refused: LimpetError | None = None
        marked: Pairs = []
        try:
            prefix = mount_of(self._environ)
            marked = self._doors.start(self._session, self._code, headers, prefix=prefix)
        except LimpetError as error:
            if answer_to(error) is None:
                raise
            refused = error
        if refused is not None:
            self._refuse(refused)
            return
        self._marked = headers, marked
        if len(marked) > len(headers) and any(name == "Set-Cookie" for name, _ in marked[len(headers) :]):
            self._middleware.check_test_client(self._environ)
        self._write = self._server(status, marked, *(() if exc_info is None else (exc_info,)))

    def sent(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server sends: the body, whose end is the end of the session."""
        if self.answer is not None:
            _close(body)
            self.finish()
            return [self.answer.body]
        if type(body) in (list, tuple) and self._marked is not None:  # nothing of the application runs any more
            self.finish()
            return body
        return _Body(body, self)

    def save_late(self) -> None:
        """Save what the body wrote, before the server tells the client that it is complete."""
        self._doors.save_late(self._session, failed=self._failed)

    def fail(self, error: BaseException) -> bool:
        """The application raised: keep a logout, drop the rest; True if the error was answered here."""
        state = state_of(self._session)
        if self.answer is None and state.phase != CLOSED:
            self._doors.fail(self._session)
            if isinstance(error, LimpetError) and answer_to(error) is not None and self._marked is None:
                self._refuse(error)
        self._close()
        return self.answer is not None and isinstance(error, Exception)

    def finish(self) -> None:
        """Nothing of this request runs any more."""
        state = state_of(self._session)
        if state.phase == CLOSED:
            return
        try:
            self.go()  # nothing was asked of the body: the client has gone
            if self._marked is None:
                self._failed = True  # it answered nothing, which the server turns into an error
            if self.answer is None and (state.flags & ~ACCESSED or state.leaving is not None):
                self.save_late()
        finally:
            self._close()

    def _close(self) -> None:
        state = state_of(self._session)
        if state.phase != CLOSED:
            state.phase = CLOSED
            self._middleware.ended()

    def _refuse(self, error: LimpetError) -> None:
        manager = self._middleware.manager
        answer = answer_error(manager.on_refused, error, self._environ)
        assert answer is not None
        tokens = manager.engine.headers(self._session)  # an id that may be the only one goes out
        self.answered(answer._replace(headers=(*answer.headers, *tokens)))

    def answered(self, answer: Answer) -> Iterable[bytes]:
        """Send an answer of ours; return its body."""
        self.answer = answer
        self._server(f"{answer.status} {HTTPStatus(answer.status).phrase}", as_text(answer.headers))
        return [answer.body]


class _Body:
    """A body that the application makes while it is sent."""

    __slots__ = ("_body", "_exchange", "_over", "_parts")

    def __init__(self, body: Iterable[bytes], exchange: WSGIExchange) -> None:
        self._body = body
        self._exchange = exchange
        self._parts: Iterator[bytes] | None = None
        self._over = False

    def __iter__(self) -> _Body:
        return self

    def __next__(self) -> bytes:
        if self._over:
            raise StopIteration
        exchange = self._exchange
        failure: BaseException | None = None
        part: bytes | None = None
        try:
            if self._parts is None:
                self._parts = iter(self._body)
            part = next(self._parts, None)
            exchange.go()
            if part is None and exchange.answer is None:
                exchange.save_late()
        except BaseException as error:  # noqa: BLE001 - judged below
            failure = error
        if failure is not None and not exchange.fail(failure):
            self._over = True
            raise failure
        if exchange.answer is not None:
            self._over = True
            return exchange.answer.body
        if part is None:
            self._over = True
            raise StopIteration
        return part

    def close(self) -> None:
        """End the request: the server calls this whether the body was sent as a whole or not."""
        try:
            _close(self._body)
        finally:
            self._exchange.finish()


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _discard(data: bytes) -> None:
    """Take what an application writes after an error was sent in the place of its response."""
