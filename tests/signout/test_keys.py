"""Keys are fetched when they are needed, kept, and asked for again when one is unknown, at a bounded rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from limpet import SessionManager
from limpet.testing import FakeClock
from tests.signout.provider import CAEP, EC, RSA, Site, event_token, issuer, jwks, logout_claims, logout_token, sign

Build = Callable[..., Site]
NEW = RSAKey.generate_key(2048, {"kid": "new"})
REVOKED = f"{CAEP}session-revoked"


class Published:
    """Where an issuer publishes its keys; counts how often it was asked."""

    def __init__(self, *keys: Any) -> None:
        self.keys: tuple[Any, ...] = keys or (RSA,)
        self.asked = 0
        self.error: Exception | None = None
        self.pause = 0.0

    def fetch(self) -> Mapping[str, Any]:
        self.asked += 1
        time.sleep(self.pause)
        if self.error is not None:
            raise self.error
        return jwks(*self.keys)

    async def afetch(self) -> Mapping[str, Any]:
        return self.fetch()


def test_keys_are_fetched_at_the_first_token_and_kept(build: Build, clock: FakeClock) -> None:
    """For an hour, after which one that was withdrawn goes."""
    published = Published(RSA, EC)
    site = build(issuer(keys=published.fetch))
    assert published.asked == 0
    for _ in range(3):
        assert site.logout(logout_token()).status_code == 200
    assert published.asked == 1
    published.keys = (EC,)
    clock.advance(3600)
    fresh: dict[str, Any] = {"iat": clock() // 1000, "exp": clock() // 1000 + 60}
    assert site.logout(logout_token(**fresh)).status_code == 400
    assert site.logout(logout_token(EC, "ES256", **fresh)).status_code == 200
    assert published.asked == 2


def test_a_new_key_is_fetched_when_it_is_first_seen(build: Build, clock: FakeClock) -> None:
    """A provider that changes its keys signs out at once."""
    published = Published()
    site = build(issuer(keys=published.fetch))
    assert site.logout(logout_token()).status_code == 200
    published.keys = (RSA, NEW)
    clock.advance(11)
    assert site.logout(logout_token(NEW)).status_code == 200
    assert published.asked == 2


def test_tokens_with_keys_that_nobody_has_cost_the_provider_little(build: Build, clock: FakeClock) -> None:
    """However many come, it is asked once in ten seconds; and those with a wrong type or issuer are not asked for."""
    published = Published()
    site = build(issuer(keys=published.fetch))
    for number in range(20):
        assert site.logout(sign(logout_claims(), "logout+jwt", kid=f"k{number}")).status_code == 400
        assert site.logout(logout_token(NEW, typ="JWT")).status_code == 400
        assert site.logout(logout_token(NEW, iss="https://evil.example")).status_code == 400
    assert published.asked == 1
    clock.advance(11)
    for number in range(20):
        assert site.logout(sign(logout_claims(), "logout+jwt", kid=f"k{number}")).status_code == 400
    assert published.asked == 2


@pytest.mark.parametrize("problem", [OSError("no route"), ValueError("no JSON")])
def test_where_keys_cannot_be_fetched_the_message_is_to_come_again(
    build: Build, clock: FakeClock, problem: Exception
) -> None:
    """It may be right. Keys that were fetched before go on being used."""
    published = Published()
    published.error = problem
    site = build(issuer(keys=published.fetch))
    browser = site.login()
    answer = site.push(event_token(REVOKED))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert site.logout(logout_token()).status_code == 400
    assert site.who(browser) == "ann"
    published.error = None
    clock.advance(11)
    assert site.push(event_token(REVOKED)).status_code == 202
    assert site.who(browser) == ""
    published.error = problem
    clock.advance(3600)
    fresh: dict[str, Any] = {"iat": clock() // 1000, "exp": clock() // 1000 + 60}
    assert site.logout(logout_token(**fresh)).status_code == 200


@pytest.mark.parametrize("answer", [None, {}, {"keys": {}}, {"keys": "x"}, []])
def test_what_is_no_key_set_is_no_answer(build: Build, answer: Any) -> None:
    """And nothing is let in by it."""
    site = build(issuer(keys=lambda: answer))
    assert site.push(event_token(REVOKED)).status_code == 503


def test_first_tokens_at_once_wait_for_one_fetch(build: Build) -> None:
    """None of them is refused because another one is fetching."""
    published = Published()
    published.pause = 0.2
    site = build(issuer(keys=published.fetch))
    with ThreadPoolExecutor(8) as pool:
        if site.kind == "asgi":
            with site.client() as server:  # one event loop, as a server has
                send = lambda token: server.post("/signout/back-channel", data={"logout_token": token})  # noqa: E731
                found = list(pool.map(send, [logout_token() for _ in range(8)]))
        else:
            found = list(pool.map(site.logout, [logout_token() for _ in range(8)]))
    assert [answer.status_code for answer in found] == [200] * 8
    assert published.asked == 1


def test_a_coroutine_function_may_fetch(clock: FakeClock) -> None:
    """On an event loop; a plain one is called on a thread there, so that it holds nobody up."""
    threads: list[bool] = []

    def fetch() -> Mapping[str, Any]:
        threads.append(threading.current_thread() is threading.main_thread())
        return jwks(RSA)

    for keys in (Published().afetch, fetch):
        site = Site("asgi", SessionManager("memory:", dev=False, clock=clock), issuer(keys=keys))
        assert site.logout(logout_token()).status_code == 200
    assert threads == [False]


def test_a_coroutine_function_is_none_for_wsgi(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what to give instead."""
    site = Site("wsgi", SessionManager("memory:", dev=False, clock=clock), issuer(keys=Published().afetch))
    assert site.push(event_token(REVOKED)).status_code == 503
    assert "WSGI has no event loop: give a plain one" in caplog.text
