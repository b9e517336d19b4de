"""Tokens that a provider encrypts for the application; what is inside has to be signed all the same."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from limpet.errors import ConfigurationError
from limpet.signout import Issuer
from tests.signout.provider import CAEP, OTHER, Site, encoded, event_token, issuer, jwks, logout_claims, logout_token

RSA = RSAKey.generate_key(2048, {"kid": "mine", "use": "enc"})
EC = ECKey.generate_key("P-256", {"kid": "curve"})
OKP = OKPKey.generate_key("X25519", {"kid": "okp"})
STRANGER = RSAKey.generate_key(2048, {"kid": "mine"})
SIGNS = RSAKey.generate_key(2048, {"kid": "signs", "use": "sig"})
MISUSED = RSAKey.import_key({**SIGNS.as_dict(private=False), "use": "enc"})
SECRET = OctKey.generate_key(256, {"kid": "secret"})


def mine(*keys: Key) -> dict[str, Any]:
    """Return a key set with the private halves."""
    return {"keys": [dict(key.as_dict(private=True)) for key in keys or (EC, OKP, RSA, SIGNS)]}


def sealed(inside: str | bytes, key: Key = RSA, alg: str = "RSA-OAEP-256", enc: str = "A256GCM", **more: Any) -> str:
    """Return an encrypted token, as a provider makes it or as it never would."""
    header = {"alg": alg, "enc": enc, "cty": "JWT", "kid": key.kid, **more}
    registry = jwe.JWERegistry(algorithms=[alg, enc, "DEF"], strict_check_header=False)
    said = {name: value for name, value in header.items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of these algorithms are what nobody should use
        text: str = jwe.encrypt_compact(said, inside, key, registry=registry)
    return text


def short() -> Key:
    """Return a key that nobody should use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RSAKey.generate_key(1024)


@pytest.fixture
def opens(build: Callable[..., Site]) -> Site:
    """Return an application that has keys of its own."""
    return build(_issuer())


@cache
def _issuer() -> Issuer:
    """Return one with all keys; to check an RSA key takes a tenth of a second."""
    return issuer(decrypt_with=mine())


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM", "A128CBC-HS256", "A256CBC-HS512"])
@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (RSA, "RSA-OAEP"),
        (RSA, "RSA-OAEP-256"),
        (EC, "ECDH-ES"),
        (EC, "ECDH-ES+A128KW"),
        (OKP, "ECDH-ES+A256KW"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kid,
)
def test_an_encrypted_logout_token(opens: Site, key: Key, alg: str, enc: str) -> None:
    browser = opens.login()
    assert opens.logout(sealed(logout_token(), key, alg, enc)).status_code == 200
    assert opens.who(browser) == ""


def test_in_every_way_that_brings_a_token(opens: Site) -> None:
    """Events too; a key without its name is found; and once is once, however often it is encrypted anew."""
    browser = opens.login()
    event = event_token(f"{CAEP}session-revoked")
    assert opens.push(sealed(event, kid=None)).status_code == 202
    assert opens.who(browser) == ""
    browser, token = opens.login(), logout_token()
    assert opens.logout(token).status_code == 200, "one that is not encrypted is as good: it is signed"
    browser = opens.login()
    assert opens.logout(sealed(token)).status_code == 400
    assert opens.who(browser) == "ann"


HEADER = {"alg": "RSA-OAEP-256", "enc": "A256GCM"}


def flipped(at: int) -> str:
    """Return an encrypted token of which one part is another."""
    parts = sealed(logout_token()).split(".")
    parts[at] = ("B" if parts[at][0] == "A" else "A") + parts[at][1:]
    if at == 0:
        parts[at] = encoded({**HEADER, "kid": "mine"})
    return ".".join(parts)


def made(**header: Any) -> str:
    """Return an encrypted token with nothing right but its header."""
    return f"{encoded({**HEADER, **header})}.a.b.c.d"


