"""What each right message ends, and what it is answered, through an ASGI and a WSGI framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from limpet import SessionManager, StoreUnavailable
from limpet.events import Event, SessionRevoked
from limpet.stores.cookie import CookieStore
from limpet.stores.memory import MemoryStore
from limpet.testing import FakeClock
from tests.signout.provider import (
    AUDIENCE,
    CAEP,
    EC,
    ISSUER,
    NOW,
    OKP,
    RISC,
    Site,
    event_token,
    issuer,
    logout_claims,
    logout_token,
    sign,
)

Build = Callable[..., Site]
REVOKED = f"{CAEP}session-revoked"
CHANGED = f"{CAEP}credential-change"
ANN = {"format": "iss_sub", "iss": ISSUER, "sub": "ann"}


def people(site: Site, browsers: list[Any]) -> list[str]:
    return [site.who(browser) for browser in browsers]


def three(site: Site) -> list[Any]:
    """Return ann's two browsers and bob's one, each with a session of its own at the provider."""
    return [site.login("ann", "1"), site.login("ann", "2"), site.login("bob", "3")]


@pytest.mark.parametrize(
    ("claims", "left"),
    [
        ({"sid": "1"}, ["", "ann", "bob"]),
        ({"sid": "1", "sub": "ann"}, ["", "ann", "bob"]),
        ({"sid": None, "sub": "ann"}, ["", "", "bob"]),
        ({"sid": "unknown"}, ["ann", "ann", "bob"]),
        ({"sid": None, "sub": "nobody"}, ["ann", "ann", "bob"]),
    ],
    ids=["sid", "sid and sub", "sub", "unknown sid", "unknown sub"],
)
def test_a_logout_token_ends_the_session_or_all_of_the_subject(
    site: Site, claims: dict[str, Any], left: list[str]
) -> None:
    """OpenID Connect Back-Channel Logout 1.0, sections 2.4, 2.7 and 2.8; who is not there is signed out already."""
    browsers = three(site)
    taken = site.logout(logout_token(**claims))
    assert (taken.status_code, taken.content, taken.headers["cache-control"]) == (200, b"", "no-store")
    assert people(site, browsers) == left


@pytest.mark.parametrize(
    "token",
    [
        logout_token(typ="LOGOUT+JWT"),
        logout_token(typ="application/logout+jwt"),
        logout_token(aud=[AUDIENCE]),
        logout_token(iat=NOW + 59, exp=NOW - 59),
        logout_token(nbf=NOW, more={"that": "nobody knows"}),
        logout_token(EC, "ES256"),
        logout_token(OKP, "Ed25519"),
        logout_token(alg="PS256"),
        sign(logout_claims(), "logout+jwt", kid=None),
    ],
    ids=["case", "whole media type", "list", "clocks", "unknown claims", "ES256", "Ed25519", "PS256", "no kid"],
)
def test_what_a_logout_token_may_be(site: Site, token: str) -> None:
    """RFC 7515, section 4.1.9; RFC 7519, section 4.1.3; claims that are not understood are passed over (BCL 2.4)."""
    browser = site.login()
    assert site.logout(token).status_code == 200
    assert site.who(browser) == ""


@pytest.mark.parametrize("typ", [None, "JWT"])
def test_a_provider_without_types_is_taken_where_the_application_says_so(build: Build, typ: str | None) -> None:
    """But no token that says that it is something else."""
    site = build(issuer(untyped=True))
    browser = site.login()
    assert site.logout(logout_token(typ="at+jwt")).status_code == 400
    assert site.push(event_token(REVOKED, typ=typ)).status_code == 400  # whose type is required
    assert site.who(browser) == "ann"
    assert site.logout(logout_token(typ=typ)).status_code == 200
    assert site.who(browser) == ""


def test_the_front_channel_ends_the_session_of_a_sid(site: Site) -> None:
    """A page for a frame of the provider's, without a cookie, which a frame of another site does not have."""
    browsers = three(site)
    page = site.client().get(f"/signout/front-channel?iss={ISSUER}&sid=1")
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "x-frame-options" not in page.headers
    assert people(site, browsers) == ["", "ann", "bob"]


def test_the_front_channel_writes_nothing_about_what_it_does_not_know(clock: FakeClock) -> None:
    """Nobody has signed it, and anybody can ask: however often, the store does not grow."""
    store = Failing()
    site = Site("asgi", SessionManager(store, dev=False, clock=clock), issuer())
    for number in range(20):
        assert site.client().get(f"/signout/front-channel?iss={ISSUER}&sid={number}").status_code == 200
    assert store.created == 0
    site.login()
    assert store.created > 0


