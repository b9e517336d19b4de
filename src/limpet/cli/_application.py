"""``limpet doctor --app module:manager``: what the settings that an application gives in code come to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from limpet import SessionManager
from limpet._wire.marks import TOMBSTONE_LIFE
from limpet.cli._browser import Attributes, of_policy, parse_set_cookie
from limpet.cli._findings import Finding, fine, fix, note
from limpet.contract import ClientStore, supports

__all__ = ["check_settings", "cookie_of"]

_DAY = 86_400_000
_LONGEST = 400 * _DAY
"""How long a browser keeps a cookie at most.

Source: RFC 6265bis, section 5.6 (the Max-Age attribute).
"""
_RENEWED_AHEAD = 180_000  # milliseconds
_CROWD = 100  # ids that one session leaves in the store at once, over which it is worth a word


def cookie_of(manager: SessionManager) -> Attributes:
    """Return the cookie that browsers get: the manager's, or that of a framework which sends it by its own settings."""
    example = getattr(manager.engine.transport, "example", None)
    return of_policy(manager.cookie, manager.cookie_name) if example is None else parse_set_cookie(example())


def check_settings(manager: SessionManager) -> Iterator[Finding]:
    """Yield what is to be said of the settings that were given in code."""
    cookie = cookie_of(manager)
    production = "production: cookies are Secure" if cookie.secure else "production"
    yield fine("mode", "development: cookies without Secure" if manager.dev else production)
    yield from _secret(manager)
    yield from _moving(manager)
    yield from _deadlines(manager)
    yield from _cookie(manager, cookie)
    yield from _device(manager, cookie)


def _secret(manager: SessionManager) -> Iterator[Finding]:
    if manager.keyring is not None:
        count = len(manager.keyring)
        more = "" if count == 1 else f"; {count} are listed, the first one signs and encrypts, all of them are accepted"
        yield fine("secret", f"the application has a secret{more}")
    elif hasattr(manager.engine.transport, "example"):
        yield fine("secret", "none is set, and none is needed: ids are the framework's, and not signed")
    else:
        yield note(
            "secret",
            "the application has no secret: ids are not signed, so a made-up cookie costs a read. Give "
            "it one and set LIMPET_UNSIGNED_UNTIL with it, and users stay logged in until that day",
        )


def _moving(manager: SessionManager) -> Iterator[Finding]:
    for importer in manager.engine.importers:
        day = datetime.fromtimestamp(importer.until / 1000, UTC).date()
        if manager.clock() < importer.until:
            yield fine("importer", f"sessions of {importer.origin} are taken over until {day}")
        else:
            yield note(
                "importer",
                f"sessions of {importer.origin} are not read since {day}: choose a later end date, or take the "
                "importer out and forget the old secret",
            )


def _deadlines(manager: SessionManager) -> Iterator[Finding]:
    policy = manager.policy
    spans = {"idle_timeout": policy.idle_ms, "absolute_timeout": policy.absolute_ms}
    endless = [name for name, span in spans.items() if span is None]
    if len(endless) == len(spans):
        yield fix("policy", "idle_timeout and absolute_timeout are None: a stolen cookie works for ever; set one")
    elif endless:
        yield note("policy", f"{endless[0]} is None: OWASP asks for both an idle and an absolute timeout")
    else:
        said = ", ".join(f"{name} {_said(span)}" for name, span in spans.items() if span is not None)
        yield fine("policy", said)
    if policy.remember_ms is not None and policy.remember_ms > _LONGEST:
        yield note("policy", f"remember is {_said(policy.remember_ms)}, and browsers keep a cookie for 400 days")
    if policy.on_load_error == "anonymous":
        yield note("policy", 'on_load_error="anonymous": while the store is down, everybody looks logged out')
    interval, grace = policy.renewal_interval_ms, policy.renewal_grace_ms
    if interval is not None:
        left = -(-(grace + TOMBSTONE_LIFE) // interval)
        level = note if left > _CROWD else fine
        yield level("policy", f"ids are renewed each {_said(interval)}: a busy session has up to {left + 1:,} records")
    if supports(manager.store, ClientStore) and manager.engine.revocation is None:
        yield note("policy", "cookie sessions without revocation: a copy of a cookie outlives the logout")


def _cookie(manager: SessionManager, cookie: Attributes) -> Iterator[Finding]:
    names = getattr(manager.engine.transport, "settings", {})
    secure, http_only, domain = (names.get(each, each) for each in ("secure", "http_only", "domain"))
    if not manager.dev and not cookie.secure:
        yield fix("cookie", f"{secure}=False in production: the cookie travels in the clear; set {secure}=True")
    if not cookie.http_only:
        yield fix(
            "cookie", f"{http_only}=False: a script that got into a page can read the cookie; set {http_only}=True"
        )
    if cookie.domain is not None:
        yield note("cookie", f"{domain}={cookie.domain!r}: every host below it gets the cookie and can set another one")


def _device(manager: SessionManager, cookie: Attributes) -> Iterator[Finding]:
    """Yield what is to be said of sessions that are bound to devices."""
    guard = manager.guard
    if guard is None:
        return
    policy = guard.policy
    who = "logins" if policy.logins == "all" else "some logins"
    yield fine("device", f"{who} are bound to their device, where browsers can; a proof lasts {_said(policy.proof_ms)}")
    if policy.required:
        yield note("device", "required=True: a login in a browser that cannot bind ends after a minute or two")
    if policy.proof_ms < _RENEWED_AHEAD:
        yield note(
            "device",
            f"proof_lasts is {_said(policy.proof_ms)}: Chromium renews a proof that has under two minutes left with "
            "each page, and stops after some six signatures; five minutes or more are better",
        )
    if policy.skipped_ms:
        yield note(
            "device",
            f"skipped_grace: a browser that says it skipped a proof is served for {_said(policy.skipped_ms)} more",
        )
    path = (cookie.path or "/").rstrip("/")
    if path and not policy.path.startswith(f"{path}/"):
        yield note(
            "device",
            f"browsers register at {policy.path} below the application's mount, and the cookie is for {path}: that "
            "works where the application is mounted there, else set BoundPolicy(path=...)",
        )


def _said(milliseconds: int) -> str:
    for size, unit in ((_DAY, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if milliseconds >= size and milliseconds % size == 0:
            return f"{milliseconds // size:,} {unit}"
    return f"{milliseconds:,} ms"
