"""What a browser signs to show that it holds a key: a JSON Web Token, verified by `joserfc`.

Source: draft, section 9.10 ("DBSC Proof JWT Syntax"); RFC 7515 (signatures), RFC 7517 and 7638 (keys), RFC 8725 (best
practice: algorithm, type and key are checked, not taken from the token).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from limpet._wire.tokens import b64decode
from limpet.errors import MissingDependency

try:
    from joserfc import jws
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, RSAKey
except ModuleNotFoundError as _error:
    raise MissingDependency("SessionManager(bound=...)", "bound") from _error

__all__ = ["Proof", "Refused", "registered", "renewed"]

_TYPE: Final = "dbsc+jwt"
_PUBLIC: Final[Mapping[str, tuple[str, ...]]] = {"ES256": ("kty", "crv", "x", "y"), "RS256": ("kty", "n", "e")}
_RSA_BITS: Final = range(2048, 4097)  # RFC 7518, section 3.3; and no more than a browser's key store makes
_HEADER: Final = 2048  # bytes of a token's header; one with an RSA key of 4,096 bits has about 1,000


class Refused(Exception):
    """A proof that proves nothing; the message is a word for the event."""


class Proof(NamedTuple):
    """A proof whose signature was verified.

    Attributes:
        challenge: What was signed.
        key: The public key, as a JWK without anything else.
        alg: What it was signed with.
        thumbprint: The key's, in base64url (RFC 7638).
    """

    challenge: str
    key: dict[str, str]
    alg: str
    thumbprint: str


class _Registry(jws.JWSRegistry):
    max_header_length = _HEADER
    max_payload_length = 4096


def registered(token: str, algorithms: Sequence[str]) -> Proof:
    """Return the proof with which a browser registers its key.

    Raises:
        Refused: It is none.
    """
    header, alg = _header(token, algorithms)
    given = header.get("jwk")
    if not isinstance(given, dict):
        raise Refused("no-key")
    key = _public(given, alg)
    return _verified(token, key, alg)


def renewed(token: str, key: Mapping[str, str], alg: str) -> Proof:
    """Return the proof with which a browser shows that it still holds the key that it registered.

    Raises:
        Refused: It is none.
    """
    header, _ = _header(token, (alg,))
    if "jwk" in header:
        raise Refused("brings-a-key")
    return _verified(token, dict(key), alg)


def _header(token: str, algorithms: Sequence[str]) -> tuple[dict[str, Any], str]:
    try:
        found = jws.extract_compact(token.encode(), registry=_Registry(algorithms=list(algorithms)))
        header = dict(found.headers())
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Refused("unreadable") from error
    alg = header.get("alg")
    if alg not in algorithms:
        raise Refused("algorithm")
    if header.get("typ") != _TYPE:
        raise Refused("type")
    if "crit" in header or "b64" in header:
        raise Refused("critical")
    return header, str(alg)


def _public(given: Mapping[str, Any], alg: str) -> dict[str, str]:
    """Return the public key of a JWK, and nothing else of it.

    Raises:
        Refused: It is no key for this algorithm, holds a private part, or is too short.
    """
    key = {name: given.get(name) for name in _PUBLIC[alg]}
    if not all(isinstance(value, str) for value in key.values()) or "d" in given:
        raise Refused("key")
    return {name: str(value) for name, value in key.items()}


def _verified(token: str, key: dict[str, str], alg: str) -> Proof:
    try:
        public = _imported(key, alg)
        found = jws.deserialize_compact(token.encode(), public, algorithms=[alg], registry=_Registry(algorithms=[alg]))
        claims = json.loads(found.payload)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise Refused("signature") from error
    challenge = claims.get("jti") if isinstance(claims, dict) else None
    if not isinstance(challenge, str):
        raise Refused("no-challenge")
    return Proof(challenge, key, alg, public.thumbprint())


def _imported(key: dict[str, str], alg: str) -> ECKey | RSAKey:
    """Return the key for the algorithm: P-256, or RSA with an odd exponent and enough bits.

    Raises:
        Refused: It is another one.
    """
    if alg == "ES256":
        if (key["kty"], key["crv"]) != ("EC", "P-256"):
            raise Refused("key")
        return ECKey.import_key({**key})
    modulus, exponent = (int.from_bytes(b64decode(key[name]) or b"", "big") for name in ("n", "e"))
    if key["kty"] != "RSA" or modulus.bit_length() not in _RSA_BITS or not 3 <= exponent < 1 << 32 or not exponent & 1:
        raise Refused("key")
    return RSAKey.import_key({**key})
