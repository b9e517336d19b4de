"""Django: a user's sessions, logins, limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import login
from django.contrib.sessions.backends.base import UpdateError

from limpet.adapters.django import SessionStore
from limpet.events import SessionLoggedIn, SessionRevoked
from limpet.manager import SessionManager
from limpet.policy import SessionPolicy
from limpet.testing import FakeClock
from tests.adapters.django.begun import Browser, Configure, Hook, asked, heard, visitor
from tests.django_site.views import HOOKS


def test_a_users_sessions_are_listed_and_ended(engine: SessionManager, ann: Any, bob: Any, hook: Hook) -> None:
    """From a view: all of the user, only theirs, and all but the one that asks."""
    events = heard(engine)
    browsers = [visitor() for _ in range(3)]
    for browser in browsers:
        browser.get("/do/login?name=ann")
    other = visitor()
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
    request = asked()
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
    first, second = visitor(), visitor()
    assert first.get("/do/login?name=ann").status_code == 200
    second.get("/do/set?a=1")
    assert second.get("/do/login?name=ann").status_code == 409
    assert second.get("/do/who").json() == ""
    assert second.get("/do/read").json() == {"a": "1"}
    assert first.get("/do/who").json() == "ann"


def test_the_oldest_goes_where_the_policy_says_so(configure: Configure, ann: Any) -> None:
    """Three logins, two places."""
    configure({"policy": SessionPolicy(max_sessions=2)})
    browsers = [visitor() for _ in range(3)]
    for browser in browsers:
        browser.get("/do/login?name=ann")
    assert [browser.get("/do/who").json() for browser in browsers] == ["", "ann", "ann"]


def test_a_login_can_be_remembered(configure: Configure, browser: Browser, ann: Any, hook: Hook) -> None:
    """It lives as long as the policy says, and so does its cookie."""
    configure({"policy": SessionPolicy(remember=timedelta(days=60))})

    def remembered(request: Any) -> Any:
        request.session.limpet.remember()
        return HOOKS["login"](request)

    hook("remembered", remembered)
    answer = browser.get("/do/remembered?name=ann")
    assert answer.cookies["sessionid"]["max-age"] == 60 * 86_400


def test_devices_are_noted(configure: Configure, ann: Any, hook: Hook) -> None:
    """The user agent and the truncated address, as everywhere."""
    engine = configure({"devices": True})
    browser = visitor(headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"})
    browser.get("/do/login?name=ann", REMOTE_ADDR="203.0.113.9")
    hook("devices", lambda request: [[info.device, info.address] for info in request.session.limpet.sessions()])
    assert browser.get("/do/devices").json() == [["Firefox 141 on Linux", "203.0.113.0/24"]]
    events = heard(engine)
    engine.blocking.revoke_all(str(ann.pk))
    assert [(type(event), event.device) for event in events] == [(SessionRevoked, None)], "it is not done from there"


def test_nothing_of_a_visitor_stays_on_the_thread_when_saving_breaks_off(
    configure: Configure, ann: Any, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the thread does after a request whose save broke off is not done from that visitor's device."""
    engine, browser = configure({"devices": True}), visitor(headers={"user-agent": "Firefox/141.0"})
    browser.get("/do/login?name=ann")
    hook("write", lambda request: request.session.update({"a": 1}))
    with monkeypatch.context() as patch:
        patch.setattr(SessionStore, "settle", lambda session: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            browser.get("/do/write")
    events = heard(engine)
    engine.blocking.revoke_all(str(ann.pk))
    assert [(type(event), event.device) for event in events] == [(SessionRevoked, None)]


def test_a_login_says_how_and_the_same_user_logs_in_again(
    engine: SessionManager, clock: FakeClock, ann: Any, browser: Browser, hook: Hook
) -> None:
    """A step-up is a login of the user who is there: moment, level and methods are those of the last one."""

    def step_up(request: Any) -> None:
        request.session.limpet.authenticated_by("pwd", "otp", acr="aal2")
        login(request, ann, backend="django.contrib.auth.backends.ModelBackend")

    hook("step_up", step_up)
    hook("how", lambda request: [request.session.limpet.acr, request.session.limpet.amr])
    hook("fresh", lambda request: request.session.limpet.is_fresh(5, level="aal2"))
    browser.get("/do/login?name=ann")
    clock.advance(600)
    assert browser.get("/do/how").json() == [None, []]
    assert browser.get("/do/fresh").json() is False
    browser.get("/do/step_up")
    assert browser.get("/do/how").json() == ["aal2", ["pwd", "otp"]]
    assert browser.get("/do/fresh").json() is True
    assert browser.get("/do/who").json() == "ann"
    clock.advance(600)
    assert browser.get("/do/fresh").json() is False


def test_another_client_has_to_log_in_again(configure: Configure, ann: Any, hook: Hook) -> None:
    """What the policy makes of a copied cookie holds in Django too."""
    configure({"devices": True, "policy": SessionPolicy(on_client_change={"agent": "login"})})
    hook("fresh", lambda request: request.session.limpet.is_fresh())
    owner, thief = visitor(), visitor()
    owner.get("/do/login?name=ann", HTTP_USER_AGENT="Mozilla/5.0 (Windows NT 10.0) Firefox/141.0")
    thief.cookies.update(owner.cookies)
    assert owner.get("/do/fresh", HTTP_USER_AGENT="Mozilla/5.0 (Windows NT 10.0) Firefox/142.0").json() is True
    assert thief.get("/do/fresh", HTTP_USER_AGENT="curl/8").json() is False
    assert thief.get("/do/who", HTTP_USER_AGENT="curl/8").json() == "ann"
