"""Encrypted tokens: opened with the application's private keys, before the signature inside is looked at (RFC 7516)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey

from limpet.errors import ConfigurationError

__all__ = ["HEADER_BYTES", "LEAST_RSA_BITS", "PrivateKeys", "opened", "private_keys"]

_ALGORITHMS: Final[Mapping[str, tuple[type[Key], ...]]] = {
    "RSA-OAEP": (RSAKey,),
    "RSA-OAEP-256": (RSAKey,),
    "ECDH-ES": (ECKey, OKPKey),
    "ECDH-ES+A128KW": (ECKey, OKPKey),
    "ECDH-ES+A256KW": (ECKey, OKPKey),
}
"""Without what an answer can be decrypted by (RSA1_5: RFC 8725, section 3.2), passwords, and shared secrets."""
_CONTENTS: Final = ("A128GCM", "A256GCM", "A128CBC-HS256", "A256CBC-HS512")
HEADER_BYTES: Final = 8_192
LEAST_RSA_BITS: Final = 2048  # RFC 7518, sections 3.3, 3.5, 4.2 and 4.3
_CURVES: Final = ("P-256", "P-384", "P-521", "X25519")

PrivateKeys = Sequence[tuple[Mapping[str, Any], Key]]


def private_keys(jwks: Any) -> PrivateKeys:
    """Return the private keys of a set.

    Raises:
        ConfigurationError: One of them cannot decrypt anything.
    """
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(listed, Sequence) or isinstance(listed, (str, bytes)) or not listed:
        raise ConfigurationError('decrypt_with is no key set: give {"keys": [...]} with your private keys')
    found: list[tuple[Mapping[str, Any], Key]] = []
    for facts in listed:
        try:
            key = JWKRegistry.import_key(dict(facts))
        except (JoseError, ValueError, TypeError, KeyError):
            raise ConfigurationError("decrypt_with has a key that is none (RFC 7517)") from None
        if not isinstance(key, (RSAKey, ECKey, OKPKey)) or not key.is_private:
            raise ConfigurationError("decrypt_with has a key that is no private RSA, EC or OKP key")
        if isinstance(key, RSAKey) and key.raw_value.key_size < LEAST_RSA_BITS:
            raise ConfigurationError(f"decrypt_with has an RSA key of less than {LEAST_RSA_BITS} bits")
        if not isinstance(key, RSAKey) and facts.get("crv") not in _CURVES:
            raise ConfigurationError(f"decrypt_with has a key on a curve that is none of {', '.join(_CURVES)}")
        found.append((facts, key))
    return found


def opened(token: str, header: Mapping[str, Any], keys: PrivateKeys) -> str | None:
    """Return what is in an encrypted token, which has to be a signed one; None: it cannot be opened with these keys.

    Why not is not told: who sends tokens that were tampered with must learn nothing of what is in them.
    """
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS or header.get("enc") not in _CONTENTS:
        return None
    if "zip" in header or "crit" in header:  # a few bytes that become many (RFC 8725, section 3.6), or worse
        return None
    registry = jwe.JWERegistry(algorithms=[algorithm, *_CONTENTS], strict_check_header=False)
    registry.max_protected_header_length = HEADER_BYTES
    for facts, key in keys:
        fits = isinstance(key, _ALGORITHMS[algorithm]) and facts.get("use", "enc") == "enc"
        if not fits or facts.get("alg", algorithm) != algorithm or (kid is not None and facts.get("kid") != kid):
            continue
        try:
            text = (jwe.decrypt_compact(token, key, registry=registry).plaintext or b"").decode("ascii")
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        return text
    return None
