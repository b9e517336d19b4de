"""Proofs: each token that proves nothing, with the section that says so."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey

from limpet.bound import proofs
from limpet.bound.policy import ALGORITHMS
from limpet.bound.proofs import Refused
from tests.bound.device import Device

EC, RSA = Device(), Device("RS256")


def encoded(part: Any) -> str:
    """Return a part of a token."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: dict[str, Any], claims: Any, key: Any) -> str:
    """Return a token, whatever it says."""
    registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    registry.max_header_length = 8192
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return jws.serialize_compact(header, body, key, registry=registry)


def said(device: Device, **more: Any) -> dict[str, Any]:
    """Return a header of a registration."""
    header = {"alg": device.alg, "typ": "dbsc+jwt", "jwk": device.public, **more}
    return {name: value for name, value in header.items() if value is not None}


@pytest.mark.parametrize("device", [EC, RSA])
def test_a_registration_and_a_renewal(device: Device) -> None:
    proof = proofs.registered(device.prove("c", registers=True), ALGORITHMS)
    assert proof == proofs.Proof("c", device.public, device.alg, device.key.thumbprint())
    again = proofs.renewed(device.prove("d", registers=False), proof.key, proof.alg)
    assert again == proof._replace(challenge="d")


def test_what_else_is_in_the_key_is_left_out() -> None:
    named = {**EC.public, "kid": "x" * 50, "use": "sig"}
    assert proofs.registered(signed(said(EC, jwk=named), {"jti": "c"}, EC.key), ALGORITHMS).key == EC.public


def _with_another_signature() -> str:
    head, body, _ = EC.prove("c", registers=True).split(".")
    return f"{head}.{body}.{encoded(b'x' * 64)}"


def _with_another_challenge() -> str:
    head, _, end = EC.prove("c", registers=True).split(".")
    return f"{head}.{encoded({'jti': 'd'})}.{end}"


P384 = ECKey.generate_key("P-384")
SECRET = OctKey.generate_key(256)

REGISTRATIONS: dict[str, tuple[Callable[[], str], str]] = {
    # Draft, section 9.10, "typ": MUST be "dbsc+jwt"; RFC 8725, section 3.11.
    "no type": (lambda: signed(said(EC, typ=None), {"jti": "c"}, EC.key), "type"),
    "another type": (lambda: signed(said(EC, typ="JWT"), {"jti": "c"}, EC.key), "type"),
    "an access token": (lambda: signed(said(EC, typ="at+jwt"), {"jti": "c"}, EC.key), "type"),
    # Section 9.10, "alg": RS256 or ES256; "none" proves nothing. RFC 8725, sections 3.1 and 3.2.
    "unsigned": (lambda: f"{encoded({'alg': 'none', 'typ': 'dbsc+jwt'})}.{encoded({'jti': 'c'})}.", "algorithm"),
    "a shared secret": (lambda: signed({**said(EC), "alg": "HS256"}, {"jti": "c"}, SECRET), "algorithm"),
    "a longer hash": (lambda: signed({**said(RSA), "alg": "RS512"}, {"jti": "c"}, RSA.key), "algorithm"),
    "another curve": (
        lambda: signed({**said(EC), "alg": "ES384", "jwk": P384.as_dict(private=False)}, {"jti": "c"}, P384),
        "algorithm",
    ),
    "no algorithm": (lambda: f"{encoded({'typ': 'dbsc+jwt'})}.{encoded({'jti': 'c'})}.{encoded(b'x')}", "unreadable"),
    # Section 9.10, "jwk": MUST be present for registration; RFC 7517.
    "no key": (lambda: EC.prove("c", registers=False), "no-key"),
    "a key that is text": (lambda: f"{encoded(said(EC, jwk='key'))}.{encoded({'jti': 'c'})}.x", "no-key"),
    "a private key": (
        lambda: signed(said(EC, jwk=EC.key.as_dict(private=True)), {"jti": "c"}, EC.key),
        "key",
    ),
    "half a key": (lambda: signed(said(EC, jwk={"kty": "EC", "crv": "P-256"}), {"jti": "c"}, EC.key), "key"),
    "a key of another kind": (lambda: signed(said(EC, jwk=RSA.public), {"jti": "c"}, EC.key), "key"),
    "a key on another curve": (
        lambda: signed(said(EC, jwk={**EC.public, "crv": "P-384"}), {"jti": "c"}, EC.key),
        "key",
    ),
    "a point that is not on the curve": (
        lambda: signed(said(EC, jwk={**EC.public, "y": EC.public["x"]}), {"jti": "c"}, EC.key),
        "signature",
    ),
    # RFC 7518, section 3.3: 2048 bits or more.
    "a short key": (
        lambda: signed(said(RSA, jwk={**RSA.public, "n": encoded(b"\xff" * 128)}), {"jti": "c"}, RSA.key),
        "key",
    ),
    "a key with an exponent of one": (
        lambda: signed(said(RSA, jwk={**RSA.public, "e": "AQ"}), {"jti": "c"}, RSA.key),
        "key",
    ),
    # RFC 7515, section 5.2.
    "another's key": (lambda: signed(said(EC, jwk=Device().public), {"jti": "c"}, EC.key), "signature"),
    "another signature": (_with_another_signature, "signature"),
    "another challenge": (_with_another_challenge, "signature"),
    "an extension": (lambda: signed(said(EC, crit=["b64"], b64=True), {"jti": "c"}, EC.key), "critical"),
    "no token": (lambda: "token", "unreadable"),
    "two parts": (lambda: "a.b", "unreadable"),
    "a header that is no JSON": (lambda: f"{encoded(b'{')}.{encoded({'jti': 'c'})}.x", "unreadable"),
    "a header that is a list": (lambda: f"{encoded([1])}.{encoded({'jti': 'c'})}.x", "unreadable"),
    "a huge header": (lambda: signed(said(EC, kid="x" * 4000), {"jti": "c"}, EC.key), "unreadable"),
    # Section 9.10, "jti": MUST be there.
    "no challenge": (lambda: signed(said(EC), {"iat": 1}, EC.key), "no-challenge"),
    "a challenge that is a number": (lambda: signed(said(EC), {"jti": 1}, EC.key), "no-challenge"),
    "claims that are a list": (lambda: signed(said(EC), ["c"], EC.key), "no-challenge"),
    "claims that are no JSON": (lambda: signed(said(EC), b"c", EC.key), "signature"),
}


@pytest.mark.parametrize("name", REGISTRATIONS)
def test_a_registration_that_proves_nothing(name: str) -> None:
    make, reason = REGISTRATIONS[name]
    with pytest.raises(Refused) as caught:
        proofs.registered(make(), ALGORITHMS)
    assert str(caught.value) == reason


def test_an_algorithm_that_was_not_asked_for() -> None:
    """Draft, section "Create session key pair": one of those that the header lists."""
    with pytest.raises(Refused, match="algorithm"):
        proofs.registered(RSA.prove("c", registers=True), ("ES256",))


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (EC.prove("c", registers=True), "brings-a-key"),  # section 9.10: MUST not be present for refresh requests
        (EC.prove("c", registers=False, header={"typ": "JWT"}), "type"),
        (RSA.prove("c", registers=False), "algorithm"),
        (Device().prove("c", registers=False), "signature"),
        ("", "unreadable"),
    ],
)
def test_a_renewal_that_proves_nothing(token: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        proofs.renewed(token, EC.public, "ES256")
    assert str(caught.value) == reason