EVENTS = [
    (REVOKED, {}, ANN, ["", "", "bob"]),
    (REVOKED, {}, {"format": "opaque", "id": "2"}, ["ann", "", "bob"]),
    (REVOKED, {}, {"format": "complex", "session": {"format": "opaque", "id": "2"}, "user": ANN}, ["ann", "", "bob"]),
    (REVOKED, {}, {"format": "complex", "user": ANN, "device": {"format": "opaque", "id": "x"}}, ["", "", "bob"]),
    (REVOKED, {}, {"format": "aliases", "identifiers": [{"format": "email", "email": "a@b.c"}, ANN]}, ["", "", "bob"]),
    (REVOKED, {}, {**ANN, "iss": "https://other.example"}, ["ann", "ann", "bob"]),
    (CHANGED, {"credential_type": "password", "change_type": "update"}, ANN, ["", "", "bob"]),
    (CHANGED, {"credential_type": "password", "change_type": "revoke"}, ANN, ["", "", "bob"]),
    (CHANGED, {"credential_type": "fido2-platform", "change_type": "delete"}, ANN, ["", "", "bob"]),
    (CHANGED, {"credential_type": "fido2-platform", "change_type": "create"}, ANN, ["ann", "ann", "bob"]),
    (f"{RISC}account-disabled", {"reason": "hijacking"}, ANN, ["", "", "bob"]),
    (f"{RISC}account-disabled", {}, {"format": "opaque", "id": "ann"}, ["", "", "bob"]),
    (f"{RISC}account-purged", {}, ANN, ["", "", "bob"]),
    (f"{RISC}account-credential-change-required", {}, ANN, ["", "", "bob"]),
    (f"{RISC}credential-compromise", {"credential_type": "password"}, ANN, ["", "", "bob"]),
    (f"{RISC}sessions-revoked", {}, ANN, ["", "", "bob"]),
    (f"{RISC}account-enabled", {}, ANN, ["ann", "ann", "bob"]),
    (f"{CAEP}token-claims-change", {"claims": {"role": "x"}}, ANN, ["ann", "ann", "bob"]),
    ("https://schemas.openid.net/secevent/ssf/event-type/verification", {"state": "x"}, ANN, ["ann", "ann", "bob"]),
    ("https://example.com/what-nobody-knows", {}, ANN, ["ann", "ann", "bob"]),
]


@pytest.mark.parametrize(("event", "payload", "identifier", "left"), EVENTS)
def test_what_an_event_ends(
    site: Site, event: str, payload: dict[str, Any], identifier: dict[str, Any], left: list[str]
) -> None:
    """202 (RFC 8935, section 2.2), also for what ends nothing here."""
    browsers = three(site)
    taken = site.push(event_token(event, payload, sub_id=identifier))
    assert (taken.status_code, taken.content, taken.headers["cache-control"]) == (202, b"", "no-store")
    assert people(site, browsers) == left


def test_an_older_event_names_its_subject_inside(site: Site) -> None:
    """Shared Signals Framework 1.0, section 3.1.1."""
    browsers = three(site)
    assert site.push(event_token(REVOKED, {"subject": ANN}, sub_id=None)).status_code == 202
    assert people(site, browsers) == ["", "", "bob"]


def test_an_event_that_comes_again_is_acknowledged_and_does_nothing(site: Site) -> None:
    """RFC 8935, section 2: its sender has not heard the answer. Who has logged in since stays."""
    token = event_token(REVOKED)
    browser = site.login()
    assert site.push(token).status_code == 202
    assert site.who(browser) == ""
    browser = site.login()
    assert site.push(token).status_code == 202
    assert site.who(browser) == "ann"


@pytest.mark.parametrize("signed", [True, False], ids=["a token of its own", "a header that was agreed on"])
def test_a_revocation_ends_all_of_a_subject(build: Build, signed: bool) -> None:
    """204 (Global Token Revocation, section 3.4.1)."""
    site = build(issuer(authorization=None if signed else "Bearer f5641763"))
    bearer = sign(logout_claims(events=None, sid=None), "global-token-revocation+jwt")
    browsers = three(site)
    taken = site.revoke(ANN, f"Bearer {bearer}" if signed else "Bearer f5641763")
    assert (taken.status_code, taken.content, taken.headers["cache-control"]) == (204, b"", "no-store")
    assert people(site, browsers) == ["", "", "bob"]
    assert site.revoke(ANN, "Bearer f5641764").status_code == 401


