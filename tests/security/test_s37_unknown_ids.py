"""S37: somebody tries ids. It is told, at a bounded rate, and ids that are well known are no alarm."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from limpet import SessionManager
from limpet._emitter import Emitter
from limpet._inline import Inline
from limpet._wire import tokens
from limpet.asgi import SessionMiddleware
from limpet.events import Event, SessionExpired, SessionLoggedIn, UnknownId
from limpet.testing import FakeClock, client
from limpet.wsgi import SessionMiddleware as WSGISessions

SECRET = "K3pq-9cVt_hYz1mXw7RbN5sLd8GfJ2aQ0oUe6iTyC4k"
NANO = 1_000_000_000


class Site:
    """An application that looks at its session, and what its manager tells."""

    def __init__(self, kind: str, store: str, secret: str | None) -> None:
        self.clock = FakeClock()
        self.manager = SessionManager(store, secret=secret, clock=self.clock, dev=False, devices=True)
        self.heard: list[Event] = []
        self.manager.listen(self.heard.append)
        self.browser: Any
        if kind == "asgi":
            self.browser = client(SessionMiddleware(self._asgi, self.manager))
        else:
            transport = httpx2.WSGITransport(app=WSGISessions(self._wsgi, self.manager))
            self.browser = httpx2.Client(transport=transport, base_url="https://testserver")

    async def _asgi(self, scope: Any, receive: Any, send: Any) -> None:
        self._use(scope["session"], scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _wsgi(self, environ: Any, start_response: Any) -> list[bytes]:
        self._use(environ["limpet.session"], environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b""]

    def _use(self, session: Any, path: str) -> None:
        if path == "/login":
            session.login("ann")
        elif path == "/logout":
            session.logout()
        session.get("x")

    def ask(self, token: str | None, path: str = "/") -> str | None:
        """Send one request with a cookie; return the one that came back."""
        self.browser.cookies.clear()
        headers = {"user-agent": "Guess/1"}
        if token is not None:
            headers["cookie"] = f"{self.manager.cookie_name}={token}"
        answer = self.browser.get(path, headers=headers)
        assert answer.status_code == 200
        found: str | None = answer.cookies.get(self.manager.cookie_name)
        return found

    def told(self) -> list[UnknownId]:
        """Return what was told of unknown ids."""
        return [event for event in self.heard if isinstance(event, UnknownId)]


@pytest.fixture(params=["asgi", "wsgi"])
def kind(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


def test_s37_guesses_are_told_once_in_a_while(kind: str) -> None:
    """A hundred guesses are one event, which names the client that sent the first."""
    site = Site(kind, "memory:", None)
    for _ in range(100):
        site.ask(tokens.encode_id(tokens.new_id()))
    [event] = site.told()
    assert (event.count, event.forged) == (1, 0)
    assert event.tag is not None
    assert event.device is not None
    assert event.device["agent"] == "Guess/1"


def test_s37_the_next_event_counts_those_between() -> None:
    """And so an operator sees how many came, whatever the rate."""
    now = 0
    emitter = Emitter(lambda: 0, Inline(), lambda: now, lambda: None)
    heard: list[Any] = []
    emitter.listen(heard.append)
    for second in range(31):
        now = second * NANO
        emitter.note_unknown("k" * 64)
        emitter.note_unknown()
    assert [(event.count, event.forged) for event in heard] == [(1, 0), (20, 10), (20, 10), (20, 10)]


@pytest.mark.parametrize("store", ["memory:", "cookie:"])
def test_s37_a_forged_token_is_counted_as_such(kind: str, store: str) -> None:
    """It was never handed out under a secret that is known here: a session of another secret, or made up."""
    site, other = Site(kind, store, SECRET), Site(kind, store, SECRET[::-1])
    site.ask(other.ask(None, "/login"))
    [event] = site.told()
    assert (event.count, event.forged) == (1, 1)


@pytest.mark.parametrize(("store", "secret"), [("memory:", None), ("memory:", SECRET), ("cookie:", SECRET)])
def test_s37_ids_that_are_known_are_no_alarm(kind: str, store: str, secret: str | None) -> None:
    """A session that lives, has ended just now or has expired; and a request with no cookie, or an empty one."""
    site = Site(kind, store, secret)
    site.ask(None)
    site.ask("")
    token = site.ask(None, "/login")
    site.ask(token)
    site.clock.advance(25 * 3600)
    site.ask(token)
    assert SessionExpired in map(type, site.heard)
    site.clock.advance(-25 * 3600)
    again = site.ask(None, "/login")
    site.ask(again, "/logout")
    site.ask(again)
    assert site.told() == []


def test_s37_a_thread_that_serves_others_next_tells_nothing_of_a_client_before() -> None:
    """What is known of a client is that of the request, and of nothing after it."""
    site = Site("wsgi", "memory:", None)
    site.ask(None, "/login")
    assert [event.device for event in site.heard if isinstance(event, SessionLoggedIn)] == [
        {"agent": "Guess/1", "address": "127.0.0.0/24"}
    ]
    assert site.manager.blocking.revoke_all("ann") == 1
    assert site.heard[-1].device is None
