"""Django: what its contract says, and what it does beyond that."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from limpet.errors import UnstorableValue
from limpet.events import Event, SessionLoggedIn, SessionsSwept, WriteAfterEnd
from limpet.manager import SessionManager
from limpet.policy import SessionPolicy
from limpet.testing import FakeClock
from tests.django_site.fixtures import (  # noqa: F401 - fixtures
    Configure,
    ann,
    bob,
    browser,
    clock,
    configure,
    engine,
    hook,
    store_url,
)

from django.contrib.sessions.backends.base import CreateError, UpdateError  # isort: skip - after the settings
from django.core.exceptions import ImproperlyConfigured  # isort: skip
from django.core.management import call_command  # isort: skip
from django.test import Client, RequestFactory  # isort: skip
from limpet.adapters.django import SessionStore, manager  # isort: skip

Hook = Callable[..., None]


def begun(**data: Any) -> str:
    """Store a session and return its key."""
    store = SessionStore()
    store.update(data)
    store.save()
    key = store.session_key
    assert isinstance(key, str)
    return key


def heard(engine: SessionManager) -> list[Event]:
    """Return the list that all events from now on are added to."""
    events: list[Event] = []
    engine.listen(events.append)
    return events


# -- keys


def test_a_key_fits_into_forty_characters_and_is_what_the_cookie_holds(engine: SessionManager, browser: Client) -> None:
    """Django's columns for a session key are that wide, and its test client takes the cookie for the key."""
    key = browser.get("/do/set?a=1").cookies["sessionid"].value
    assert re.fullmatch(r"[A-Za-z0-9_-]{40}", key)
    assert browser.session.session_key == key
    assert browser.session["a"] == "1"


def test_what_is_stored_cannot_be_sent_as_a_cookie(engine: SessionManager) -> None:
    """The store has a digest of the key."""
    key = begun(a=1)
    found = SessionStore(key).limpet.public_id
    assert found is not None
    assert key not in found
    assert not SessionStore(found).exists(found)


def test_a_key_is_there_during_the_request_that_creates_the_session(
    engine: SessionManager, browser: Client, hook: Hook
) -> None:
    """Applications name a basket by it before they put anything into the session."""

    def name_a_basket(request: Any) -> Any:
        request.session.create()
        return request.session.session_key

    hook("basket", name_a_basket)
    answer = browser.get("/do/basket")
    assert answer.json() == answer.cookies["sessionid"].value
    assert SessionStore().exists(answer.json())


def test_a_login_has_its_last_key_at_once(engine: SessionManager, browser: Client, ann: Any) -> None:
    """The key that a listener of `user_logged_in` stores is the one that the browser gets."""
    browser.get("/do/set?a=1")
    answer = browser.get("/do/login?name=ann")
    assert answer.json() == answer.cookies["sessionid"].value
    assert browser.get("/do/who").json() == "ann"
    assert browser.get("/do/read").json() == {"a": "1"}


def test_a_key_that_a_client_chose_is_not_taken(engine: SessionManager, browser: Client) -> None:
    """OWASP Session Management Cheat Sheet: ids are made by the server alone."""
    chosen = SessionStore()._get_new_session_key()
    browser.cookies["sessionid"] = chosen
    given = browser.get("/do/set?a=1").cookies["sessionid"].value
    assert given != chosen
    assert not SessionStore().exists(chosen)
    other = SessionStore(chosen)
    other.save(must_create=True)
    assert other.session_key != chosen
    with pytest.raises(CreateError):
        other.save(must_create=True)


# -- two at once


def test_fifty_at_once_count_fifty(configure: Configure, store_url: str) -> None:
    """Increments by requests of one browser on eight threads add up."""
    configure({"store": store_url})
    first = Client()
    first.get("/do/set?a=1")

    def ask(_: int) -> None:
        browser = Client()
        browser.cookies["sessionid"] = first.cookies["sessionid"].value
        assert browser.get("/do/increment").status_code == 200

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(50)))
    assert first.session["n"] == 50


def test_different_keys_of_two_requests_are_both_kept(engine: SessionManager) -> None:
    """Django's own engines keep what was saved last."""
    key = begun(cart=["tea"], old=1)
    one, other = SessionStore(key), SessionStore(key)
    one["cart"].append("milk")
    one["a"] = 1
    other["cart"].append("bread")
    del other["old"]
    one.save()
    other.save()
    assert dict(SessionStore(key).items()) == {"cart": ["tea", "milk", "bread"], "a": 1}


