"""Session keys of Django: what the cookie holds, what the store has, when they change."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.sessions.backends.base import CreateError

from limpet.adapters.django import SessionStore
from limpet.manager import SessionManager
from tests.adapters.django.begun import Browser, Hook, begun


def test_a_key_has_forty_characters_and_is_what_the_cookie_holds(engine: SessionManager, browser: Browser) -> None:
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
    engine: SessionManager, browser: Browser, hook: Hook
) -> None:
    """Applications name a basket by it before they put anything into the session."""

    def name_a_basket(request: Any) -> Any:
        request.session.create()
        return request.session.session_key

    hook("basket", name_a_basket)
    answer = browser.get("/do/basket")
    assert answer.json() == answer.cookies["sessionid"].value
    assert SessionStore().exists(answer.json())


def test_a_login_has_its_last_key_at_once(engine: SessionManager, browser: Browser, ann: Any) -> None:
    """The key that a listener of `user_logged_in` stores is the one that the browser gets."""
    browser.get("/do/set?a=1")
    answer = browser.get("/do/login?name=ann")
    assert answer.json() == answer.cookies["sessionid"].value
    assert browser.get("/do/who").json() == "ann"
    assert browser.get("/do/read").json() == {"a": "1"}


def test_a_key_that_a_client_chose_is_not_taken(engine: SessionManager, browser: Browser) -> None:
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
