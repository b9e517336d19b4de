"""What a token has to say, kind by kind. Pure: claims and a time in, an error out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from limpet.signout._issuers import Issuer
from limpet.signout._names import LONGEST, is_name
from limpet.signout._refused import Code, Refused
from limpet.signout._tokens import Token

__all__ = ["LOGOUT_EVENT", "check_bearer", "check_event", "check_logout", "used_until"]

LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


def check_logout(token: Token, now: int) -> None:
    """Refuse what is no logout token, or is none for now.

    Args:
        token: Its signature is its issuer's.
        now: Milliseconds since 1970.

    Raises:
        Refused: It is.

    Source: OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6; OpenID Connect Core 1.0, section 3.1.3.7.
    """
    rule, claims, issuer = "Back-Channel Logout 1.0, section 2.6", token.claims, token.issuer
    audience = _audience(claims)
    if not set(audience) <= set(issuer.audiences):  # nobody else is trusted with the same token
        raise Refused("invalid_audience", "it is for somebody else", "OpenID Connect Core 1.0, section 3.1.3.7")
    _check_times(claims, issuer, now, rule, expires=True)
    _check_name(claims, "jti", "Back-Channel Logout 1.0, section 2.4")
    events = claims.get("events")
    if not isinstance(events, Mapping) or not isinstance(events.get(LOGOUT_EVENT), Mapping):
        raise Refused("invalid_request", "its events are not those of a logout", rule)
    if "nonce" in claims:
        raise Refused("invalid_request", "it has a nonce, as an ID token has", rule)
    named = [name for name in ("sid", "sub") if name in claims]
    for name in named:
        _check_name(claims, name, rule)
    if not named or (issuer.sid_tag is None and "sub" not in claims):
        raise Refused("invalid_request", "it names neither a session nor a subject", rule)


def check_event(token: Token, now: int) -> Mapping[str, Mapping[str, Any]]:
    """Refuse what is no security event token, or is none for now; return its events.

    Raises:
        Refused: It is.

    Source: RFC 8417, sections 2.2 and 4; Shared Signals Framework 1.0, section 4.1.
    """
    rule, claims, issuer = "RFC 8417, section 2.2", token.claims, token.issuer
    if not set(_audience(claims)) & set(issuer.audiences):
        raise Refused("invalid_audience", "it is for somebody else", rule)
    for name in ("sub", "exp"):
        if name in claims:
            raise Refused(
                "invalid_request", f"it has {name}, as other tokens have", "Shared Signals 1.0, section 4.1.3"
            )
    _check_times(claims, issuer, now, rule, expires=False)
    _check_name(claims, "jti", rule)
    events = claims.get("events")
    if not isinstance(events, Mapping) or not events or not all(isinstance(each, Mapping) for each in events.values()):
        raise Refused("invalid_request", "its events are no events", rule)
    return events


def check_bearer(token: Token, now: int) -> None:
    """Refuse what does not authenticate a request to revoke.

    Raises:
        Refused: It does not.

    Source: RFC 7523, section 3.
    """
    rule, claims, issuer = "RFC 7523, section 3", token.claims, token.issuer
    if not set(_audience(claims, "authentication_failed")) & set(issuer.audiences):
        raise Refused("authentication_failed", "it is for somebody else", rule)
    _check_times(claims, issuer, now, rule, expires=True)
    _check_name(claims, "jti", rule)


def used_until(token: Token) -> int:
    """Return until when a token would be accepted once more, in milliseconds since 1970."""
    issuer, claims = token.issuer, token.claims
    ends: list[float] = [claims["iat"] + issuer.max_age.total_seconds()]
    if "exp" in claims:
        ends.append(claims["exp"])
    return round((min(ends) + issuer.leeway.total_seconds()) * 1000)


def _audience(claims: Mapping[str, Any], code: Code = "invalid_audience") -> list[str]:
    said = claims.get("aud")
    audience = [said] if isinstance(said, str) else said
    if not isinstance(audience, list) or not audience or not all(isinstance(each, str) for each in audience):
        raise Refused(code, "it is for nobody", "RFC 7519, section 4.1.3")
    return audience


def _check_times(claims: Mapping[str, Any], issuer: Issuer, now: int, rule: str, *, expires: bool) -> None:
    leeway, seconds = issuer.leeway.total_seconds(), now / 1000
    for name in ("iat", *(["exp"] if expires else []), *(["nbf"] if "nbf" in claims else [])):
        value = claims.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e12:
            raise Refused("invalid_request", f"its {name} is no time", rule)
    if claims["iat"] > seconds + leeway or claims.get("nbf", 0) > seconds + leeway:
        raise Refused("invalid_request", "it is from the future", rule)
    if claims["iat"] <= seconds - leeway - issuer.max_age.total_seconds():
        raise Refused("invalid_request", "it is too old", rule)
    if expires and claims["exp"] <= seconds - leeway:
        raise Refused("invalid_request", "it has expired", rule)


def _check_name(claims: Mapping[str, Any], name: str, rule: str) -> None:
    if not is_name(claims.get(name)):
        raise Refused("invalid_request", f"its {name} is no text of at most {LONGEST} characters", rule)