@pytest.mark.parametrize("end", ["flush", "delete", "cycle_key"])
def test_what_was_ended_stays_so(engine: SessionManager, end: str) -> None:
    """A request that is under way cannot save into a session that was logged out, or whose key was changed."""
    key = begun(a=1)
    late, quick = SessionStore(key), SessionStore(key)
    late["b"] = 2
    getattr(quick, end)()
    with pytest.raises(UpdateError):
        late.save()
    assert not SessionStore().exists(key)
    again = SessionStore(key)
    again["c"] = 3
    with pytest.raises(UpdateError):  # nor does one that comes with the key a moment later begin another
        again.save()


def test_a_save_without_a_change_notices_the_end_too(engine: SessionManager) -> None:
    """The cookie of a dead session is not sent again."""
    key = begun(a=1)
    late = SessionStore(key)
    late.modified = True
    assert late["a"] == 1
    SessionStore(key).delete()
    with pytest.raises(UpdateError):
        late.save()


@pytest.mark.parametrize("end", ["flush", "cycle_key"])
def test_a_request_that_lost_the_race_is_answered_without_a_cookie(
    engine: SessionManager, browser: Client, hook: Hook, end: str
) -> None:
    """Django's middleware answers 400 (SessionInterrupted); the browser may have a newer cookie by now."""

    def race(request: Any) -> Any:
        request.session["late"] = True
        getattr(SessionStore(request.session.session_key), end)()
        return "answered"

    hook("race", race)
    events = heard(engine)
    browser.get("/do/set?a=1")
    answer = browser.get("/do/race")
    assert answer.status_code == 200
    assert answer.json() == "answered"
    assert "sessionid" not in answer.cookies
    assert [type(event) for event in events].count(WriteAfterEnd) == 1
    assert "sessionid" not in browser.get("/do/set?b=2").cookies


def test_the_policy_can_refuse_such_a_request(configure: Configure, browser: Client, hook: Hook) -> None:
    """With on_ended="raise" it is Django's own answer."""
    configure({"policy": {"on_ended": "raise"}})

    def race(request: Any) -> Any:
        request.session["late"] = True
        SessionStore(request.session.session_key).flush()

    hook("race", race)
    browser.get("/do/set?a=1")
    assert browser.get("/do/race").status_code == 400


def test_of_two_logins_of_one_browser_the_later_stands(engine: SessionManager, ann: Any) -> None:
    """A login button that was pressed twice leaves one session, with what the anonymous one held."""
    from django.contrib.auth import login

    key = begun(basket=["tea"])
    requests = []
    for _ in range(2):
        request = RequestFactory().get("/")
        request.session = SessionStore(key)
        assert request.session["basket"] == ["tea"]
        requests.append(request)
    for request in requests:
        login(request, ann, backend="django.contrib.auth.backends.ModelBackend")
        request.session.save()
    sessions = requests[1].session.limpet.sessions()
    assert [info.current for info in sessions] == [True]
    assert SessionStore(requests[1].session.session_key)["basket"] == ["tea"]


def test_a_logout_ends_what_a_login_of_another_has_replaced(
    engine: SessionManager, browser: Client, ann: Any, bob: Any
) -> None:
    """Another user begins with an empty session, and the key before is dead."""
    before = browser.get("/do/login?name=ann").json()
    browser.get("/do/set?a=1")
    browser.get("/do/login?name=bob")
    assert browser.get("/do/who").json() == "bob"
    assert browser.get("/do/read").json() == {}
    assert not SessionStore().exists(before)


def test_a_logout_takes_the_cookie_back(engine: SessionManager, browser: Client, ann: Any) -> None:
    """And the old key is dead."""
    key = browser.get("/do/login?name=ann").json()
    answer = browser.get("/do/logout")
    assert answer.cookies["sessionid"]["max-age"] == 0
    assert answer["Vary"] == "Cookie"
    assert not SessionStore().exists(key)


def test_an_unknown_cookie_is_left_alone(engine: SessionManager, browser: Client) -> None:
    """Only the request that ends a session deletes the cookie: by now the browser may hold a newer one."""
    browser.cookies["sessionid"] = SessionStore()._get_new_session_key()
    assert "sessionid" not in browser.get("/do/read").cookies


# -- whose sessions


