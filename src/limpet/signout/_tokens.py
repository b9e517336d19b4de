"""Signed tokens: whose they are, and whether that one has signed them (RFC 7515, RFC 7519, RFC 8725)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError

from limpet.signout._envelopes import HEADER_BYTES, PrivateKeys, opened
from limpet.signout._issuers import Issuer
from limpet.signout._keys import KeyRing
from limpet.signout._refused import Refused

__all__ = ["Token", "Trusted", "verify"]

MAX_BYTES: Final = 65_536
_ENCRYPTED_DOTS: Final = 4  # RFC 7516, section 7.1
_SIGNATURE_BYTES: Final = 2_048  # of an RSA key with 8,192 bits


class Trusted(NamedTuple):
    """An issuer, its keys, and ours for what it encrypts."""

    issuer: Issuer
    keys: KeyRing
    ours: PrivateKeys = ()


class Token(NamedTuple):
    """A token whose signature is its issuer's.

    Attributes:
        issuer: Whose.
        header: The JOSE header.
        claims: What it says. Nothing of it was looked at but ``iss``.
    """

    issuer: Issuer
    header: Mapping[str, Any]
    claims: Mapping[str, Any]


async def verify(token: str, trusted: Sequence[Trusted], types: Sequence[str], *, untyped: bool = False) -> Token:
    """Return what a token says, after its type, its issuer and its signature were looked at.

    Args:
        token: A JWS in its compact form, or one that is encrypted (RFC 7519, appendix A.2).
        trusted: The issuers that may send it.
        types: What its header may say in ``typ``.
        untyped: An issuer may say that its tokens have no type (`Issuer.untyped`).

    Raises:
        Refused: It is none of theirs.
    """
    if token.count(".") == _ENCRYPTED_DOTS and len(token) <= MAX_BYTES and token.isascii():
        token = _inside(token, trusted)
    parts = token.split(".")
    if len(token) > MAX_BYTES or len(parts) != 3 or not token.isascii():
        raise Refused("invalid_request", "it is no signed token", "RFC 7519, section 7.2")
    header, claims = _object(parts[0]), _object(parts[1])
    if "crit" in header or "b64" in header:
        raise Refused("invalid_request", "its header asks for what is not understood", "RFC 7515, section 4.1.11")
    found = next((each for each in trusted if each.issuer.issuer == claims.get("iss")), None)
    if found is None:
        raise Refused("invalid_issuer", "its issuer is none that may do this", "RFC 7519, section 4.1.1")
    issuer = found.issuer
    said = header.get("typ")
    kind = said.lower().removeprefix("application/") if isinstance(said, str) else said
    if kind not in types and not (kind in (None, "jwt") and untyped and issuer.untyped):
        raise Refused("invalid_request", f"its typ is not {' or '.join(types)}", "RFC 8725, section 3.11")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
        raise Refused("invalid_key", "its alg is none that its issuer signs with", "RFC 8725, section 3.1")
    for key in await found.keys.find(algorithm, header.get("kid")):
        if _is_signed(token, key, algorithm):
            return Token(issuer, header, claims)
    raise Refused("invalid_key", "its signature is not its issuer's", "RFC 7515, section 5.2")


def _inside(token: str, trusted: Sequence[Trusted]) -> str:
    """Return the signed token in an encrypted one. That it was encrypted says nothing of whose it is: anybody can."""
    header = _object(token.partition(".")[0])
    for each in trusted:
        inside = opened(token, header, each.ours)
        if inside is not None:
            return inside
    raise Refused("invalid_request", "it cannot be decrypted", "RFC 7516, section 5.2")


def _is_signed(token: str, key: Any, algorithm: str) -> bool:
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = HEADER_BYTES  # certificates may come along
    registry.max_signature_length = _SIGNATURE_BYTES
    try:
        jws.deserialize_compact(token, key, registry=registry)
    except (JoseError, ValueError, TypeError):
        return False
    return True


def _object(segment: str) -> Mapping[str, Any]:
    """Return the JSON object in a part of a token.

    Raises:
        Refused: There is none.
    """
    try:
        padded = segment + "=" * (-len(segment) % 4)
        value = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True).decode())
    except (binascii.Error, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused("invalid_request", "it is no signed token", "RFC 7519, section 7.2")
    return value
