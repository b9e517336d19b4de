"""The secrets of an application, newest first, and the keys that are derived from them.

The first secret seals; every listed one opens. To rotate, put a new secret in front and drop the old one when
what it sealed has expired, or give it an end date at once: ``Key("old", until=datetime(2030, 1, 31, tzinfo=UTC))``.

Keys come from HKDF-SHA-256 (RFC 5869), one for each purpose and name, so that a token of one kind or of one cookie
never opens as another. A secret must be random: there is no password stretching.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias, cast

from limpet._checks import flag
from limpet.errors import ConfigurationError, LimpetWarning, WeakSecret

__all__ = [
    "MIN_SECRET",
    "DerivedKey",
    "Key",
    "Keyring",
    "Secrets",
    "generate_secret",
    "looks_like_a_store",
    "refuse_guessable",
    "shown",
]

MIN_SECRET: Final = 32
"""Bytes that a secret has at least: the size of the keys it is to protect."""

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 4

_CURE: Final = "Make one with `limpet keygen` and set it as LIMPET_SECRET"
_MIN_BITS: Final = 80
_MIN_PERIOD: Final = 16
_PLACEHOLDERS: Final = re.compile(
    r"change(me|this|it)|replace(me|this|it|with)|(your|my|the|top|super|very|some|dummy|sample|test)secret"
    r"|secret(key|goeshere|here)|yourkey|placeholder|password|passphrase|insecure|not(so|very)?secret|keyboardcat"
    r"|dontuse|donotuse|example(key|secret)|loremipsum|correcthorsebattery|xxxxxxxx|qwertyuiop"
)

_STORE_URL: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,63})\s*:\s*//"  # any URL that names a host or a file: also another library's
    r"|(?P<bare>memory|file|sqlite|rediss?|valkeys?|postgres(?:ql)?|cookie)(?:\+[a-z0-9]{1,32})?\s*:",
    re.IGNORECASE,
)
_IN_PLACE_OF_A_SECRET: Final = re.compile(
    r"(?:\w{1,64}\(\s*b?)?[\s\"']*\*{3,}[\s\"']*\)?"  # ***, or what an object that hides a secret has as its repr
    r"|<(?:(?:bound|unbound) method|built-in|function|class|module|coroutine)\s.*>|<.* at 0x[0-9a-f]+>",
    re.DOTALL | re.IGNORECASE,
)
_SEVERAL: Final = re.compile(r"[\s,;|]+")
_AROUND: Final = " \t\r\n\v\f\0\"'`\u00a0\u200b\ufeff"  # what a shell, an .env file or an editor leaves around a value


def looks_like_a_store(text: str | bytes) -> bool:
    """Tell whether a text has the shape of a store's URL, in any case and with white space or quotes around it.

    A random secret does not: it would have to begin with letters and ``://``, or with ``memory:`` and its like.
    """
    return _store_in(text) is not None


def shown(secret: object) -> object:
    """Return the text of an object that hides one: pydantic's ``SecretStr``, Starlette's and BlackSheep's ``Secret``.

    Anything else comes back as it is. ``str()`` of most such objects is a row of asterisks, the same for every secret.
    """
    for name in ("get_secret_value", "get_value"):
        method = getattr(secret, name, None)
        if callable(method) and not isinstance(secret, type):
            return cast("object", method())
    bases: tuple[type, ...] = cast("type", type(secret)).__mro__
    kinds = {f"{base.__module__}.{base.__qualname__}" for base in bases}
    return str(secret) if "starlette.datastructures.Secret" in kinds else secret


def refuse_guessable(secret: object, where: str = "secret") -> None:
    """Refuse a text that stands where a secret should be, and is none; several are looked at one by one.

    A store's URL stands in documents and in configuration, and asterisks, or the name of an object, are what
    ``str()`` makes of an object that is not text. Whoever guesses it can forge sessions.

    Args:
        secret: A secret as it was given: ``str`` or ``bytes``, or several. Anything else passes.
        where: What the parameter is called.

    Raises:
        ConfigurationError: It is one. The message shows a URL's scheme alone, since a URL may hold a password.
    """
    if isinstance(secret, (str, bytes)):
        scheme = _store_in(secret)
        if scheme is not None:
            raise ConfigurationError(
                f"{where} is given the URL of a store ({scheme}:...), and anybody who guesses a URL could forge "
                f"sessions. Give the URL where the store is named, as in SessionManager('{scheme}:...'), and as "
                "the secret what `limpet keygen` prints"
            )
        if _IN_PLACE_OF_A_SECRET.fullmatch(_decoded(secret).strip()):
            raise ConfigurationError(
                f"{where} is given what str() or repr() makes of an object, such as {'*' * 10}, and anybody could "
                "forge sessions with that. Give the text of the secret, such as settings.secret.get_secret_value(), "
                "or the object itself"
            )
    elif isinstance(secret, (list, tuple, set, frozenset)):
        for each in secret:
            refuse_guessable(each, where)


def _store_in(text: str | bytes) -> str | None:
    """Return the scheme of a text that has the shape of a store's URL, in lower case."""
    found = _STORE_URL.match(_decoded(text).strip(_AROUND).strip())
    return None if found is None else (found["scheme"] or found["bare"]).lower()


