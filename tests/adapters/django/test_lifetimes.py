"""Django: how long a session lasts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from limpet.adapters.django import SessionStore
from limpet.events import SessionsSwept
from limpet.manager import SessionManager
from limpet.policy import SessionPolicy
from limpet.testing import FakeClock
from tests.adapters.django.begun import Browser, Configure, Hook, begun, heard


def test_a_session_ends_so_long_after_its_last_save(clock: FakeClock) -> None:
    """SESSION_COOKIE_AGE, as in Django: reading does not count, saving does."""
    key = begun(a=1)
    clock.advance(timedelta(days=10))
    assert SessionStore(key)["a"] == 1
    clock.advance(timedelta(days=5))
    assert "a" not in SessionStore(key)
    key = begun(a=1)
    clock.advance(timedelta(days=10))
    store = SessionStore(key)
    assert store["a"] == 1
    store.save()
    clock.advance(timedelta(days=10))
    assert SessionStore(key)["a"] == 1


def test_with_a_policy_reading_counts(configure: Configure, browser: Browser) -> None:
    """An idle timeout is one: it goes by the last use."""
    kept = configure({"policy": SessionPolicy(idle_timeout=3600, absolute_timeout=None)})
    kept.clock = clock = FakeClock()
    browser.get("/do/set?a=1")
    for _ in range(5):
        clock.advance(timedelta(minutes=50))
        answer = browser.get("/do/read")
        assert answer.json() == {"a": "1"}
        assert answer.cookies["sessionid"]["max-age"] == 3600
    clock.advance(timedelta(minutes=70))
    assert browser.get("/do/read").json() == {}


@pytest.mark.parametrize(
    ("expiry", "lasts"), [(600, 600), (timedelta(minutes=5), 300), (None, 14 * 86_400), (0, 14 * 86_400)]
)
def test_an_expiry_of_its_own(clock: FakeClock, expiry: Any, lasts: int) -> None:
    """The store forgets the session then, whatever the browser does."""
    store = SessionStore()
    clock.now = int(datetime.now(UTC).timestamp() * 1000)  # Django's own times are the system's
    store["a"] = 1
    store.set_expiry(expiry)
    store.save()
    clock.advance(lasts - 5)
    assert SessionStore(store.session_key).get("a") == 1
    clock.advance(10)
    assert SessionStore(store.session_key).get("a") is None


def test_the_cookie_follows_the_expiry(engine: SessionManager, browser: Browser, hook: Hook) -> None:
    """Seconds, until the browser is closed, and back."""
    browser.get("/do/set?a=1")
    ages = []
    for expiry in (600, 0, None):
        hook("expire", lambda request, expiry=expiry: request.session.set_expiry(expiry))
        ages.append(browser.get("/do/expire").cookies["sessionid"]["max-age"])
    assert ages == [600, "", 14 * 86_400]


def test_an_expiry_that_no_calendar_has(engine: SessionManager, browser: Browser, hook: Hook) -> None:
    """The session, which is saved by then, is handed out and goes on, for a hundred years."""
    hook("expire", lambda request: request.session.set_expiry(10**12))
    assert browser.get("/do/expire").cookies["sessionid"]["max-age"] == 36_525 * 86_400
    assert browser.get("/do/set?a=1").status_code == 200
    assert browser.get("/do/read").json()["a"] == "1"


def test_clearsessions_deletes_what_has_expired(configure: Configure, store_url: str) -> None:
    """As Django's own command does for its engines."""
    kept = configure({"store": store_url})
    kept.clock = clock = FakeClock()
    begun(a=1)
    clock.advance(timedelta(days=15))
    living = begun(b=1)
    counted = heard(kept)
    call_command("clearsessions")
    assert [event.deleted for event in counted if isinstance(event, SessionsSwept)] == [1]
    assert SessionStore().exists(living)
