"""S37: somebody tries ids. It is told, at a bounded rate, and ids that are well known are no alarm."""

from __future__ import annotations

from typing import Any

import pytest

from limpet import Session
from limpet._emitter import Emitter
from limpet._inline import Inline
from limpet._wire import tokens
from limpet.events import SessionExpired, SessionLoggedIn, UnknownId
from tests.security.either import EitherSite
from tests.site import Handler, nothing

SECRET = "K3pq-9cVt_hYz1mXw7RbN5sLd8GfJ2aQ0oUe6iTyC4k"
NANO = 1_000_000_000


class Guessed(EitherSite):
    """A site at which somebody guesses, and what its manager tells."""

    def guess(self, token: str | None, do: Handler = nothing) -> str | None:
        """Send one request with a cookie; return the one that the browser has then."""
        return self.visit(do, token)[1]

    def told(self) -> list[UnknownId]:
        """Return what was told of unknown ids."""
        return [event for event in self.heard if isinstance(event, UnknownId)]


def login(session: Session) -> None:
    session.login("ann")


@pytest.fixture(params=["asgi", "wsgi"])
def kind(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


def test_s37_guesses_are_told_once_in_a_while(kind: str) -> None:
    """A hundred guesses are one event, which names the client that sent the first."""
    site = Guessed(kind)
    for _ in range(100):
        site.guess(tokens.encode_id(tokens.new_id()))
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
    site, other = Guessed(kind, store, secret=SECRET), Guessed(kind, store, secret=SECRET[::-1])
    site.guess(other.guess(None, login))
    [event] = site.told()
    assert (event.count, event.forged) == (1, 1)


@pytest.mark.parametrize(("store", "secret"), [("memory:", None), ("memory:", SECRET), ("cookie:", SECRET)])
def test_s37_ids_that_are_known_are_no_alarm(kind: str, store: str, secret: str | None) -> None:
    """A session that lives, has ended just now or has expired; and a request with no cookie, or an empty one."""
    site = Guessed(kind, store, secret=secret)
    site.guess(None)
    site.guess("")
    token = site.guess(None, login)
    site.guess(token)
    site.clock.advance(25 * 3600)
    site.guess(token)
    assert SessionExpired in map(type, site.heard)
    site.clock.advance(-25 * 3600)
    again = site.guess(None, login)
    site.guess(again, lambda session: session.logout())
    site.guess(again)
    assert site.told() == []


def test_s37_a_thread_that_serves_others_next_tells_nothing_of_a_client_before() -> None:
    """What is known of a client is that of the request, and of nothing after it."""
    site = Guessed("wsgi")
    site.guess(None, login)
    assert [event.device for event in site.heard if isinstance(event, SessionLoggedIn)] == [
        {"agent": "Guess/1", "address": "127.0.0.0/24"}
    ]
    assert site.manager.blocking.revoke_all("ann") == 1
    assert site.heard[-1].device is None
