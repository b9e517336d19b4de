"""Whom a message means: a session of the provider's, or subjects (RFC 9493)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from limpet.errors import ConfigurationError
from limpet.signout._issuers import Issuer, SubjectId
from limpet.signout._keys import ask
from limpet.signout._names import is_name
from limpet.signout._refused import Refused

__all__ = ["ENDING", "Meant", "ends", "of_identifier", "of_logout", "session_of"]

_RULE: Final = "RFC 9493, section 3"
_CAEP: Final = "https://schemas.openid.net/secevent/caep/event-type/"
_RISC: Final = "https://schemas.openid.net/secevent/risc/event-type/"
SESSION_REVOKED: Final = f"{_CAEP}session-revoked"
CREDENTIAL_CHANGE: Final = f"{_CAEP}credential-change"
ENDING: Final = frozenset(
    {
        SESSION_REVOKED,
        CREDENTIAL_CHANGE,
        f"{_RISC}account-disabled",
        f"{_RISC}account-purged",
        f"{_RISC}account-credential-change-required",
        f"{_RISC}credential-compromise",
        f"{_RISC}sessions-revoked",
    }
)
"""Events that end sessions; others are taken and end nothing."""
_CHANGES: Final = frozenset({"create", "revoke", "update", "delete"})
_DEEPEST: Final = 20  # identifiers in one


class Meant(NamedTuple):
    """Whose sessions are to end.

    Attributes:
        sid: The provider's session; None: all of the subjects.
        subjects: Those of whom all sessions end.
    """

    sid: str | None = None
    subjects: tuple[str, ...] = ()


async def of_logout(issuer: Issuer, claims: Mapping[str, Any]) -> Meant:
    """Return whom a logout token means: one session where it names that, else all of a subject.

    Source: OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.7.
    """
    if issuer.sid_tag is not None and "sid" in claims:
        return Meant(sid=claims["sid"])
    return await of_identifier(issuer, {"format": "iss_sub", "iss": issuer.issuer, "sub": claims["sub"]})


def ends(event: str, payload: Mapping[str, Any]) -> bool:
    """Tell whether an event ends sessions. A credential that somebody adds ends none.

    Raises:
        Refused: It says too little.

    Source: CAEP 1.0, section 3.3.1 (``change_type``).
    """
    if event != CREDENTIAL_CHANGE:
        return event in ENDING
    change = payload.get("change_type")
    if not isinstance(change, str) or change not in _CHANGES:
        raise Refused("invalid_request", "it does not say how the credential changed", "CAEP 1.0, section 3.3.1")
    return change != "create"


def session_of(event: str, identifier: SubjectId) -> str | None:
    """Return the provider's session that an event is about, or None.

    Source: CAEP 1.0, section 3.1: an identifier that is opaque is a session's there, and a complex one may name one.
    """
    if event != SESSION_REVOKED:
        return None
    named: Any = identifier.get("session") if identifier.get("format") == "complex" else identifier
    return _text(named, "id") if isinstance(named, Mapping) and named.get("format") == "opaque" else None


async def of_identifier(issuer: Issuer, identifier: object) -> Meant:
    """Return the subjects that an identifier means.

    Raises:
        Refused: It is none, or of a format that this application does not know.
        ConfigurationError: The application's function has returned what is no subject.
    """
    if not isinstance(identifier, Mapping) or not isinstance(identifier.get("format"), str):
        raise Refused("invalid_request", "it has no subject identifier", _RULE)
    kind = identifier["format"]
    if kind == "complex":  # Shared Signals Framework 1.0, section 3.3: of simple ones
        user = identifier.get("user")
        if isinstance(user, Mapping) and user.get("format") == "complex":
            raise Refused("invalid_request", "its user is no simple subject", "Shared Signals 1.0, section 3.3")
        return await of_identifier(issuer, user)
    if kind == "aliases":
        listed = identifier.get("identifiers")
        if not isinstance(listed, list) or not 0 < len(listed) <= _DEEPEST:
            raise Refused("invalid_request", "its aliases are none", "RFC 9493, section 3.2.8")
        if not all(isinstance(each, Mapping) and isinstance(each.get("format"), str) for each in listed):
            raise Refused("invalid_request", "its aliases are no identifiers", "RFC 9493, section 3.2.8")
        if any(each["format"] == "aliases" for each in listed):
            raise Refused("invalid_request", "its aliases are aliases", "RFC 9493, section 3.2.8")
        found = [subject for each in listed for subject in await _resolved(issuer, each, alias=True)]
        return Meant(subjects=tuple(dict.fromkeys(found)))
    return Meant(subjects=await _resolved(issuer, identifier))


async def _resolved(issuer: Issuer, identifier: SubjectId, *, alias: bool = False) -> tuple[str, ...]:
    if issuer.subject is not None:
        return _names(issuer, await ask(issuer.subject, identifier))
    kind = identifier["format"]
    if kind == "opaque":
        return (_text(identifier, "id"),)
    if kind == "iss_sub":
        named, sub = _text(identifier, "iss"), _text(identifier, "sub")
        return (sub,) if named == issuer.issuer else ()  # a sub is one's own within its issuer alone
    if alias:
        return ()
    raise Refused("invalid_request", "this format of subject identifiers is not known here", _RULE)


def _names(issuer: Issuer, answer: object) -> tuple[str, ...]:
    """Return the subjects that an application's function has named: a number for one would end nothing, unnoticed."""
    found: Sequence[object]
    if isinstance(answer, Iterable) and not isinstance(answer, (str, bytes)):
        found = list(cast("Iterable[object]", answer))
    else:
        found = [] if answer is None else [answer]
    names = tuple(name for name in found if isinstance(name, str) and name)
    if len(names) < len(found):
        wrong = next(type(name).__name__ for name in found if not isinstance(name, str) or not name)
        raise ConfigurationError(
            f"the subject function of {issuer.issuer} has returned what is no subject (of the type {wrong}): return "
            "the text that logins were given, several of them, or None for nobody"
        )
    return names


def _text(identifier: SubjectId, name: str) -> str:
    value = identifier.get(name)
    if not is_name(value):
        raise Refused("invalid_request", f"its subject identifier has no {name}", _RULE)
    return value
