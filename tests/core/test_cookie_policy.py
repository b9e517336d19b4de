"""The cookie's attributes: defaults, names, and what browsers would drop."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import pytest

from limpet.errors import ConfigurationError
from limpet.policy import CookiePolicy


def cookie(**settings: object) -> CookiePolicy:
    """Make a policy of settings that a type checker may find wrong."""
    return CookiePolicy(**cast("dict[str, Any]", settings))


def test_s18_the_defaults_are_the_safest() -> None:
    """The whole set of attributes, by snapshot."""
    assert dataclasses.asdict(CookiePolicy()) == {
        "name": None,
        "path": "/",
        "domain": None,
        "secure": True,
        "http_only": True,
        "same_site": "lax",
        "partitioned": False,
        "persistent": True,
        "clear_site_data": (),
        "no_store": False,
        "max_size": 4096,
    }
    assert CookiePolicy().derive_name() == "__Host-Http-session"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "__Host-Http-session"),
        ({"http_only": False}, "__Host-session"),
        ({"http_only": False, "path": "/app"}, "__Secure-session"),
        ({"path": "/app"}, "__Secure-session"),
        ({"domain": "example.com"}, "__Secure-session"),
        ({"secure": False}, "limpet-session"),
        ({"secure": False, "path": "/app"}, "limpet-session"),
    ],
)
def test_a_name_is_derived_from_the_attributes(settings: dict[str, object], name: str) -> None:
    """The strongest prefix that they allow, and the label behind it."""
    assert cookie(**settings).derive_name() == name
    assert cookie(**settings).derive_name("admin") == f"{name}-admin"
    assert cookie(**settings).derive_name("admin", dev=True) == "limpet-session-admin"


def test_a_name_that_was_given_is_never_changed() -> None:
    """Neither by a label nor by development mode."""
    policy = CookiePolicy(name="sid")
    assert policy.derive_name() == policy.derive_name("admin") == policy.derive_name("admin", dev=True) == "sid"


@pytest.mark.parametrize("name", ["__Host-sid", "__Secure-sid"])
def test_a_given_name_with_a_prefix_is_refused_in_development(name: str) -> None:
    """It cannot be set over http; the message says what can."""
    with pytest.raises(ConfigurationError, match="leave name=None"):
        CookiePolicy(name=name).derive_name(dev=True)


def test_development_mode_drops_what_needs_https() -> None:
    """No Secure, and so neither Partitioned nor SameSite=None; the rest stays."""
    policy = CookiePolicy(path="/app", same_site="none", partitioned=True, persistent=False).for_development()
    assert policy == CookiePolicy(path="/app", secure=False, persistent=False)
    assert CookiePolicy(same_site="strict").for_development().same_site == "strict"
    assert policy.for_development() is policy


@pytest.mark.parametrize("label", ["", "a b", "a;b", "ä", "a\r\n", 5])
def test_a_label_is_a_token(label: object) -> None:
    """It becomes part of the name."""
    with pytest.raises(ConfigurationError, match="label"):
        CookiePolicy().derive_name(cast("Any", label))


@pytest.mark.parametrize("given", ["lax", "Lax", "LAX", "strict", "Strict", "none", "None"])
def test_same_site_is_taken_in_any_case(given: str) -> None:
    """And kept in lower case."""
    assert cookie(same_site=given).same_site == given.lower()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("domain", "a\r\nSet-Cookie: x=y"),
        ("domain", "a;b"),
        ("domain", "example.com; HttpOnly"),
        ("domain", "example.com\x00"),
        ("domain", ""),
        ("domain", " example.com"),
        ("domain", "example.com:8000"),
        ("domain", "https://example.com"),
        ("domain", "exämple.com"),
        ("domain", "example..com"),
        ("domain", "a" * 1025),
        ("domain", b"example.com"),
        ("path", "/; HttpOnly=0"),
        ("path", "/\r\nX: y"),
        ("path", "/\n"),
        ("path", "/\x7f"),
        ("path", "/ä"),
        ("path", ""),
        ("path", "app"),
        ("path", None),
        ("path", "/" + "a" * 1024),
        ("name", ""),
        ("name", "a b"),
        ("name", "a\r"),
        ("name", "a\n"),
        ("name", "a="),
        ("name", "a;"),
        ("name", "a,b"),
        ("name", 'a"'),
        ("name", "sïd"),
        ("name", "\u2000__Host-x"),
        ("name", "sid\x00"),
        ("name", b"sid"),
        ("name", "a" * 4096),
        ("same_site", "lax; domain=evil"),
        ("same_site", ""),
        ("same_site", None),
        ("same_site", True),
        ("secure", "false"),
        ("secure", None),
        ("http_only", 0),
        ("partitioned", "no"),
        ("persistent", 1),
    ],
)
def test_s16_nothing_spills_into_another_attribute(name: str, value: object) -> None:
    """Values that would add attributes or headers, and values of other types, are errors at construction."""
    with pytest.raises(ConfigurationError, match=name) as caught:
        cookie(**{name: value})
    assert not {"\r", "\n"} & set(str(caught.value))


@pytest.mark.parametrize(
    ("settings", "cure"),
    [
        ({"same_site": "none", "secure": False}, "secure=True"),
        ({"same_site": "NONE", "secure": False}, "secure=True"),
        ({"partitioned": True, "secure": False}, "secure=True"),
        ({"name": "__Host-sid", "domain": "example.com"}, "domain=None"),
        ({"name": "__Host-sid", "path": "/app"}, "path='/'"),
        ({"name": "__Host-sid", "secure": False}, "secure=True"),
        ({"name": "__HOST-sid", "secure": False}, "secure=True"),
        ({"name": "__host-sid", "domain": "example.com"}, "domain=None"),
        ({"name": "__Secure-sid", "secure": False}, "secure=True"),
        ({"name": "__secure-sid", "secure": False}, "secure=True"),
        ({"name": "__Http-sid", "secure": False}, "secure=True"),
        ({"name": "__Http-sid", "http_only": False}, "http_only=True"),
        ({"name": "__Host-Http-sid", "http_only": False}, "http_only=True"),
        ({"name": "__Host-Http-sid", "path": "/app"}, "path='/'"),
        ({"name": "__host-HTTP-sid", "http_only": False}, "http_only=True"),
        ({"name": "__Host-Http-sid", "domain": "example.com"}, "domain=None"),
        ({"name": "__Host-Http-sid", "secure": False}, "secure=True"),
    ],
)
def test_s17_what_browsers_drop_is_refused_with_the_cure(settings: dict[str, object], cure: str) -> None:
    """RFC 6265bis, sections 4.1.3 and 5.7: impossible combinations are errors that name what to set."""
    with pytest.raises(ConfigurationError, match=r"browsers drop") as caught:
        cookie(**settings)
    assert cure in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"same_site": "none"},
        {"partitioned": True},
        {"partitioned": True, "same_site": "none", "path": "/a", "domain": "example.com"},
        {"name": "__Host-sid"},
        {"name": "__Secure-sid", "domain": ".example.com", "path": "/a b/%20"},
        {"name": "__Host-Http-sid"},
        {"name": "!#$%&'*+-.^_`|~", "secure": False},
        {"domain": "localhost"},
        {"domain": "xn--exmple-cua.com"},
        {"domain": "192.168.0.1"},
        {"secure": False, "same_site": "strict", "http_only": False},
    ],
)
def test_s17_what_browsers_keep_is_taken(settings: dict[str, object]) -> None:
    """The checks refuse nothing that works."""
    assert cookie(**settings).derive_name()
