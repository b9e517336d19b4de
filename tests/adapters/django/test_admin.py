"""The page in Django's admin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from limpet.manager import SessionManager
from tests.adapters.django.begun import Browser, visitor

PAGE = "/admin/limpet/session/"


@pytest.fixture
def staff(engine: SessionManager) -> Iterator[Any]:
    """Return somebody who may use the admin, and nothing in it yet."""
    user = get_user_model().objects.create_user("staff", password="a long password", is_staff=True)
    yield user
    user.delete()


def signed_in(user: Any) -> Browser:
    """Return a browser that a user has logged in with."""
    browser = visitor()
    browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return browser


def allow(user: Any, *names: str) -> None:
    """Give a user permissions."""
    user.user_permissions.set(Permission.objects.filter(codename__in=names, content_type__app_label="limpet"))


def test_who_may_not_look_sees_nothing(staff: Any) -> None:
    """Staff alone is not enough."""
    browser = signed_in(staff)
    assert browser.get(PAGE).status_code == 403
    assert PAGE not in browser.get("/admin/").content.decode()


def test_a_users_sessions_are_listed(staff: Any, ann: Any) -> None:
    """By name or primary key; nothing that could be sent as a cookie is on the page, and no button to end one."""
    allow(staff, "view_session")
    browser = signed_in(staff)
    assert PAGE in browser.get("/admin/").content.decode()
    there = signed_in(ann)
    for asked in ("ann", ann.pk):
        page = browser.get(PAGE, {"user": asked}).content.decode()
        assert page.count("unknown") == 1  # the device
        assert there.cookies["sessionid"].value not in page
        assert 'name="session"' not in page
    assert "There is no such user." in browser.get(PAGE, {"user": "nobody"}).content.decode()
    assert browser.post(f"{PAGE}?user=ann").status_code == 403
    assert "_auth_user_id" in there.session


def test_sessions_are_ended(staff: Any, ann: Any, bob: Any) -> None:
    """One by its button, all by the other; another user's is out of reach, and Django's log says what was done."""
    allow(staff, "view_session", "delete_session")
    browser = signed_in(staff)
    browsers = [signed_in(ann) for _ in range(3)]
    other = signed_in(bob)
    ids = [each.session.limpet.public_id for each in browsers]
    answer = browser.post(f"{PAGE}?user=ann", {"session": ids[0]}, follow=True)
    assert "1 session was ended." in answer.content.decode()
    browser.post(f"{PAGE}?user=ann", {"session": other.session.limpet.public_id})
    assert [each.get("/do/who").json() for each in (*browsers, other)] == ["", "ann", "ann", "bob"]
    browser.post(f"{PAGE}?user=ann", {"session": ""})
    assert [each.get("/do/who").json() for each in (*browsers, other)] == ["", "", "", "bob"]
    assert LogEntry.objects.filter(user=staff, object_id=str(ann.pk)).count() == 2


def test_the_list_is_all_there_is(staff: Any) -> None:
    """There is no table behind it to look into."""
    allow(staff, "view_session", "delete_session")
    browser = signed_in(staff)
    assert browser.get(f"{PAGE}add/").status_code == 404
    assert browser.get(f"{PAGE}1/change/").status_code == 404
