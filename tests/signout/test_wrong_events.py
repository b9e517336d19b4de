"""Every wrong security event token is refused, and ends nothing; each row names the section that it breaks.

SSF is the Shared Signals Framework 1.0.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.signout.provider import (
    CAEP,
    ISSUER,
    NOW,
    OTHER,
    Site,
    encoded,
    event_claims,
    event_token,
    issuer,
    logout_token,
    sign,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*:joserfc.errors.SecurityWarning")  # of the tokens that are made here

REVOKED = f"{CAEP}session-revoked"
WEEK = 7 * 24 * 3600
UNSIGNED = f"{encoded({'alg': 'none', 'typ': 'secevent+jwt'})}.{encoded(event_claims(REVOKED))}."


def about(identifier: Any) -> str:
    """Return a token that names its subject like this."""
    return event_token(REVOKED, sub_id=identifier)


def aliases(*identifiers: Any) -> Any:
    """Return an identifier made of several."""
    return {"format": "aliases", "identifiers": list(identifiers)}


EVENTS = [
    ("no JWT", "nonsense", "invalid_request", "RFC 8935 2.4"),
    ("no typ", event_token(REVOKED, typ=None), "invalid_request", "SSF 4.1.1; RFC 8417 2.3"),
    ("typ JWT", event_token(REVOKED, typ="JWT"), "invalid_request", "SSF 4.1.1; RFC 8417 4.5"),
    ("a logout token", logout_token(), "invalid_request", "RFC 8417 4.5"),
    (
        "alg none",
        f"{encoded({'alg': 'none', 'typ': 'secevent+jwt'})}.{encoded(event_claims(REVOKED))}.",
        "invalid_key",
        "RFC 8417 5.1",
    ),
    ("the key of somebody else", sign(event_claims(REVOKED), "secevent+jwt", OTHER), "invalid_key", "RFC 8935 2.4"),
    (
        "iss of somebody else",
        event_token(REVOKED, iss="https://evil.example"),
        "invalid_issuer",
        "SSF 4.1.6; RFC 8935 2.4",
    ),
    ("no aud", event_token(REVOKED, aud=None), "invalid_audience", "SSF 4.1.8"),
    ("aud of somebody else", event_token(REVOKED, aud=["blog"]), "invalid_audience", "RFC 8935 2.4"),
    ("a sub", event_token(REVOKED, sub="ann"), "invalid_request", "SSF 4.1.2"),
    ("an exp", event_token(REVOKED, exp=NOW + 60), "invalid_request", "SSF 4.1.7"),
    ("no iat", event_token(REVOKED, iat=None), "invalid_request", "RFC 8417 2.2"),
    ("iat from the future", event_token(REVOKED, iat=NOW + 61), "invalid_request", "RFC 7519 4.1.6"),
    ("iat of last week", event_token(REVOKED, iat=NOW - WEEK - 61), "invalid_request", "max_age"),
    ("no jti", event_token(REVOKED, jti=None), "invalid_request", "RFC 8417 2.2"),
    ("no events", event_token(REVOKED, events=None), "invalid_request", "RFC 8417 2.2"),
    ("events that are empty", event_token(REVOKED, events={}), "invalid_request", "RFC 8417 2.2"),
    ("an event that is no object", event_token(REVOKED, events={REVOKED: 1}), "invalid_request", "RFC 8417 2.2"),
    (
        "a credential that changed somehow",
        event_token(f"{CAEP}credential-change"),
        "invalid_request",
        "CAEP 3.3.1",
    ),
    ("no subject", event_token(REVOKED, sub_id=None), "invalid_request", "SSF 3.1"),
    ("a subject that is text", event_token(REVOKED, sub_id="ann"), "invalid_request", "RFC 9493 3"),
    ("a subject without a format", about({"id": "ann"}), "invalid_request", "RFC 9493 3"),
    (
        "a format that is not known",
        about({"format": "email", "email": "a@b.c"}),
        "invalid_request",
        "RFC 9493 3",
    ),
    (
        "a subject without its name",
        event_token(REVOKED, sub_id={"format": "iss_sub", "iss": ISSUER}),
        "invalid_request",
        "RFC 9493 3.2.3",
    ),
    (
        "a complex one without a user",
        event_token(REVOKED, sub_id={"format": "complex", "tenant": {}}),
        "invalid_request",
        "SSF 3.3",
    ),
    (
        "aliases of aliases",
        event_token(REVOKED, sub_id={"format": "aliases", "identifiers": [{"format": "aliases"}]}),
        "invalid_request",
        "RFC 9493 3.2.8",
    ),
    (
        "aliases that are none",
        event_token(REVOKED, sub_id={"format": "aliases", "identifiers": [{}]}),
        "invalid_request",
        "RFC 9493 3.2.8",
    ),
    (
        "no aliases",
        event_token(REVOKED, sub_id={"format": "aliases", "identifiers": []}),
        "invalid_request",
        "RFC 9493 3.2.8",
    ),
]


@pytest.mark.parametrize(("token", "code", "rule"), [row[1:] for row in EVENTS], ids=[row[0] for row in EVENTS])
def test_a_wrong_event_is_refused(site: Site, token: str, code: str, rule: str) -> None:
    """With 400 and the error of RFC 8935, sections 2.3 and 2.4; the session goes on."""
    browser = site.login()
    refused = site.push(token)
    assert refused.status_code == 400, rule
    assert refused.json()["err"] == code, rule
    assert set(refused.json()) == {"err", "description"}
    assert refused.headers["content-type"] == "application/json"
    assert refused.headers["content-language"] == "en"
    assert refused.headers["cache-control"] == "no-store"
    assert site.who(browser) == "ann"


def test_an_event_comes_under_its_media_type(site: Site) -> None:
    """RFC 8935, section 2.1."""
    browser = site.login()
    refused = site.push(event_token(REVOKED), media="application/jwt")
    assert (refused.status_code, refused.json()["err"]) == (400, "invalid_request")
    assert site.who(browser) == "ann"


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer wrong", "bearer secret", "Bearer secretx"])
def test_an_event_comes_with_the_header_that_was_agreed_on(build: Any, authorization: str | None) -> None:
    """RFC 8935, section 2.4, ``authentication_failed``."""
    site = build(issuer(authorization="Bearer secret"))
    browser = site.login()
    headers = {} if authorization is None else {"authorization": authorization}
    refused = site.push(event_token(REVOKED), **headers)
    assert (refused.status_code, refused.json()["err"]) == (400, "authentication_failed")
    assert site.who(browser) == "ann"
    assert site.push(event_token(REVOKED), authorization="Bearer secret").status_code == 202
    assert site.who(browser) == ""