@pytest.mark.parametrize("asynchronous", [True, False])
def test_the_application_knows_whom_an_identifier_means(clock: FakeClock, asynchronous: bool) -> None:
    """By a function of its own, which is handed the identifier as it came."""
    asked: list[Any] = []

    def find(identifier: Any) -> Any:
        asked.append(identifier)
        return {"a@b.c": "ann", "all@b.c": ["ann", "bob"]}.get(identifier["email"])

    async def afind(identifier: Any) -> Any:
        return find(identifier)

    chosen = afind if asynchronous else find
    site = Site(
        "asgi", SessionManager("memory:", dev=False, clock=clock), issuer(subject=chosen, authorization="Bearer x")
    )
    browsers = three(site)
    assert site.revoke({"format": "email", "email": "x@b.c"}, "Bearer x").status_code == 404
    assert people(site, browsers) == ["ann", "ann", "bob"]
    assert site.revoke({"format": "email", "email": "a@b.c"}, "Bearer x").status_code == 204
    assert people(site, browsers) == ["", "", "bob"]
    assert site.revoke({"format": "email", "email": "all@b.c"}, "Bearer x").status_code == 204
    assert people(site, browsers) == ["", "", ""]
    assert asked[0] == {"format": "email", "email": "x@b.c"}


def test_logins_without_a_sid_end_by_their_subject(build: Build) -> None:
    """Where the application says that they carry none."""
    site = build(issuer(sid_tag=None, accepts=("back-channel",)))
    browsers = three(site)
    assert site.logout(logout_token(sid="1")).status_code == 400
    assert people(site, browsers) == ["ann", "ann", "bob"]
    assert site.logout(logout_token(sid="1", sub="ann")).status_code == 200
    assert people(site, browsers) == ["", "", "bob"]


def test_sessions_in_cookies_end_by_their_subject(clock: FakeClock) -> None:
    """With a store that notes which have ended."""
    store = CookieStore(revocation="epoch", revocation_store="memory:")
    manager = SessionManager(store, secret="K3pq-9cVt_hYz1mXw7RbN5sLd8GfJ2aQ0oUe6iTyC4k", dev=False, clock=clock)
    site = Site("asgi", manager, issuer(sid_tag=None, accepts=("back-channel",)))
    browsers = three(site)
    token = logout_token(sid=None, sub="ann")
    assert [site.logout(token).status_code for _ in range(2)] == [200, 400]
    assert people(site, browsers) == ["", "", "bob"]


def test_two_issuers_end_their_own_sessions_alone(build: Build) -> None:
    """A sid and a sub are unique within their issuer."""
    other = "https://other.example"
    known = {"format": "iss_sub", "iss": other, "sub": "ann"}
    site = build(
        issuer(subject=lambda identifier: identifier["sub"]),
        issuer(other, sid_tag="other_sid", subject=lambda identifier: None if identifier == known else "bob"),
    )
    browsers = three(site)
    assert site.logout(logout_token(iss=other, sid="1")).status_code == 200
    assert site.logout(logout_token(iss=other, sid=None, sub="ann")).status_code == 200
    assert people(site, browsers) == ["ann", "ann", "bob"]
    assert site.logout(logout_token(sid="1")).status_code == 200
    assert people(site, browsers) == ["", "ann", "bob"]


def test_who_ended_a_session_is_told(site: Site) -> None:
    """In events, and in what other processes hear: the issuer, and by which way."""
    heard: list[Event] = []
    site.manager.listen(heard.append)
    site.login()
    site.logout(logout_token())
    [revoked] = [event for event in heard if isinstance(event, SessionRevoked)]
    assert (revoked.by, revoked.why) == (ISSUER, "back-channel")


class Failing(MemoryStore):
    """A store that counts what it is given, and does not answer while ``down``."""

    down = False
    created = 0

    async def create(self, key: str, record: Any, *, now: int) -> Any:
        self.created += 1
        return await super().create(key, record, now=now)

    async def load(self, key: str) -> Any:
        if self.down:
            raise StoreUnavailable
        return await super().load(key)


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_a_store_that_fails_leaves_the_message_to_be_sent_again(kind: str, clock: FakeClock) -> None:
    """Each in its standard's words; when the store is back the same message still counts."""
    store = Failing()
    site = Site(kind, SessionManager(store, dev=False, clock=clock), issuer(authorization="Bearer x"))
    browser, token, event = site.login(), logout_token(), event_token(REVOKED)
    store.down = True
    assert site.logout(token).status_code == 400  # BCL 2.8: "the logout failed"
    refused = site.push(event, authorization="Bearer x")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert site.revoke(ANN, "Bearer x").status_code == 503
    assert site.client().get(f"/signout/front-channel?iss={ISSUER}&sid=08a5").status_code == 503
    store.down = False
    assert site.who(browser) == "ann"
    assert site.logout(token).status_code == 200
    assert site.who(browser) == ""
    browser = site.login()
    assert site.push(event, authorization="Bearer x").status_code == 202
    assert site.who(browser) == ""