def _decoded(text: str | bytes) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def generate_secret() -> str:
    """Return a good secret: 32 random bytes in base64url, 43 characters."""
    return urlsafe_b64encode(os.urandom(MIN_SECRET)).rstrip(b"=").decode("ascii")


class Key:
    """One secret of a keyring, perhaps with an end date. Its repr hides the secret.

    Args:
        secret: At least 32 random bytes; a string counts as its UTF-8 bytes. Or an object that hides it, see `shown`.
        until: From this time on the key opens nothing any more. It needs a time zone. None: as long as it is listed.

    Raises:
        ConfigurationError: The secret is empty, of another type or none at all (the URL of a store, asterisks), or the
            time has no zone.
    """

    __slots__ = ("secret", "until")

    def __init__(self, secret: str | bytes, *, until: datetime | None = None) -> None:
        self.secret: bytes = _bytes(shown(secret))
        self.until: datetime | None = until
        refuse_guessable(self.secret)
        if not self.secret.strip():
            raise WeakSecret(f"the secret is empty. {_CURE}")
        if until is not None and not _has_zone(until):
            raise ConfigurationError(
                f"until={until!r} is no time with a zone: give a datetime such as datetime(2030, 1, 31, tzinfo=UTC)"
            )

    def __repr__(self) -> str:
        return "Key(<hidden>)" if self.until is None else f"Key(<hidden>, until={self.until!r})"

    def __reduce__(self) -> str:
        raise TypeError("a Key holds a secret and is never pickled or copied: hand over the Key itself")


Secrets: TypeAlias = str | bytes | Key | Iterable[str | bytes | Key]
"""One secret, or several with the newest first."""


class DerivedKey(NamedTuple):
    """A key for one purpose and one name.

    Attributes:
        key_id: Four bytes that name the key inside a token; they say nothing about it.
        key: The 32 bytes themselves.
        until: When it stops opening anything, in milliseconds since 1970, or None.
    """

    key_id: bytes
    key: bytes
    until: int | None = None

    def __repr__(self) -> str:
        return f"DerivedKey(key_id={self.key_id.hex()!r}, <hidden>)"


class Keyring:
    """Secrets, newest first: the first one seals, all of them open.

    Args:
        secrets: One secret or several: ``str``, ``bytes`` or `Key`.
        allow_weak: Take a weak secret with one `LimpetWarning` instead of refusing it. For development only.

    Attributes:
        generation: Grows with every `replace`; what holds derived keys compares it and derives again.

    Raises:
        WeakSecret: A secret is empty, shorter than 32 bytes, repeated, a sequence, or a placeholder.
        ConfigurationError: There is none, one has an unknown type or is the URL of a store (with ``allow_weak`` too),
            or the newest has an end date.
    """

    __slots__ = ("_allow_weak", "_keys", "generation")

    def __init__(self, secrets: Secrets, *, allow_weak: bool = False) -> None:
        flag("allow_weak", allow_weak)
        self._allow_weak = allow_weak
        self._keys = _read(secrets, allow_weak)
        self.generation: int = 1

    @classmethod
    def from_env(
        cls, variable: str = "LIMPET_SECRET", *, environ: Mapping[str, str] | None = None, allow_weak: bool = False
    ) -> Keyring:
        """Return the secrets of an environment variable, separated by white space, newest first.

        Raises:
            ConfigurationError: The variable is not set or empty; or as for `Keyring`.
        """
        secrets = (os.environ if environ is None else environ).get(variable, "").split()
        if not secrets:
            raise ConfigurationError(f"{variable} is not set or empty. Make a secret with `limpet keygen` and set it")
        return cls(secrets, allow_weak=allow_weak)

    def replace(self, secrets: Secrets | Keyring) -> None:
        """Put other secrets in the place of these, without a restart: every sealer follows on its next use.

        Nothing changes if one of them is refused.

        Raises:
            ConfigurationError: As for `Keyring`.
        """
        self._keys = secrets._keys if isinstance(secrets, Keyring) else _read(secrets, self._allow_weak)
        self.generation += 1

    def derive(self, purpose: str, name: str) -> tuple[DerivedKey, ...]:
        """Return the keys for one purpose and one name, newest first.

        RFC 5869 without a salt; the info is a version tag, then purpose and name, each with its length in front.
        A key id is derived in the same way under another tag.
        """
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        def expand(secret: bytes, label: bytes, length: int) -> bytes:
            info = label + b"".join(len(part).to_bytes(4, "big") + part for part in (purpose.encode(), name.encode()))
            return HKDF(SHA256(), length, None, info).derive(secret)

        return tuple(
            DerivedKey(
                expand(key.secret, b"limpet:key-id:1", KEY_ID_BYTES),
                expand(key.secret, b"limpet:key:1", KEY_BYTES),
                None if key.until is None else math.floor(key.until.timestamp() * 1000),
            )
            for key in self._keys
        )

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"Keyring(<{len(self._keys)} hidden>)"

    def __reduce__(self) -> str:
        raise TypeError("a Keyring holds secrets and is never pickled or copied: hand over the Keyring itself")


