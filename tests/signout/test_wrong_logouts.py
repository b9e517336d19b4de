"""Every wrong logout token is refused, and ends nothing; each row names the section that it breaks.

BCL is OpenID Connect Back-Channel Logout 1.0, Core is OpenID Connect Core 1.0.
"""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from tests.signout.provider import (
    AUDIENCE,
    CAEP,
    EC,
    ISSUER,
    LOGOUT,
    NOW,
    OTHER,
    RSA,
    Site,
    encoded,
    issuer,
    jwks,
    logout_claims,
    logout_token,
    sign,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*:joserfc.errors.SecurityWarning")  # of the tokens that are made here

REVOKED = f"{CAEP}session-revoked"
WEEK = 7 * 24 * 3600
HEADER = {"alg": "RS256", "kid": "rsa", "typ": "logout+jwt"}


def hmac_token(secret: bytes, alg: str = "HS256") -> str:
    """Return a token signed with a shared secret, such as the text of a public key."""
    text = f"{encoded({'alg': alg, 'kid': RSA.kid, 'typ': 'logout+jwt'})}.{encoded(logout_claims())}"
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), 'sha256'))}"


def unsigned(header: dict[str, Any], signature: str = "") -> str:
    return f"{encoded(header)}.{encoded(logout_claims())}.{signature}"


def tampered(part: int) -> str:
    """Return a token of which one part is that of another one."""
    mine, theirs = (logout_token(sid=sid).split(".") for sid in ("other", "08a5"))
    mine[part] = theirs[part]
    return ".".join(mine)


LOGOUTS = [
    ("no token at all", "", "RFC 7519 7.2"),
    ("no JWT", "nonsense", "RFC 7519 7.2"),
    ("two parts", "a.b", "RFC 7519 7.2"),
    ("no JSON", "e30.bm8.c2ln", "RFC 7519 7.2"),
    ("a header that is a list", f"{encoded([])}.{encoded({})}.x", "RFC 7519 7.2"),
    ("claims that nest for ever", f"{encoded({'alg': 'RS256'})}.{encoded(b'[' * 30_000)}.x", "RFC 7519 7.2"),
    ("an encrypted token, in five parts", "a.b.c.d.e", "BCL 2.6, 1: not agreed on"),
    ("no alg", unsigned({"typ": "logout+jwt"}), "BCL 2.6, 3"),
    ("alg none", unsigned({"alg": "none", "typ": "logout+jwt"}), "BCL 2.6, 3: none MUST NOT be used"),
    ("alg None", unsigned({"alg": "None", "typ": "logout+jwt"}), "BCL 2.6, 3"),
    ("alg that is a list", unsigned({"alg": ["RS256"], "typ": "logout+jwt"}), "RFC 7515 4.1.1"),
    ("HS256 with the public key as a secret", hmac_token(RSA.as_pem(private=False)), "RFC 8725 2.1"),
    ("HS256 with the client's name", hmac_token(b"shop" * 8), "RFC 8725 3.1"),
    ("an algorithm that was not agreed on", logout_token(alg="RS512"), "RFC 8725 3.1"),
    (
        "an algorithm of another kind of key",
        unsigned({"alg": "ES256", "kid": "rsa", "typ": "logout+jwt"}, "eA"),
        "RFC 8725 3.1",
    ),
    ("the key of somebody else under the same kid", logout_token(OTHER), "BCL 2.6, 2"),
    ("a kid that nobody has", sign(logout_claims(), "logout+jwt", kid="x"), "RFC 7515 4.1.4"),
    ("a kid that is a number", unsigned({**HEADER, "kid": 7}, "eA"), "RFC 7515 4.1.4"),
    (
        "a key of its own in the header",
        sign(logout_claims(), "logout+jwt", OTHER, jwk=jwks(OTHER)["keys"][0]),
        "RFC 8725 3.10",
    ),
    ("a signature of another token", tampered(2), "RFC 7515 5.2"),
    ("claims of another token", tampered(1), "RFC 7515 5.2"),
    ("no signature", logout_token().rpartition(".")[0] + ".", "RFC 7515 5.2"),
    ("a critical header", sign(logout_claims(), "logout+jwt", crit=["exp"], exp=1), "RFC 7515 4.1.11"),
    ("a payload that is not encoded", sign(logout_claims(), "logout+jwt", b64=True), "RFC 7797 7"),
    ("no typ", logout_token(typ=None), "BCL 2.4; RFC 8725 3.11"),
    ("typ JWT, as of an ID token", logout_token(typ="JWT"), "BCL 4.1; RFC 8725 3.11"),
    ("typ of an access token", logout_token(typ="at+jwt"), "BCL 4.1; RFC 8725 3.11"),
    ("typ of a security event", logout_token(typ="secevent+jwt"), "BCL 4.1; RFC 8725 3.11"),
    ("no iss", logout_token(iss=None), "BCL 2.4"),
    ("iss of somebody else", logout_token(iss="https://evil.example"), "BCL 2.6, 4"),
    ("iss with a slash more", logout_token(iss=f"{ISSUER}/"), "BCL 2.6, 4: to the letter"),
    ("iss that is a list", logout_token(iss=[ISSUER]), "RFC 7519 4.1.1"),
    ("no aud", logout_token(aud=None), "BCL 2.4"),
    ("aud of somebody else", logout_token(aud="blog"), "BCL 2.6, 4"),
    ("aud of somebody else too", logout_token(aud=[AUDIENCE, "blog"]), "Core 3.1.3.7, 3"),
    ("aud that is empty", logout_token(aud=[]), "RFC 7519 4.1.3"),
    ("aud that is an object", logout_token(aud={AUDIENCE: 1}), "RFC 7519 4.1.3"),
    ("no iat", logout_token(iat=None), "BCL 2.4"),
    ("iat from the future", logout_token(iat=NOW + 61, exp=NOW + 300), "Core 3.1.3.7, 10"),
    ("iat of last week", logout_token(iat=NOW - WEEK - 61), "Core 3.1.3.7, 10"),
    ("iat that is text", logout_token(iat=str(NOW)), "RFC 7519 4.1.6"),
    ("iat that is true", logout_token(iat=True), "RFC 7519 4.1.6"),
    ("no exp", logout_token(exp=None), "BCL 2.4"),
    ("expired", logout_token(exp=NOW - 61), "BCL 2.6, 4"),
    ("exp that is no number", logout_token(exp=float("nan")), "RFC 7519 4.1.4"),
    ("exp that is endless", logout_token(exp=float("inf")), "RFC 7519 4.1.4"),
    ("nbf from the future", logout_token(nbf=NOW + 61), "RFC 7519 4.1.5"),
    ("no jti", logout_token(jti=None), "BCL 2.4"),
    ("jti that is empty", logout_token(jti=""), "BCL 2.4"),
    ("jti that is a number", logout_token(jti=7), "RFC 7519 4.1.7"),
    ("jti without end", logout_token(jti="x" * 1_001), "RFC 7519 4.1.7"),
    ("no events", logout_token(events=None), "BCL 2.6, 6"),
    ("events of something else", logout_token(events={REVOKED: {}}), "BCL 2.6, 6"),
    ("events that are a list", logout_token(events=[LOGOUT]), "BCL 2.4"),
    ("an event that is no object", logout_token(events={LOGOUT: True}), "BCL 2.4"),
    ("a nonce", logout_token(nonce="n"), "BCL 2.6, 7"),
    ("a nonce that is empty", logout_token(nonce=""), "BCL 2.6, 7"),
    ("neither sid nor sub", logout_token(sid=None), "BCL 2.6, 5"),
    ("sid that is a number", logout_token(sid=7), "BCL 2.4"),
    ("sid that is empty", logout_token(sid=""), "BCL 2.4"),
    ("sid with a NUL", logout_token(sid="08a5\x00"), "BCL 2.4: what no tag can be"),
    ("sub that is a number", logout_token(sub=7), "BCL 2.4"),
    ("larger than is read", logout_token(pad="x" * 70_000), "RFC 7519 7.2"),
]


