"""django-allauth and Django REST framework, unchanged over the engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth import get_user_model

from limpet.manager import SessionManager
from tests.adapters.django.begun import Browser, Configure, visitor
from tests.django_site import MIDDLEWARE

TRACKED = [*MIDDLEWARE, "allauth.usersessions.middleware.UserSessionsMiddleware"]
HEADLESS = "/_allauth/{}/v1/{}"


@pytest.fixture
def tracked(configure: Configure) -> SessionManager:
    """Return a manager of a project that tracks its users' sessions with django-allauth."""
    return configure(MIDDLEWARE=TRACKED)


@pytest.fixture
def eve() -> Iterator[Any]:
    """Return a user who signed up with django-allauth."""
    user = get_user_model().objects.create_user("eve", "eve@example.org", "a long password")
    yield user
    UserSession.objects.filter(user=user).delete()
    user.delete()


def log_in(browser: Browser) -> Any:
    """Log in on the page of django-allauth."""
    return browser.post("/accounts/login/", {"login": "eve", "password": "a long password"})


def test_a_login_through_allauth(tracked: SessionManager, eve: Any) -> None:
    """A new key, and a logout that ends it."""
    browser = visitor()
    browser.get("/do/set?a=1")
    before = browser.cookies["sessionid"].value
    assert log_in(browser).status_code == 302
    assert browser.cookies["sessionid"].value != before
    assert browser.get("/do/who").json() == "eve"
    browser.post("/accounts/logout/")
    assert browser.get("/do/who").json() == ""


def test_allauth_lists_and_ends_sessions(tracked: SessionManager, eve: Any) -> None:
    """Its table holds the key that the browser has, and ending one there ends it here."""
    here, there = visitor(), visitor()
    for browser in (here, there):
        log_in(browser)
        browser.get("/do/who")
    keys = {browser.cookies["sessionid"].value for browser in (here, there)}
    assert {row.session_key for row in UserSession.objects.filter(user=eve)} == keys
    assert len(UserSession.objects.purge_and_list(eve)) == 2
    answer = here.post("/accounts/sessions/")
    assert answer.status_code == 302
    assert here.get("/do/who").json() == "eve"
    assert there.get("/do/who").json() == ""
    assert len(UserSession.objects.purge_and_list(eve)) == 1


def test_what_ends_here_leaves_allauths_list(tracked: SessionManager, eve: Any) -> None:
    """It asks the engine which of its rows are alive."""
    here, there = visitor(), visitor()
    for browser in (here, there):
        log_in(browser)
        browser.get("/do/who")
    assert here.session.limpet.revoke_others() == 1
    assert [row.session_key for row in UserSession.objects.purge_and_list(eve)] == [here.cookies["sessionid"].value]


def test_headless_tokens(tracked: SessionManager, eve: Any) -> None:
    """An app that has no cookies gets a token, which is a session of the engine."""
    app = visitor()
    answer = app.post(
        HEADLESS.format("app", "auth/login"),
        {"username": "eve", "password": "a long password"},
        content_type="application/json",
    )
    assert answer.status_code == 200, answer.content
    token = answer.json()["meta"]["session_token"]
    with_token = {"headers": {"x-session-token": token}}
    session = HEADLESS.format("app", "auth/session")
    assert visitor().get(session, **with_token).json()["data"]["user"]["username"] == "eve"
    assert visitor().delete(session, **with_token).status_code == 401
    assert visitor().get(session, **with_token).status_code in (401, 410)


def test_headless_in_a_browser(tracked: SessionManager, eve: Any) -> None:
    """The cookie is the session."""
    browser = visitor()
    answer = browser.post(
        HEADLESS.format("browser", "auth/login"),
        {"username": "eve", "password": "a long password"},
        content_type="application/json",
    )
    assert answer.status_code == 200
    session = HEADLESS.format("browser", "auth/session")
    assert browser.get(session).json()["data"]["user"]["username"] == "eve"
    assert browser.delete(session).status_code == 401
    assert browser.get("/do/who").json() == ""


def test_rest_framework_with_session_login(engine: SessionManager, ann: Any) -> None:
    """Reading needs the session, writing a CSRF token too, and what is counted is exact."""
    browser = visitor(enforce_csrf_checks=True)
    assert browser.get("/api/me").status_code == 403
    browser.get("/do/login?name=ann")
    assert browser.get("/api/me").json() == {"name": "ann", "seen": 0}
    assert browser.post("/api/me").status_code == 403
    token = browser.cookies["csrftoken"].value
    for seen in (1, 2):
        assert browser.post("/api/me", headers={"x-csrftoken": token}).json() == {"seen": seen}
    assert browser.get("/api/me").json() == {"name": "ann", "seen": 2}
