"""`Issuer`: who may end sessions, how it is known, and whom it means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from limpet._checks import flag
from limpet.errors import ConfigurationError

__all__ = ["Channel", "Issuer", "Jwks", "Keys", "SubjectId"]

Channel: TypeAlias = Literal["back-channel", "front-channel", "events", "revocation"]
"""One of the ways in; each is the last part of a path."""
Jwks: TypeAlias = Mapping[str, Any]
"""A JSON Web Key Set (RFC 7517, section 5): ``{"keys": [...]}``."""
Keys: TypeAlias = Jwks | Callable[[], Jwks | Awaitable[Jwks]]
SubjectId: TypeAlias = Mapping[str, Any]
"""A subject identifier (RFC 9493): a ``format`` and what belongs to it."""
Subjects: TypeAlias = str | Iterable[str] | None

CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)
ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"}
)
"""Signatures with a key pair. What is signed with a shared secret is signed by anybody who has the public key of a pair
that is taken for one: RFC 8725, sections 2.1 and 3.1."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Somebody who may end sessions: an OpenID provider, a transmitter of security events.

    Attributes:
        issuer: What its tokens say in ``iss``, to the letter.
        audience: What they say in ``aud``: your ``client_id`` there, or what was agreed on. Several: any of them.
        keys: Its public keys, as a JSON Web Key Set, or a function that fetches them, such as from its ``jwks_uri``; it
            may be a coroutine function where an ASGI application is served. What it returns is kept for an hour, and it
            is asked again for a key that is not known, every ten seconds at most.
        accepts: By which ways it may.
        sid_tag: The tag that `Session.login` was given with the provider's ``sid``, as in
            ``login(sub, tags={"oidc_sid": sid})``. None: logins carry none, and all sessions of the subject end.
        subject: Returns whose sessions an identifier (RFC 9493) means: a subject, several, or None for nobody. It may
            be a coroutine function where an ASGI application is served. None: the ``sub`` that this issuer gives, and
            opaque identifiers, are subjects here.
        algorithms: Those that its signatures may have.
        leeway: By how much its clock may differ.
        max_age: Tokens that are older are refused; so long is remembered which were used.
        untyped: Take logout tokens without a ``typ``, or with ``JWT``, too. Then their claims alone tell them from
            other tokens.
        authorization: The value of the ``Authorization`` header that it sends with events that it pushes, and with
            revocations in place of a signed token.
        decrypt_with: Your private keys, as a JSON Web Key Set, where it encrypts its tokens for you; several while you
            change them. What is inside has to be signed all the same. None: it encrypts none.

    Raises:
        ConfigurationError: A setting cannot work; the message names the cure.
    """

    issuer: str
    audience: str | tuple[str, ...]
    keys: Keys
    accepts: tuple[Channel, ...] = ("back-channel",)
    sid_tag: str | None = "oidc_sid"
    subject: Callable[[SubjectId], Subjects | Awaitable[Subjects]] | None = None
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "Ed25519")
    leeway: timedelta = timedelta(minutes=1)
    max_age: timedelta = timedelta(days=7)
    untyped: bool = False
    authorization: str | None = None
    decrypt_with: Jwks | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.issuer, str) or not self.issuer:
            raise ConfigurationError(f"issuer={self.issuer!r} is no text: give what the tokens say in iss")
        audience = (self.audience,) if isinstance(self.audience, str) else tuple(self.audience)
        object.__setattr__(self, "audience", audience)
        if not audience or not all(isinstance(each, str) and each for each in audience):
            raise ConfigurationError(f"audience={self.audience!r} names nobody: give your client_id at {self.issuer}")
        if not isinstance(self.keys, Mapping) and not callable(self.keys):
            raise ConfigurationError('keys is neither a key set, {"keys": [...]}, nor a function that returns one')
        _check_names("accepts", self.accepts, CHANNELS)
        _check_names("algorithms", self.algorithms, sorted(ALGORITHMS))
        if "front-channel" in self.accepts and self.sid_tag is None:
            raise ConfigurationError("front-channel logout names a session by its sid alone: give sid_tag")
        flag("untyped", self.untyped)
        if not isinstance(self.leeway, timedelta) or not timedelta(0) <= self.leeway <= timedelta(minutes=10):
            raise ConfigurationError(f"leeway={self.leeway!r}: give a timedelta of at most ten minutes")
        if not isinstance(self.max_age, timedelta) or not timedelta(minutes=1) <= self.max_age <= timedelta(days=60):
            raise ConfigurationError(f"max_age={self.max_age!r}: give a timedelta of a minute to 60 days")
        if self.authorization is not None and not self.authorization.strip():
            raise ConfigurationError("authorization is empty: give the header's value, or None")

    @property
    def audiences(self) -> tuple[str, ...]:
        """Whom its tokens may be for."""
        return cast("tuple[str, ...]", self.audience)


def _check_names(setting: str, given: object, known: Sequence[str]) -> None:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError(f"{setting}={given!r} is no tuple: write {setting}=({given!r},)")
    names = list(cast("Iterable[object]", given))
    for name in names:
        if name not in known:
            raise ConfigurationError(f"{setting} has {name!r}, which is none of: {', '.join(known)}")
    if not names:
        raise ConfigurationError(f"{setting} is empty: give some of {', '.join(known)}")