def test_a_users_sessions_are_listed_and_ended(engine: SessionManager, ann: Any, bob: Any, hook: Hook) -> None:
    """From a view: all of the user, only theirs, and all but the one that asks."""
    events = heard(engine)
    browsers = [Client() for _ in range(3)]
    for browser in browsers:
        browser.get("/do/login?name=ann")
    other = Client()
    other.get("/do/login?name=bob")
    assert [type(event) for event in events].count(SessionLoggedIn) == 4
    hook("devices", lambda request: [info.public_id for info in request.session.limpet.sessions()])
    hook("end", lambda request: request.session.limpet.revoke(request.GET["id"]))
    hook("others", lambda request: request.session.limpet.revoke_others())
    hook("id", lambda request: request.session.limpet.public_id)
    theirs = browsers[0].get("/do/devices").json()
    assert len(theirs) == 3
    ids = [browser.get("/do/id").json() for browser in browsers]
    assert sorted(theirs) == sorted(ids)
    assert browsers[0].get("/do/end", {"id": other.get("/do/id").json()}).json() == 0
    assert browsers[0].get("/do/end", {"id": ids[1]}).json() == 1
    assert browsers[1].get("/do/who").json() == ""
    assert browsers[0].get("/do/others").json() == 1
    assert [browser.get("/do/who").json() for browser in (*browsers, other)] == ["ann", "", "", "bob"]


def test_a_revocation_ends_a_login_that_was_not_saved_yet(engine: SessionManager, ann: Any) -> None:
    """A password is changed elsewhere between the login and the end of its request."""
    from django.contrib.auth import login

    request = RequestFactory().get("/")
    request.session = SessionStore()
    login(request, ann, backend="django.contrib.auth.backends.ModelBackend")
    other = SessionStore()
    other["_auth_user_id"] = str(ann.pk)
    other.save()
    assert other.limpet.revoke_others() == 0
    with pytest.raises(UpdateError):
        request.session.save()


def test_a_limit_of_sessions_refuses_a_login(configure: Configure, ann: Any) -> None:
    """409, and the session is as it was."""
    configure({"policy": SessionPolicy(max_sessions=1, when_full="refuse")})
    first, second = Client(), Client()
    assert first.get("/do/login?name=ann").status_code == 200
    second.get("/do/set?a=1")
    assert second.get("/do/login?name=ann").status_code == 409
    assert second.get("/do/who").json() == ""
    assert second.get("/do/read").json() == {"a": "1"}
    assert first.get("/do/who").json() == "ann"


def test_the_oldest_goes_where_the_policy_says_so(configure: Configure, ann: Any) -> None:
    """Three logins, two places."""
    configure({"policy": SessionPolicy(max_sessions=2)})
    browsers = [Client() for _ in range(3)]
    for browser in browsers:
        browser.get("/do/login?name=ann")
    assert [browser.get("/do/who").json() for browser in browsers] == ["", "ann", "ann"]


def test_a_login_can_be_remembered(configure: Configure, browser: Client, ann: Any, hook: Hook) -> None:
    """It lives as long as the policy says, and so does its cookie."""
    configure({"policy": SessionPolicy(remember=timedelta(days=60))})
    from tests.django_site.views import HOOKS

    def remembered(request: Any) -> Any:
        request.session.limpet.remember()
        return HOOKS["login"](request)

    hook("remembered", remembered)
    answer = browser.get("/do/remembered?name=ann")
    assert answer.cookies["sessionid"]["max-age"] == 60 * 86_400