def _read(secrets: Secrets, allow_weak: bool) -> tuple[Key, ...]:
    """Return the keys, checked; a secret that is listed twice counts where it stands first."""
    found: dict[bytes, Key] = {}
    for secret in _listed(shown(secrets)):
        text = shown(secret)
        if isinstance(text, str) and _are_joined(text):
            raise ConfigurationError(
                "the secret looks like several, joined by commas or the like, which would be one secret: give a list, "
                "newest first, as secret.split() makes one; LIMPET_SECRET alone is split at white space by itself. "
                "One secret with a comma or a space in it is Key(secret)"
            )
        key = secret if isinstance(secret, Key) else Key(secret)
        found.setdefault(key.secret, key)
    if not found:
        raise ConfigurationError(f"there is no secret in the list. {_CURE}")
    keys = tuple(found.values())
    if keys[0].until is not None:
        raise ConfigurationError(
            "the newest secret seals and so it cannot have an end date: put a new one without `until` in front of it"
        )
    problems = [(number, problem) for number, key in enumerate(keys, 1) if (problem := _weakness(key.secret))]
    if problems:
        sentence = "; ".join(f"secret {number} of {len(keys)} {problem}" for number, problem in problems)
        if not allow_weak:
            raise WeakSecret(f"{sentence}. {_CURE}")
        warnings.warn(f"{sentence}: whoever guesses it can forge sessions. {_CURE}", LimpetWarning, stacklevel=3)
    return keys


def _listed(secrets: object) -> Iterable[str | bytes | Key]:
    if isinstance(secrets, (str, bytes, Key)):
        return (secrets,)
    if not isinstance(secrets, Iterable):
        raise ConfigurationError(f"secrets are str, bytes or Key, one or a list, not {type(secrets).__name__}. {_CURE}")
    return cast("Iterable[str | bytes | Key]", secrets)


def _are_joined(text: str) -> bool:
    """Tell whether a text is a list of secrets with something between them: each part could be one."""
    parts = [part for part in _SEVERAL.split(text) if part]
    return all(len(part) >= MIN_SECRET for part in parts) and (len(parts) > 1 or text[-1:] in {",", ";", "|"})


def _bytes(secret: object) -> bytes:
    if isinstance(secret, str):
        return secret.encode("utf-8", "surrogateescape")  # as os.environ decodes what is not UTF-8
    if isinstance(secret, bytes):
        return secret
    raise ConfigurationError(f"a secret is a str or bytes, not {type(secret).__name__}. {_CURE}")


def _has_zone(until: object) -> bool:
    return isinstance(until, datetime) and until.utcoffset() is not None


def _weakness(secret: bytes) -> str | None:
    """Return what is wrong with a secret, without quoting it, or None.

    Random bytes, and random text of any usual alphabet, pass each test but with a negligible chance.
    """
    size = len(secret)
    if size < MIN_SECRET:
        return f"has {size} bytes and needs at least {MIN_SECRET}"
    if any(secret[period:] == secret[:-period] for period in range(1, _MIN_PERIOD)):
        return "repeats itself"
    if 2 * sum(abs(a - b) <= 1 for a, b in pairwise(secret)) > size:
        return "is a sequence"
    bits = sum(count * math.log2(size / count) for count in Counter(secret).values())
    if bits < _MIN_BITS:
        return "has too few different characters"
    if _PLACEHOLDERS.search(re.sub(r"[^a-z]", "", secret.decode("latin-1").lower())):
        return "looks like a placeholder"
    return None