SEALED = [
    ("by a stranger's key under the same name", sealed(logout_token(), STRANGER), "RFC 7516 5.2"),
    ("with a key that signs", sealed(logout_token(), MISUSED), "RFC 7517 4.2"),
    ("a kid that nobody has", sealed(logout_token(), kid="x"), "RFC 7516 4.1.6"),
    ("a kid that is a list", made(kid=[]), "RFC 7516 4.1.6"),
    ("RSA1_5", sealed(logout_token(), alg="RSA1_5"), "RFC 8725 3.2"),
    ("a shared secret", sealed(logout_token(), SECRET, "A256KW"), "RFC 8725 2.1"),
    ("the secret itself", sealed(logout_token(), SECRET, "dir"), "RFC 8725 2.1"),
    ("a password", sealed(logout_token(), SECRET, "PBES2-HS256+A128KW"), "RFC 8725 3.2"),
    ("compressed", sealed(logout_token(), zip="DEF"), "RFC 8725 3.6"),
    ("claims that nobody signed", sealed(json.dumps(logout_claims())), "RFC 7519 5.2"),
    ("a signature of somebody else", sealed(logout_token(OTHER)), "RFC 7519 7.2"),
    ("encrypted twice", sealed(sealed(logout_token())), "RFC 7519 7.2"),
    ("no text inside", sealed(b"\xff\xfe"), "RFC 7519 7.2"),
    ("an ID token inside", sealed(logout_token(typ="JWT")), "RFC 8725 3.11"),
    ("another header", flipped(0), "RFC 7516 5.2"),
    ("another key", flipped(1), "RFC 7516 5.2"),
    ("another vector", flipped(2), "RFC 7516 5.2"),
    ("another text", flipped(3), "RFC 7516 5.2"),
    ("another tag", flipped(4), "RFC 7516 5.2"),
    ("no tag", sealed(logout_token()).rpartition(".")[0] + ".", "RFC 7516 5.2"),
    ("a header that is none", "e30.a.b.c.d", "RFC 7516 4.1.1"),
    ("alg that is a list", made(alg=["dir"]), "RFC 7516 4.1.1"),
    ("enc that is a list", made(enc=[]), "RFC 7516 4.1.2"),
    ("no point of the curve", made(alg="ECDH-ES", epk=1), "RFC 7518 4.6"),
    ("a critical header", made(crit=["x"]), "RFC 7516 4.1.13"),
]


@pytest.mark.parametrize(("token", "rule"), [row[1:] for row in SEALED], ids=[row[0] for row in SEALED])
def test_a_wrong_encrypted_token_is_refused(opens: Site, token: str, rule: str) -> None:
    """Whatever is wrong with the encryption, the answer is the same: it tells nothing of what is inside."""
    browser = opens.login()
    refused = opens.logout(token)
    assert refused.status_code == 400, rule
    assert opens.who(browser) == "ann"
    if rule.startswith(("RFC 7516", "RFC 7517", "RFC 7518", "RFC 8725 2", "RFC 8725 3.2", "RFC 8725 3.6")):
        assert refused.json()["error_description"] == "it cannot be decrypted"


def test_who_has_no_keys_opens_nothing(site: Site) -> None:
    browser = site.login()
    assert site.logout(sealed(logout_token())).status_code == 400
    assert site.who(browser) == "ann"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "no key set"),
        ({"keys": []}, "no key set"),
        ({"keys": "x"}, "no key set"),
        ({"keys": [{"kty": "x"}]}, "is none"),
        (jwks(), "no private"),
        (mine(SECRET), "no private"),
        (mine(short()), "2048 bits"),
        (mine(ECKey.generate_key("secp256k1")), "curve"),
    ],
    ids=["empty", "no keys", "no list", "no key", "public", "a secret", "short", "another curve"],
)
@pytest.mark.filterwarnings("ignore:.*:joserfc.errors.SecurityWarning")
def test_keys_that_can_open_nothing(build: Callable[..., Site], keys: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        build(issuer(decrypt_with=keys))


def test_private_keys_are_not_shown() -> None:
    assert "decrypt_with" not in repr(issuer(decrypt_with=mine()))