def test_devices_are_noted(configure: Configure, ann: Any, hook: Hook) -> None:
    """The user agent and the truncated address, as everywhere."""
    configure({"devices": True})
    browser = Client(headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"})
    browser.get("/do/login?name=ann", REMOTE_ADDR="203.0.113.9")
    hook("devices", lambda request: [[info.device, info.address] for info in request.session.limpet.sessions()])
    assert browser.get("/do/devices").json() == [["Firefox 141 on Linux", "203.0.113.0/24"]]


# -- what is saved, and when


def test_a_change_inside_of_a_value_is_saved(engine: SessionManager, browser: Client, hook: Hook) -> None:
    """No `modified = True` to remember; who sets it to False has the last word."""
    browser.get("/do/set?a=1")
    store = browser.session
    store["cart"] = {}
    store.save()
    browser.get("/do/nested")
    assert browser.session["cart"] == {"tea": 1}

    def quietly(request: Any) -> None:
        request.session["cart"]["tea"] = 5
        request.session.modified = False

    hook("quietly", quietly)
    browser.get("/do/quietly")
    assert browser.session["cart"] == {"tea": 1}


def test_reading_stores_nothing_and_sends_no_cookie(engine: SessionManager, browser: Client) -> None:
    """A visitor who only looks leaves nothing behind; `Vary` says that the answer depends on the cookie."""
    answer = browser.get("/do/read")
    assert not answer.cookies
    assert answer["Vary"] == "Cookie"
    assert answer["Cache-Control"] == "private"
    nothing = browser.get("/do/nothing")
    assert not nothing.has_header("Vary")


def test_an_error_drops_what_was_written(engine: SessionManager, browser: Client) -> None:
    """A status of 500 saves nothing, one of 400 does."""
    browser.get("/do/set?a=1&status=503")
    assert "sessionid" not in browser.cookies
    browser.get("/do/set?a=1&status=404")
    assert browser.session["a"] == "1"


def test_an_error_after_a_change_of_the_key_does_not_cost_the_session(
    engine: SessionManager, browser: Client, hook: Hook
) -> None:
    """The key was changed at once: the browser learns the new one with the error."""

    def fail(request: Any) -> None:
        request.session.cycle_key()
        request.session["lost"] = True
        raise RuntimeError("the view failed")

    hook("fail", fail)
    browser.raise_request_exception = False
    browser.get("/do/set?a=1")
    assert browser.get("/do/fail").status_code == 500
    assert browser.get("/do/read").json() == {"a": "1"}


def test_a_logout_is_kept_whatever_comes_after_it(engine: SessionManager, browser: Client, hook: Hook) -> None:
    """An error of the view does not bring the session back."""

    def fail(request: Any) -> None:
        request.session.flush()
        raise RuntimeError("the view failed")

    hook("fail", fail)
    browser.raise_request_exception = False
    browser.get("/do/set?a=1")
    key = browser.cookies["sessionid"].value
    assert browser.get("/do/fail").cookies["sessionid"].value == ""
    assert not SessionStore().exists(key)


def test_what_cannot_be_stored_is_said_in_the_request(engine: SessionManager) -> None:
    """And the stored session is as it was."""
    key = begun(a=1)
    store = SessionStore(key)
    store["b"] = object()
    with pytest.raises(UnstorableValue, match="b"):
        store.save()
    assert dict(SessionStore(key).items()) == {"a": 1}


def test_times_and_numbers_come_back_as_they_were(engine: SessionManager) -> None:
    """Django's JSON has no times; MessagePack has."""
    when = datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert SessionStore(begun(when=when, raw=b"\x00", many={1, 2}))["when"] == when


def test_the_serializer_of_the_settings_is_kept(configure: Configure) -> None:
    """Another one than Django's default stores what it can."""
    configure(SESSION_SERIALIZER="tests.adapters.test_django.Shouting")
    key = begun(a="quiet", b=1)
    assert dict(SessionStore(key).items()) == {"a": "QUIET", "b": 1}


class Shouting:
    """A serializer of an application."""

    def dumps(self, value: Any) -> bytes:
        """Return JSON."""
        import json

        return json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        """Return what was put in, louder."""
        import json

        return json.loads(data, object_hook=self._louder)

    def _louder(self, found: dict[str, Any]) -> dict[str, Any]:
        return {key: value.upper() if isinstance(value, str) else value for key, value in found.items()}


# -- how long


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


def test_with_a_policy_reading_counts(configure: Configure, browser: Client) -> None:
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


def test_the_cookie_follows_the_expiry(engine: SessionManager, browser: Client, hook: Hook) -> None:
    """Seconds, until the browser is closed, and back."""
    browser.get("/do/set?a=1")
    ages = []
    for expiry in (600, 0, None):
        hook("expire", lambda request, expiry=expiry: request.session.set_expiry(expiry))
        ages.append(browser.get("/do/expire").cookies["sessionid"]["max-age"])
    assert ages == [600, "", 14 * 86_400]


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


# -- locks


def test_one_at_a_time(configure: Configure, store_url: str) -> None:
    """What the holder before saved is there to be read."""
    configure({"store": store_url})
    key = begun(steps=[])

    def step(number: int) -> None:
        with SessionStore(key).limpet.exclusive("steps") as session:
            session["steps"] = [*session["steps"], number]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(step, range(12)))
    assert sorted(SessionStore(key)["steps"]) == list(range(12))


# -- settings


@pytest.mark.parametrize(
    ("limpet", "problem"),
    [
        ({"store": "cookie:"}, "signed_cookies"),
        ({"store": "nonsense:"}, "nonsense"),
        ({"cookie": None}, "SESSION_COOKIE_"),
        ({"policy": {"idle_timeout": -1}}, "idle_timeout"),
    ],
)
def test_settings_that_cannot_work_are_refused(configure: Configure, limpet: dict[str, Any], problem: str) -> None:
    """With Django's own error, and a sentence that says what to write."""
    with pytest.raises(ImproperlyConfigured, match=problem):
        configure({"secret": "K3pq-9cVt_hYz1mXw7RbN5sLd8GfJ2aQ0oUe6iTyC4k", **limpet})


def test_the_manager_is_the_one_of_the_sessions(engine: SessionManager, ann: Any, browser: Client) -> None:
    """For workers and commands."""
    browser.get("/do/login?name=ann")
    assert manager() is engine
    assert browser.session.limpet.revoke_others() == 0
    assert browser.session.limpet.subject == str(ann.pk)
    assert browser.session.limpet.is_fresh()
