"""Settings of bound sessions that cannot work, or say nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from limpet import CookiePolicy
from limpet.adapters.django._settings import manager as manager_of_django
from limpet.bound import BoundPolicy
from limpet.errors import ConfigurationError
from tests.bound.conftest import Build
from tests.bound.device import Browser
from tests.security.site import SECRET


@pytest.mark.parametrize(
    ("settings", "cure"),
    [
        ({"bound": True, "store": "cookie:"}, "a store"),
        ({"bound": True, "cookie": CookiePolicy(partitioned=True)}, "partitioned"),
        ({"bound": BoundPolicy(include_site=True)}, "domain"),
        ({"bound": BoundPolicy(allowed_refresh_initiators=("*.example.org",))}, "same_site"),
        ({"bound": BoundPolicy(cookie=CookiePolicy(name="__Host-Http-proof"))}, "__Host-"),
        ({"bound": BoundPolicy(cookie=CookiePolicy(name="sid")), "cookie": CookiePolicy(name="sid")}, "another name"),
        ({"bound": "yes"}, "bound=True"),
        ({"bound": BoundPolicy}, "is a class"),
    ],
)
def test_what_cannot_be_bound(build: Build, settings: dict[str, Any], cure: str) -> None:
    with pytest.raises(ConfigurationError, match=cure):
        build(**settings)


def test_in_django_by_the_name_of_its_settings() -> None:
    own = BoundPolicy(cookie=CookiePolicy(name="sessionid"))
    with override_settings(LIMPET={"store": "memory:", "secret": SECRET, "bound": own}):
        with pytest.raises((ConfigurationError, ImproperlyConfigured), match="another name"):
            manager_of_django()


async def test_nothing_said_is_as_false(anywhere: Build) -> None:
    site = anywhere(bound=None)
    assert site.manager.guard is None
    ann = Browser(site.send)
    assert (await ann.get("/login/ann")).all("secure-session-registration") == []
    assert await ann.whose() == "ann"


@pytest.mark.parametrize(
    "wrong",
    [
        {"proof_lasts": 0},
        {"proof_lasts": "10 min"},
        {"logins": "some"},
        {"algorithms": ()},
        {"algorithms": ("none",)},
        {"algorithms": "ES256"},
        {"path": "device"},
        {"path": "/device/"},
        {"exclude": ("static",)},
        {"required": 1},
        {"path": None},
        {"cookie": "proof"},
        {"include_site": True, "registering_origins": ("login.example.org",)},
        {"include_site": True, "registering_origins": ("https://login.example.org/",)},
        {"registering_origins": ("https://login.example.org",)},
        {"allowed_refresh_initiators": ("https://example.org",)},
        {"allowed_refresh_initiators": ("example.*",)},
    ],
)
def test_settings_that_cannot_work(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        BoundPolicy(**wrong)  # type: ignore[arg-type]
