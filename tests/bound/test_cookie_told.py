"""The cookie that a browser is told of (`credentials[].attributes`) is the one that it gets and that is deleted.

To a browser a cookie with other attributes is not the one that it was told of: it gives a proof before each request, or
binds nothing (`tests/browser/test_bound_mismatches.py`).
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

import pytest
from django.test import override_settings

from limpet import CookiePolicy
from limpet.adapters.django._settings import manager as manager_of_django
from limpet.bound import BoundPolicy
from tests.bound.device import Browser, Reply
from tests.bound.sites import SITES, Site


def own(**cookie: Any) -> dict[str, Any]:
    """Return the settings of a cookie for the proof alone."""
    return {"bound": BoundPolicy(cookie=CookiePolicy(**cookie))}


def session(**cookie: Any) -> dict[str, Any]:
    """Return the settings of a session's cookie, which that of the proof is like."""
    return {"cookie": CookiePolicy(**cookie)}


SHOP: Final = "Path=/shop"
ROWS: Final[dict[str, tuple[str, dict[str, Any], str, str]]] = {
    "usual": ("asgi", {}, "__Host-session-bound", "Path=/; HttpOnly; Secure; SameSite=Lax"),
    "wsgi": ("wsgi", {}, "__Host-session-bound", "Path=/; HttpOnly; Secure; SameSite=Lax"),
    "path": ("asgi", session(path="/shop"), "__Secure-session-bound", f"{SHOP}; HttpOnly; Secure; SameSite=Lax"),
    "path of its own": ("asgi", own(path="/shop", name="proof"), "proof", f"{SHOP}; HttpOnly; Secure; SameSite=Lax"),
    "path of its own, and no name": (
        "asgi",
        own(path="/shop"),
        "__Secure-session-bound",
        f"{SHOP}; HttpOnly; Secure; SameSite=Lax",
    ),
    "fewest, and no name": ("asgi", own(secure=False, http_only=False), "session-bound", "Path=/; SameSite=Lax"),
    "a name without a prefix": (
        "asgi",
        session(name="sid"),
        "__Host-sid-bound",
        "Path=/; HttpOnly; Secure; SameSite=Lax",
    ),
    "domain": (
        "asgi",
        session(domain="shop.test"),
        "__Secure-session-bound",
        "Path=/; Domain=shop.test; HttpOnly; Secure; SameSite=Lax",
    ),
    "strict": (
        "asgi",
        session(same_site="strict"),
        "__Host-session-bound",
        "Path=/; HttpOnly; Secure; SameSite=Strict",
    ),
    "none": ("asgi", session(same_site="none"), "__Host-session-bound", "Path=/; HttpOnly; Secure; SameSite=None"),
    "scripts": ("asgi", session(http_only=False), "__Host-session-bound", "Path=/; Secure; SameSite=Lax"),
    "plain": ("asgi", session(secure=False), "limpet-session-bound", "Path=/; HttpOnly; SameSite=Lax"),
    "fewest": ("asgi", own(name="p", secure=False, http_only=False), "p", "Path=/; SameSite=Lax"),
    "__Http-": ("asgi", session(name="__Http-s"), "__Host-s-bound", "Path=/; HttpOnly; Secure; SameSite=Lax"),
    "__Secure-": ("asgi", session(name="__Secure-s"), "__Host-s-bound", "Path=/; HttpOnly; Secure; SameSite=Lax"),
    "closed with the browser": (
        "asgi",
        session(persistent=False),
        "__Host-session-bound",
        "Path=/; HttpOnly; Secure; SameSite=Lax",
    ),
    "development": ("asgi", {"dev": True}, "limpet-session-bound", "Path=/; HttpOnly; SameSite=Lax"),
    "development, as none": (
        "asgi",
        {"dev": True, **session(same_site="none", path="/shop")},
        "limpet-session-bound",
        f"{SHOP}; HttpOnly; SameSite=Lax",
    ),
    "label": ("asgi", {"label": "staff"}, "__Host-session-staff-bound", "Path=/; HttpOnly; Secure; SameSite=Lax"),
    "django": ("django", {}, "__Host-sessionid-bound", "Path=/; HttpOnly; Secure; SameSite=Lax"),
    "django, by its settings": (
        "django",
        {"SESSION_COOKIE_PATH": "/shop", "SESSION_COOKIE_HTTPONLY": False, "SESSION_COOKIE_SAMESITE": "Strict"},
        "__Secure-sessionid-bound",
        f"{SHOP}; Secure; SameSite=Strict",
    ),
    "django, over http": (
        "django-async",
        {"SESSION_COOKIE_SECURE": False, "SESSION_COOKIE_DOMAIN": "shop.test", "SESSION_COOKIE_NAME": "s"},
        "s-bound",
        "Path=/; Domain=shop.test; HttpOnly; SameSite=Lax",
    ),
    "django, a cookie of its own": (
        "django",
        own(path="/shop", name="proof", same_site="none"),
        "proof",
        f"{SHOP}; HttpOnly; Secure; SameSite=None",
    ),
    "flask": ("flask", {}, "__Host-session-bound", "Path=/; HttpOnly; Secure; SameSite=Lax"),
    "flask, a cookie of its own": (
        "flask",
        own(name="proof", path="/shop"),
        "proof",
        f"{SHOP}; HttpOnly; Secure; SameSite=Lax",
    ),
}

