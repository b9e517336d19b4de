"""Django: the settings."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from limpet.adapters.django import manager
from limpet.manager import SessionManager
from limpet.policy import SessionPolicy
from tests.adapters.django.begun import Browser, Configure


@pytest.mark.parametrize(
    ("limpet", "problem"),
    [
        ({"store": "cookie:"}, "signed_cookies"),
        ({"store": "nonsense:"}, "nonsense"),
        ({"cookie": None}, "SESSION_COOKIE_"),
        ({"policy": {"idle_timeout": -1}}, "idle_timeout"),
        ({"policy": 3600}, "policy=3600 cannot be used: write policy=SessionPolicy"),
        ({"policy": {"rotate_on": ("account",)}}, "rotate_on has no effect in Django"),
        ({"policy": SessionPolicy(rotate_on=("account",))}, "rotate_on has no effect in Django"),
    ],
)
def test_settings_that_cannot_work_are_refused(configure: Configure, limpet: dict[str, Any], problem: str) -> None:
    """With Django's own error, and a sentence that says what to write."""
    with pytest.raises(ImproperlyConfigured, match=problem):
        configure({"secret": "K3pq-9cVt_hYz1mXw7RbN5sLd8GfJ2aQ0oUe6iTyC4k", **limpet})


def test_a_cookie_store_in_the_environment_is_refused(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same sentence as one in the settings."""
    monkeypatch.setenv("LIMPET_STORE", "cookie:")
    with pytest.raises(ImproperlyConfigured, match="signed_cookies"):
        configure({"secret": "K3pq-9cVt_hYz1mXw7RbN5sLd8GfJ2aQ0oUe6iTyC4k", "store": None})


def test_the_manager_is_the_one_of_the_sessions(engine: SessionManager, ann: Any, browser: Browser) -> None:
    """For workers and commands."""
    browser.get("/do/login?name=ann")
    assert manager() is engine
    assert browser.session.limpet.revoke_others() == 0
    assert browser.session.limpet.subject == str(ann.pk)
    assert browser.session.limpet.is_fresh()
