"""Looks over the session manager's shoulder: which store calls a request made, what its answer did to the cookie.

What was seen is kept in memory, a few answers for each visit. Never in the session: to note a read there would
make it a write.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limpet import SessionManager

__all__ = ["VISIT", "Answer", "Ledger", "Recorder", "WatchedManager", "calls_so_far", "in_words"]

Cookie: TypeAlias = Literal["unchanged", "set", "deleted"]

VISIT: Final = "limpet.demo.visit"
"""Where in the scope a route leaves the handle of the visit that its answer belongs to."""
_VISITS: Final = 500
_ANSWERS: Final = 6
_WORDS: Final = {
    "load": ("read", "reads"),
    "create": ("new record", "new records"),
    "update": ("write", "writes"),
    "touch": ("note of use", "notes of use"),
    "replace": ("ended id", "ended ids"),
    "delete": ("deletion", "deletions"),
    "find": ("search by name", "searches by name"),
}
_calls: ContextVar[list[str] | None] = ContextVar("limpet.demo.calls", default=None)


class WatchedManager(SessionManager):
    """A session manager that notes the names of the store calls which the current request makes."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.engine.tracer = _Noting()


class _Noting:
    """Notes the store calls of the current request."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """Note a call of the store."""
        noted, (_, store, call) = _calls.get(), name.partition("store.")
        if noted is not None and store:
            noted.append(call)
        return nullcontext()


def calls_so_far() -> Counter[str]:
    """Return the store calls that the current request has made by now."""
    return Counter(_calls.get() or ())


def in_words(calls: Counter[str]) -> str:
    """Return store calls as a person says them: ``1 read, 2 writes``."""
    known = [(calls[name], one, many) for name, (one, many) in _WORDS.items() if calls[name]]
    return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in known) or "not asked"


@dataclass(slots=True)
class Answer:
    """What one answer did, or several equal ones in a row.

    Attributes:
        path: What was posted to.
        status: The answer's status.
        cookie: What it did to the session cookie.
        calls: The store calls that were made for it.
        times: How many such answers there were.
    """

    path: str
    status: int
    cookie: Cookie
    calls: Counter[str] = field(default_factory=Counter)
    times: int = 1

    @property
    def store(self) -> str:
        """The store calls in words."""
        return in_words(self.calls)

    @property
    def merged(self) -> int:
        """How many writes met one of another request, and were merged with it and written again."""
        return max(0, self.calls["update"] - self.times)


class Ledger:
    """The last answers of each visit, newest first."""

    def __init__(self) -> None:
        self._visits: OrderedDict[str, deque[Answer]] = OrderedDict()

    def note(self, visit: str, answer: Answer) -> None:
        """Add an answer, or count it with the one before when that did the same."""
        answers = self._visits.setdefault(visit, deque(maxlen=_ANSWERS))
        self._visits.move_to_end(visit)
        while len(self._visits) > _VISITS:
            self._visits.popitem(last=False)
        newest = answers[0] if answers else None
        if newest and (newest.path, newest.status, newest.cookie) == (answer.path, answer.status, answer.cookie):
            newest.calls += answer.calls
            newest.times += 1
        else:
            answers.appendleft(answer)

    def of(self, visit: str | None) -> Sequence[Answer]:
        """Return the answers of a visit."""
        return tuple(self._visits.get(visit, ())) if visit else ()


class Recorder:
    """Middleware around `SessionMiddleware` that enters every answer to a form into the ledger."""

    def __init__(self, app: ASGIApp, *, ledger: Ledger, cookie_name: str) -> None:
        self._app = app
        self._ledger = ledger
        self._cookie = cookie_name.encode() + b"="

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with an empty list of calls."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        calls: list[str] = []
        _calls.set(calls)

        async def seen(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["method"] == "POST" and scope.get(VISIT):
                cookie = self._what_happened(message.get("headers", ()))
                answer = Answer(scope["path"], message["status"], cookie, Counter(calls))
                self._ledger.note(scope[VISIT], answer)
            await send(message)

        await self._app(scope, receive, seen)

    def _what_happened(self, headers: Any) -> Cookie:
        for name, value in headers:
            if name == b"set-cookie" and value.startswith(self._cookie):
                return "deleted" if b"max-age=0" in value.lower() else "set"
        return "unchanged"