Attributes = dict[str, str]


class Seen(NamedTuple):
    """What a browser has heard of the cookie of a proof.

    Attributes:
        told: In its instructions: name and attributes.
        sent: With the first proof.
        deleted: With the registration, and with the logout.
    """

    told: tuple[str, Attributes]
    sent: tuple[str, Attributes]
    deleted: list[tuple[str, Attributes]]


def read(text: str) -> Attributes:
    """Return attributes by their lower-case names."""
    pairs = (part.strip().partition("=") for part in text.split(";"))
    return {name.lower(): value for name, _, value in pairs if name}


def cookie_in(reply: Reply, name: str) -> tuple[str, Attributes]:
    """Return the cookie of this name that a response sets: its name and attributes, without its life."""
    [line] = [each for each in reply.all("set-cookie") if each.lstrip().startswith(f"{name}=")]
    _, _, attributes = line.partition(";")
    return name, {each: value for each, value in read(attributes).items() if each not in ("max-age", "expires")}


async def visit(row: str) -> Seen:
    """Bind a session with these settings, and log out."""
    place, settings, name, _ = ROWS[row]
    with ExitStack() as stack:
        ours = {each: value for each, value in settings.items() if not each.startswith("SESSION_")}
        site = Site(*stack.enter_context(SITES[place](**{"bound": True, **ours})))
        if len(ours) < len(settings):
            stack.enter_context(override_settings(**settings))
            site = Site(site.send, manager_of_django())
        ann = Browser(site.send)
        await ann.get("/login/ann")
        registered = await ann.register()
        proven = await ann.refresh()
        [told] = proven.json()["credentials"]
        assert registered.json()["credentials"] == [told]
        gone = await ann.get("/logout")
        return Seen(
            (told["name"], read(told["attributes"])),
            cookie_in(proven, name),
            [cookie_in(registered, name), cookie_in(gone, name)],
        )


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    """Return what a browser has heard, by row, as far as it was asked for."""
    return {}


@pytest.mark.parametrize("attribute", ["httponly", "secure", "path", "all"])
@pytest.mark.parametrize("row", ROWS)
def test_told_as_it_is_sent(seen: dict[str, Seen], row: str, attribute: str) -> None:
    if row not in seen:
        seen[row] = asyncio.run(visit(row))
    (_, told), (_, sent), _ = seen[row]
    wanted = read(ROWS[row][3])
    if attribute == "all":
        assert told == sent == wanted
        assert seen[row].told[0] == seen[row].sent[0] == ROWS[row][2]
    else:
        assert told.get(attribute) == sent.get(attribute) == wanted.get(attribute)


@pytest.mark.parametrize("row", ROWS)
def test_what_deletes_it_means_the_same_cookie(seen: dict[str, Seen], row: str) -> None:
    """By its name, path and domain (RFC 6265bis, section 5.7); with Secure where the name demands that."""
    if row not in seen:
        seen[row] = asyncio.run(visit(row))
    _, (name, sent), deleted = seen[row]
    for other, attributes in deleted:
        assert other == name
        assert attributes.get("path") == sent.get("path")
        assert attributes.get("domain") == sent.get("domain")
        if name.startswith("__") or sent["samesite"] == "None":
            assert "secure" in attributes
