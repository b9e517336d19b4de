"""Django: a login in another application on the same store makes the user known, where LIMPET says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncClient

from limpet import CookiePolicy, SessionManager
from limpet.asgi import SessionMiddleware
from limpet.stores import MemoryStore
from limpet.testing import client
from tests.adapters.django.begun import Browser, Configure, Hook, visitor


async def other(scope: Any, receive: Any, send: Any) -> None:
    """Do what the path says to the session, in no framework at all."""
    if scope["type"] == "http":
        session, (_, verb, *rest) = scope["session"], scope["path"].split("/")
        if verb == "login":
            session.login(*rest)
        elif verb == "logout":
            session.logout()
        body = f"{session.subject} {session.get('_auth_user_id')}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


class Sites:
    """Django and another application on one store, and a browser that keeps one cookie for both."""

    def __init__(self, configure: Configure, shared_logins: Any) -> None:
        store = MemoryStore()
        self.engine = configure({"store": store, "shared_logins": shared_logins})
        self.django: Browser = visitor()
        manager = SessionManager(
            store, short_ids=True, cookie=CookiePolicy(name="sessionid", secure=False), namespace="sessionid"
        )
        self._other = client(SessionMiddleware(other, manager), manager)

    def elsewhere(self, path: str) -> str:
        """Send a request to the other application; return its text."""
        morsel = self.django.cookies.get("sessionid")
        headers = {} if morsel is None or not morsel.value else {"cookie": f"sessionid={morsel.value}"}
        answer = self._other.get(path, headers=headers)
        if "sessionid" in answer.cookies:
            self.django.cookies["sessionid"] = answer.cookies["sessionid"]
        self._other.cookies.clear()
        return answer.text

    def ask(self, path: str) -> Any:
        """Send a request to Django; return the JSON."""
        return self.django.get(path).json()


@pytest.fixture
def sites(configure: Configure) -> Sites:
    """Return both, whose subjects are primary keys."""
    return Sites(configure, True)


def test_the_user_is_known(sites: Sites, ann: Any, bob: Any) -> None:
    """In Django after a login elsewhere, elsewhere after a login in Django; a logout in either ends it in both."""
    sites.elsewhere(f"/login/{ann.pk}")
    assert sites.ask("/do/who") == "ann"
    assert sites.elsewhere("/") == f"{ann.pk} {ann.pk}"
    assert sites.elsewhere(f"/login/{bob.pk}") == f"{bob.pk} None"  # another: what Django has kept of ann is gone
    assert sites.ask("/do/who") == "bob"
    sites.ask("/do/logout")
    assert sites.elsewhere("/") == "None None"
    sites.ask("/do/login?name=ann")
    assert sites.elsewhere("/") == f"{ann.pk} {ann.pk}"
    assert sites.elsewhere("/logout").startswith("None")
    assert sites.ask("/do/who") == ""


def test_the_user_is_looked_up_once(sites: Sites, ann: Any, hook: Hook) -> None:
    """What was found stays in the session: the id is as it was, and so is the time of the login."""
    sites.elsewhere(f"/login/{ann.pk}")
    before = sites.django.cookies["sessionid"].value
    hook("when", lambda request: request.session.limpet.authenticated_at.timestamp())
    hook("kept", lambda request: request.session.get("_auth_user_backend"))
    at = sites.ask("/do/when")
    assert sites.ask("/do/kept") == "django.contrib.auth.backends.ModelBackend"
    assert sites.django.cookies["sessionid"].value == before
    assert sites.ask("/do/when") == at
    assert len(sites.engine.blocking.sessions_of(str(ann.pk))) == 1


def test_another_login_in_django_takes_over_nothing(sites: Sites, ann: Any, bob: Any) -> None:
    """Bob logs in to Django where ann came from elsewhere: nothing of her session is his."""
    sites.elsewhere(f"/login/{ann.pk}")
    sites.ask("/do/set?secret=hers")
    sites.ask("/do/login?name=bob")
    assert sites.ask("/do/read") == {}
    assert sites.elsewhere("/") == f"{bob.pk} {bob.pk}"


@pytest.mark.parametrize("subject", ["0", "-1", "ann@example.com", "9" * 30])
def test_a_subject_that_is_no_user_is_nobody(sites: Sites, ann: Any, subject: str) -> None:
    """The session stays, and Django knows nobody."""
    sites.elsewhere(f"/login/{subject}")
    assert sites.ask("/do/who") == ""
    assert sites.elsewhere("/") == f"{subject} None"


def test_a_user_who_may_not_log_in_is_nobody(sites: Sites, ann: Any) -> None:
    """One who is not active, as in Django's own login."""
    ann.is_active = False
    ann.save()
    sites.elsewhere(f"/login/{ann.pk}")
    assert sites.ask("/do/who") == ""


def test_a_new_password_ends_it(sites: Sites, ann: Any) -> None:
    """Once Django has seen the session, a change of the password ends it as it ends Django's own."""
    sites.elsewhere(f"/login/{ann.pk}")
    assert sites.ask("/do/who") == "ann"
    ann.set_password("another long password")
    ann.save()
    assert sites.ask("/do/who") == ""
    assert sites.elsewhere("/") == "None None"


def test_subjects_of_another_kind(configure: Configure, ann: Any) -> None:
    """A function says who a subject is."""

    def by_name(subject: str) -> Any:
        return get_user_model().objects.filter(username=subject).values_list("pk", flat=True).first()

    sites = Sites(configure, by_name)
    sites.elsewhere("/login/ann")
    assert sites.ask("/do/who") == "ann"
    sites.elsewhere("/login/eve")
    assert sites.ask("/do/who") == ""


def test_nothing_is_shared_unless_it_is_asked_for(configure: Configure, ann: Any) -> None:
    """A subject of another application may be anything."""
    sites = Sites(configure, None)
    sites.elsewhere(f"/login/{ann.pk}")
    assert sites.ask("/do/who") == ""


def test_a_setting_that_cannot_work_is_refused(configure: Configure) -> None:
    """With a sentence."""
    with pytest.raises(ImproperlyConfigured, match="shared_logins=1"):
        configure({"shared_logins": 1})


async def test_an_asynchronous_view_knows_the_user(sites: Sites, ann: Any) -> None:
    """The user is looked up beside the event loop."""
    await asyncio.to_thread(sites.elsewhere, f"/login/{ann.pk}")
    browser: Browser = AsyncClient()
    browser.cookies["sessionid"] = sites.django.cookies["sessionid"].value
    assert (await browser.get("/ado/who")).json() == "ann"
    assert await asyncio.to_thread(sites.elsewhere, "/") == f"{ann.pk} {ann.pk}"