@pytest.mark.parametrize(("token", "rule"), [row[1:] for row in LOGOUTS], ids=[row[0] for row in LOGOUTS])
def test_a_wrong_logout_token_is_refused(site: Site, token: str, rule: str) -> None:
    """With 400 and no-store (BCL 2.8), an error in JSON, and the session goes on."""
    browser = site.login()
    refused = site.logout(token)
    assert refused.status_code == 400, rule
    assert refused.headers["cache-control"] == "no-store"
    assert refused.headers["content-type"] == "application/json"
    assert set(refused.json()) == {"error", "error_description"}
    assert site.who(browser) == "ann"


def test_the_right_logout_token_is_not(site: Site) -> None:
    """The control: what the rows change is taken as it is."""
    browser = site.login()
    taken = site.logout(logout_token())
    assert (taken.status_code, taken.headers["cache-control"], taken.content) == (200, "no-store", b"")
    assert site.who(browser) == ""


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"params": {"logout_token": logout_token()}}, "BCL 2.5: in the body"),
        ({"content": f"logout_token={logout_token()}"}, "BCL 2.5: as a form"),
        ({"json": {"logout_token": logout_token()}}, "BCL 2.5: as a form"),
        ({"data": {"logout_token": [logout_token(), logout_token()]}}, "RFC 6749 3.1: no parameter twice"),
        ({"data": {"token": logout_token()}}, "BCL 2.5"),
        ({"data": {f"a{n}": "b" for n in range(30)} | {"logout_token": logout_token()}}, "more fields than are read"),
        ({"content": b"logout_token=%ff", "headers": {"content-type": "application/x-www-form-urlencoded"}}, "no text"),
        ({"content": b"\xff" * 9, "headers": {"content-type": "application/x-www-form-urlencoded"}}, "no text"),
    ],
    ids=["query", "no media type", "json", "twice", "another name", "many", "no UTF-8", "no ASCII"],
)
def test_a_logout_token_comes_as_a_form(site: Site, options: dict[str, Any], rule: str) -> None:
    """And as nothing else."""
    browser = site.login()
    assert site.client().post("/signout/back-channel", **options).status_code == 400, rule
    assert site.who(browser) == "ann"


def test_keys_that_cannot_have_signed_are_passed_over(build: Any) -> None:
    """A shared secret, a key for encryption, one for another algorithm, and what is no key at all."""
    secret = {"kty": "oct", "k": encoded(b"s" * 32), "kid": "rsa"}
    mine = dict(RSA.as_dict(private=False))
    for keys in (
        [secret],
        [{**mine, "use": "enc"}],
        [{**mine, "alg": "PS256"}],
        [{**mine, "n": 7}],
        ["x", None, {"kty": "RSA"}, dict(EC.as_dict(private=False))],
    ):
        site = build(issuer(keys={"keys": keys}))
        browser = site.login()
        assert site.logout(logout_token()).status_code == 400
        assert site.logout(hmac_token(b"s" * 32)).status_code == 400
        assert site.who(browser) == "ann"
    site = build(issuer(keys={"keys": [secret, {"kty": "new"}, {**mine, "alg": "RS256"}]}))
    assert site.logout(logout_token()).status_code == 200
