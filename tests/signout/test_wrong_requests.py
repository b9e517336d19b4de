"""Every wrong request to revoke, or by way of a browser, is refused, and ends nothing; each row names its section.

GTR is Global Token Revocation (draft-parecki-oauth-global-token-revocation-06), FCL is OpenID Connect Front-Channel
Logout 1.0.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.signout.provider import (
    ISSUER,
    NOW,
    OTHER,
    RSA,
    Site,
    issuer,
    logout_claims,
    logout_token,
    sign,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*:joserfc.errors.SecurityWarning")  # of the tokens that are made here

ANN = {"format": "iss_sub", "iss": ISSUER, "sub": "ann"}


def bearer(typ: str | None = "global-token-revocation+jwt", key: Any = RSA, **changed: Any) -> str:
    """Return the header that authenticates a request to revoke."""
    return "Bearer " + sign(logout_claims(events=None, sid=None, **changed), typ, key)


REVOCATIONS = [
    ("nobody", ANN, None, 401, "GTR 3.2"),
    ("no bearer", ANN, "Basic c2hvcDo=", 401, "GTR 3.4.2"),
    ("an opaque token", ANN, "Bearer f564", 401, "GTR 3.4.2"),
    ("an ID token", ANN, bearer("JWT"), 401, "GTR 5.1; RFC 8725 3.11"),
    ("a logout token", ANN, f"Bearer {logout_token()}", 401, "RFC 8725 3.11"),
    ("the key of somebody else", ANN, bearer(key=OTHER), 401, "RFC 7523 3, 9"),
    ("a token for somebody else", ANN, bearer(aud="blog"), 401, "RFC 7523 3, 3"),
    ("a token of somebody else", ANN, bearer(iss="https://evil.example"), 401, "RFC 7523 3, 1"),
    ("expired", ANN, bearer(exp=NOW - 61), 401, "RFC 7523 3, 4"),
    ("no exp", ANN, bearer(exp=None), 401, "RFC 7523 3, 4"),
    ("no jti", ANN, bearer(jti=None), 401, "RFC 7523 3, 7"),
    ("no subject", None, bearer(), 400, "GTR 3.4.2"),
    ("no JSON", b"{", bearer(), 400, "GTR 3.4.2"),
    ("a list", b"[]", bearer(), 400, "GTR 3.2"),
    ("no text", b"\xff", bearer(), 400, "GTR 3.2"),
    ("without end", b'{"a":"' + b"x" * 70_000 + b'"}', bearer(), 400, "GTR 3.2"),
    ("a format that is not known", {"format": "email", "email": "a@b.c"}, bearer(), 400, "GTR 3.4.2"),
    ("somebody else's sub", {**ANN, "iss": "https://other.example"}, bearer(), 404, "GTR 3.4.2, 5.1"),
]


@pytest.mark.parametrize(
    ("identifier", "authorization", "status", "rule"),
    [row[1:] for row in REVOCATIONS],
    ids=[row[0] for row in REVOCATIONS],
)
def test_a_wrong_revocation_is_refused(
    site: Site, identifier: Any, authorization: str | None, status: int, rule: str
) -> None:
    """With the status that the draft gives, and the session goes on."""
    browser = site.login()
    refused = site.revoke(identifier, authorization)
    assert refused.status_code == status, rule
    assert refused.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in refused.headers) is (status == 401)
    assert site.who(browser) == "ann"


def test_a_revocation_comes_as_json(site: Site) -> None:
    """GTR, section 3.2."""
    browser = site.login()
    assert site.revoke(ANN, bearer(), media="text/plain").status_code == 400
    assert site.who(browser) == "ann"


def test_the_token_of_a_revocation_counts_once(site: Site) -> None:
    """RFC 7523, section 3, item 7; a body that could not be read has used nothing up."""
    authorization = bearer()
    assert site.revoke(b"{", authorization).status_code == 400
    assert site.revoke(ANN, authorization).status_code == 204
    browser = site.login()
    assert site.revoke(ANN, authorization).status_code == 401
    assert site.who(browser) == "ann"


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        ("", "FCL 2: register frontchannel_logout_session_required"),
        ("iss=https://id.example.com", "FCL 2: both or neither"),
        ("sid=08a5", "FCL 2: both or neither"),
        ("iss=https://evil.example&sid=08a5", "FCL 2: of the issuer"),
        ("iss=https://id.example.com&sid=08a5&sid=08a5", "RFC 6749 3.1"),
        ("iss=https://id.example.com&sid=", "FCL 2"),
        ("iss=https://id.example.com&sid=%00", "what no tag can be"),
        ("iss=https://id.example.com&sid=%ff", "no text"),
    ],
)
def test_a_wrong_front_channel_request_is_refused(site: Site, query: str, rule: str) -> None:
    """With 400, and the session goes on."""
    browser = site.login()
    refused = site.client().get(f"/signout/front-channel?{query}")
    assert refused.status_code == 400, rule
    assert refused.headers["cache-control"] == "no-store"
    assert site.who(browser) == "ann"


@pytest.mark.parametrize("channel", ["back-channel", "front-channel", "events", "revocation"])
def test_an_issuer_does_only_what_it_may(build: Any, channel: str) -> None:
    """The ways that an issuer was not given are no paths."""
    others = tuple(each for each in ("back-channel", "front-channel", "events", "revocation") if each != channel)
    site = build(issuer(accepts=others))
    for path in (f"/signout/{channel}", "/signout/", "/signout", "/signout/x"):
        for method in ("GET", "POST"):
            answer = site.client().request(method, path, follow_redirects=True)
            assert answer.status_code == 404


@pytest.mark.parametrize(
    ("channel", "allowed"),
    [("back-channel", "POST"), ("front-channel", "GET"), ("events", "POST"), ("revocation", "POST")],
)
def test_other_methods_are_named(site: Site, channel: str, allowed: str) -> None:
    """RFC 9110, section 15.5.6."""
    for method in {"GET", "POST", "PUT", "DELETE"} - {allowed}:
        answer = site.client().request(method, f"/signout/{channel}")
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
