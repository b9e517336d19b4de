"""Django: what is saved, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from limpet.adapters.django import SessionStore
from limpet.errors import UnstorableValue
from limpet.manager import SessionManager
from tests.adapters.django.begun import Browser, Configure, Hook, begun


def test_a_change_inside_of_a_value_is_saved(engine: SessionManager, browser: Browser, hook: Hook) -> None:
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


def test_reading_stores_nothing_and_sends_no_cookie(engine: SessionManager, browser: Browser) -> None:
    """A visitor who only looks leaves nothing behind; `Vary` says that the answer depends on the cookie."""
    answer = browser.get("/do/read")
    assert not answer.cookies
    assert answer["Vary"] == "Cookie"
    assert answer["Cache-Control"] == "private"
    nothing = browser.get("/do/nothing")
    assert not nothing.has_header("Vary")


def test_an_error_drops_what_was_written(engine: SessionManager, browser: Browser) -> None:
    """A status of 500 saves nothing, one of 400 does."""
    browser.get("/do/set?a=1&status=503")
    assert "sessionid" not in browser.cookies
    browser.get("/do/set?a=1&status=404")
    assert browser.session["a"] == "1"


def test_an_error_after_a_change_of_the_key_does_not_cost_the_session(
    engine: SessionManager, browser: Browser, hook: Hook
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


def test_a_logout_is_kept_whatever_comes_after_it(engine: SessionManager, browser: Browser, hook: Hook) -> None:
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
    configure(SESSION_SERIALIZER="tests.adapters.django.test_saving.Shouting")
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


@pytest.mark.parametrize(("same_site", "found"), [("Lax", {}), (False, {}), ("None", {"a": "1"})])
def test_a_first_post_from_another_site(configure: Configure, browser: Browser, same_site: Any, found: Any) -> None:
    """It begins a session only where the cookie would have come along."""
    configure(SESSION_COOKIE_SAMESITE=same_site, SESSION_COOKIE_SECURE=True)
    browser.post("/do/set?a=1", headers={"sec-fetch-site": "cross-site"}, secure=True)
    assert browser.get("/do/read", secure=True).json() == found
