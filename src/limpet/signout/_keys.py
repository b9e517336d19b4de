"""The public keys of an issuer: fetched when they are needed, kept for a while, asked for again when one is unknown."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, RSAKey

from limpet._blocking import is_driven
from limpet.errors import ConfigurationError
from limpet.manager import SessionManager
from limpet.signout._envelopes import LEAST_RSA_BITS
from limpet.signout._issuers import Issuer
from limpet.signout._refused import KeysUnavailable, Refused

__all__ = ["KeyRing", "ask"]

R = TypeVar("R")

_LIFE: Final = 3_600_000  # milliseconds after which keys are fetched anew, so that one that was withdrawn goes
_PAUSE: Final = 10_000  # milliseconds between two fetches: a token with an unknown key costs nothing to send
_TYPES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "Ed25519": "Ed25519"}

log = logging.getLogger("limpet")


async def ask(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of the application's, on a thread where it would hold up an event loop.

    Raises:
        ConfigurationError: It is a coroutine function, and a WSGI application is served.
    """
    if is_driven() and inspect.iscoroutinefunction(function):
        raise ConfigurationError(f"{function!r} is a coroutine function, and WSGI has no event loop: give a plain one")
    if is_driven() or inspect.iscoroutinefunction(function):
        answer = function(*arguments)
    else:
        answer = await asyncio.to_thread(function, *arguments)
    return await answer if inspect.isawaitable(answer) else answer


class KeyRing:
    """The keys of one issuer.

    Args:
        issuer: Whose.
        manager: Has the clock, and the turns of requests that would fetch at the same time.
    """

    def __init__(self, issuer: Issuer, manager: SessionManager) -> None:
        self._issuer = issuer
        self._manager = manager
        self._keys: Sequence[tuple[Mapping[str, Any], Key]] = ()
        self._fetched: int | None = None  # when, in milliseconds since 1970
        self._tried: int | None = None
        self._failed = False

    async def find(self, algorithm: str, kid: object) -> Sequence[Key]:
        """Return the keys that may have made a signature: the one of that ``kid``, or all of the right kind.

        Raises:
            Refused: There is none.
            KeysUnavailable: There may be one, and the keys could not be fetched.

        Source: RFC 7515, section 4.1.4; RFC 8725, section 3.1.
        """
        now = self._manager.clock()
        if self._fetched is None or now - self._fetched >= _LIFE:
            await self._fetch(now)
        found = self._fitting(algorithm, kid)
        if not found and await self._fetch(now):
            found = self._fitting(algorithm, kid)
        if not found and self._failed:
            raise KeysUnavailable
        if not found:
            raise Refused("invalid_key", "it is signed with no key of its issuer", "RFC 7515, section 4.1.4")
        return found

    def _fitting(self, algorithm: str, kid: object) -> Sequence[Key]:
        kind, curve = _TYPES[algorithm[:2]], _CURVES.get(algorithm)
        return [
            key
            for facts, key in self._keys
            if facts.get("kty") == kind
            and (curve is None or facts.get("crv") == curve)
            and facts.get("use", "sig") == "sig"
            and facts.get("alg", algorithm) == algorithm
            and (kid is None or facts.get("kid") == kid)
        ]

    async def _fetch(self, now: int) -> bool:
        """Get the keys, unless that was tried a moment ago; tell whether there are new ones to look at."""
        given = self._issuer.keys
        if isinstance(given, Mapping):
            first = self._fetched is None
            if first:
                self._keys = _read(given)
            self._fetched = now
            return first
        before = self._fetched
        async with self._manager.runtime.turn(f"keys of {self._issuer.issuer}"):
            if self._fetched != before:
                return True  # another request has fetched them meanwhile
            if self._tried is not None and 0 <= now - self._tried < _PAUSE:
                return False
            self._tried, self._failed = now, True
            try:
                self._keys = _read(await ask(given))
            except Exception as error:  # noqa: BLE001 - whatever the application's function raises
                name = type(error).__name__
                log.warning("the keys of %s could not be fetched: %s: %s", self._issuer.issuer, name, error)
                return False
            self._fetched, self._failed = now, False
            return True


def _read(jwks: Any) -> Sequence[tuple[Mapping[str, Any], Key]]:
    """Return the public keys of a set, without those that nobody can sign with, or that are too short to be trusted.

    Source: RFC 7517, section 5: keys that are not understood are passed over; RFC 7518, sections 3.3 and 3.5: an RSA
    key has 2,048 bits or more.
    """
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(listed, Sequence) or isinstance(listed, (str, bytes)):
        raise TypeError('a key set is a dict with the list "keys"')
    keys: list[tuple[Mapping[str, Any], Key]] = []
    for facts in listed:
        if not isinstance(facts, Mapping) or facts.get("kty") not in _TYPES.values():
            continue  # a shared secret ("oct") among them: RFC 8725, section 2.1
        try:
            key = JWKRegistry.import_key(dict(facts))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if isinstance(key, RSAKey) and key.raw_value.key_size < LEAST_RSA_BITS:
            log.warning("a key is not used: RSA with %d bits, of at least %d", key.raw_value.key_size, LEAST_RSA_BITS)
            continue
        keys.append((facts, key))
    return keys
