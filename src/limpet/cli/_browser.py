"""Why a browser would not keep a cookie, or not send it back. Pure functions over its attributes and two addresses.

Sources: draft-ietf-httpbis-rfc6265bis, sections 4.1.3 (prefixes), 5.2 (same-site), 5.6 and 5.7 (what is dropped);
CHIPS (Partitioned). Which domains are public suffixes (co.uk) is not known here, and said where it matters.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import SplitResult, urlsplit

from limpet._cookies import MAX_COOKIE
from limpet.cli._findings import Finding, fine, fix, note
from limpet.policy import TOKEN, CookiePolicy

__all__ = ["Attributes", "explain", "of_policy", "parse_set_cookie"]

_SECURE_PREFIXES: Final = ("__secure-", "__host-", "__http-")  # in any case, as browsers read them
_ID: Final = "x" * 87  # as long as a signed id


@dataclass(frozen=True, kw_only=True, slots=True)
class Attributes:
    """What a Set-Cookie line says.

    Attributes:
        name: The cookie's name.
        size: Bytes of name and value. The value itself is not kept.
        domain: The attribute without a leading dot, or None.
        path: The attribute, or None: then browsers use the folder of the address.
        secure: Whether it is Secure.
        http_only: Whether it is HttpOnly.
        same_site: ``lax``, ``strict``, ``none``, or None when the line does not say.
        partitioned: Whether it is Partitioned.
        ended: Its lifetime is over: the line deletes the cookie.
    """

    name: str
    size: int = 0
    domain: str | None = None
    path: str | None = None
    secure: bool = False
    http_only: bool = False
    same_site: str | None = None
    partitioned: bool = False
    ended: bool = False

    def __str__(self) -> str:
        said = [self.name]
        said += ["Secure"] * self.secure + ["HttpOnly"] * self.http_only
        said += [f"SameSite={self.same_site.title()}"] if self.same_site else []
        said += [f"Domain={self.domain}"] if self.domain else []
        said += [f"Path={self.path}"] if self.path else []
        return "; ".join(said + ["Partitioned"] * self.partitioned)


def of_policy(policy: CookiePolicy, name: str) -> Attributes:
    """Return what the application's own Set-Cookie lines say."""
    return Attributes(
        name=name,
        size=len(name) + len(_ID),
        domain=policy.domain,
        path=policy.path,
        secure=policy.secure,
        http_only=policy.http_only,
        same_site=policy.same_site,
        partitioned=policy.partitioned,
    )


def parse_set_cookie(line: str, now: datetime | None = None) -> Attributes:
    """Return what a Set-Cookie line says, as browsers read it: the last of each attribute counts (RFC 6265, 5.2).

    Raises:
        ValueError: It has no cookie name; the message does not quote it.
    """
    if line.lower().startswith("set-cookie:"):
        line = line[len("set-cookie:") :]
    pair, *rest = line.split(";")
    name, equals, value = (part.strip(" \t") for part in pair.partition("="))
    if not equals or not TOKEN.fullmatch(name):
        raise ValueError("it begins with the cookie's name and `=`, such as `session=x; Path=/; Secure`")
    found = Attributes(name=name, size=len(name.encode()) + len(value.encode()))
    max_age: bool | None = None
    expired: bool | None = None
    for attribute in rest:
        key, _, value = (part.strip(" \t") for part in attribute.partition("="))
        match key.lower():
            case "domain" if value:
                found = replace(found, domain=value.removeprefix(".").lower())
            case "path":
                found = replace(found, path=value if value.startswith("/") else None)
            case "secure":
                found = replace(found, secure=True)
            case "httponly":
                found = replace(found, http_only=True)
            case "partitioned":
                found = replace(found, partitioned=True)
            case "samesite":
                found = replace(found, same_site=value.lower() if value.lower() in ("lax", "strict", "none") else None)
            case "max-age" if value.removeprefix("-").isdecimal():
                max_age = int(value) <= 0
            case "expires":
                expired = _past(value, now or datetime.now(UTC))
            case _:
                pass
    return replace(found, ended=bool(expired) if max_age is None else max_age)


def explain(cookie: Attributes, url: str | None, page: str | None, *, dev: bool) -> Iterator[Finding]:
    """Yield every reason why the cookie would not come back, or one sentence that it would.

    Args:
        cookie: What is set.
        url: Where the application is reached; None: look at the attributes alone.
        page: The page whose script, form or frame makes the request; None: the application's own.
        dev: Whether the application runs in development mode.
    """
    found = list(_dropped(cookie))
    if url is not None:
        target = urlsplit(url)
        found += _refused(cookie, target, dev)
        found += _withheld(cookie, target, urlsplit(page) if page else None)
    yield from found
    if url is not None and all(finding.level != "fix" for finding in found):
        yield fine("browser", f"a browser keeps {cookie.name} from {_origin(urlsplit(url))} and sends it back")


def _dropped(cookie: Attributes) -> Iterator[Finding]:
    """What browsers drop wherever it comes from."""
    lower = cookie.name.lower()
    prefix = next((cookie.name[: len(each)] for each in _SECURE_PREFIXES if lower.startswith(each)), "")
    if not cookie.secure:
        for reason in (
            f"its name begins with {prefix}" if prefix else "",
            "it has SameSite=None" if cookie.same_site == "none" else "",
            "it is Partitioned" if cookie.partitioned else "",
        ):
            if reason:
                yield fix(
                    "cookie",
                    f"browsers drop {cookie.name}: {reason}, and it is not Secure; add Secure and serve it over https",
                )
    if lower.startswith("__host-"):
        if cookie.domain:
            yield fix(
                "cookie",
                f"browsers drop {cookie.name}: a {prefix} name has no Domain, and this one has {cookie.domain}; leave "
                "Domain out, or use a __Secure- name to share it with subdomains",
            )
        if cookie.path != "/":
            yield fix("cookie", f"browsers drop {cookie.name}: a {prefix} name needs Path=/; say so")
    if lower.startswith(("__http-", "__host-http-")) and not cookie.http_only:
        yield fix("cookie", f"browsers drop {cookie.name}: its prefix needs HttpOnly; add it")
    if cookie.size > MAX_COOKIE:
        yield fix(
            "cookie",
            f"browsers drop {cookie.name} in silence: name and value have {cookie.size:,} bytes and the limit is "
            f"{MAX_COOKIE:,}; keep less in it, or keep the session in a server-side store",
        )
    if cookie.ended:
        yield fix(
            "cookie", f"this line deletes {cookie.name}: its Max-Age or Expires is over; it is what a logout sends"
        )
    if not cookie.http_only:
        yield note("cookie", f"scripts can read {cookie.name}: add HttpOnly, unless a script of yours has to")


def _refused(cookie: Attributes, target: SplitResult, dev: bool) -> Iterator[Finding]:
    """What browsers do not keep from this address."""
    host, secure = target.hostname or "", target.scheme == "https"
    if cookie.secure and not secure:
        if _is_local(host):
            yield note(
                "browser",
                f"{cookie.name} is Secure and {_origin(target)} is plain http: {_lenient(host)} make "
                "an exception for this host, Safari and test clients do not; LIMPET_DEV=1 works with all of them",
            )
        else:
            yield fix(
                "browser",
                f"{cookie.name} is Secure and {_origin(target)} is plain http, so browsers drop it: serve the "
                "application "
                "over https (behind a proxy, what counts is the address that the browser sees), or set "
                "LIMPET_DEV=1 while developing",
            )
    if dev and not _is_local(host):
        yield fix(
            "browser",
            f"development mode is on and {host} is not this machine: anybody on the way can read the cookie; "
            "unset LIMPET_DEV",
        )
    if cookie.domain and cookie.domain != host:
        if _is_address(host) or not host.endswith(f".{cookie.domain}"):
            yield fix(
                "browser",
                f"{cookie.name} has Domain={cookie.domain}, which {host} does not belong to, so browsers drop it: "
                "leave Domain out",
            )
        elif "." not in cookie.domain:
            yield fix(
                "browser",
                f"browsers drop {cookie.name}: Domain={cookie.domain} is a whole top-level domain; leave Domain out",
            )


def _withheld(cookie: Attributes, target: SplitResult, page: SplitResult | None) -> Iterator[Finding]:
    """What browsers keep and do not send with a request from this page to this address."""
    path, asked = cookie.path or "/", target.path or "/"
    if asked != path and not asked.startswith(path.rstrip("/") + "/"):
        yield fix(
            "browser",
            f"{cookie.name} has Path={path} and is not sent to {asked}: set Path=/ (a mounted application sees "
            "another path than the browser)",
        )
    if page is None:
        return
    if (page.scheme, page.netloc.lower()) != (target.scheme, target.netloc.lower()):
        yield note(
            "browser",
            f"{_origin(page)} and {_origin(target)} are two origins: a script has to fetch with credentials: "
            "'include', and the "
            "application has to answer with Access-Control-Allow-Credentials: true and "
            f"Access-Control-Allow-Origin: {_origin(page)}",
        )
    reason, certain = _cross_site(page, target)
    if not reason:
        return
    if not certain:
        yield note("browser", reason)
        return
    if cookie.same_site == "none":
        if not cookie.partitioned:
            yield note(
                "browser",
                f"{reason}; {cookie.name} has SameSite=None, and browsers that block third-party cookies still "
                "withhold it: "
                "add Partitioned, or ask for access with the Storage Access API",
            )
        return
    said = f"SameSite={cookie.same_site.title()}" if cookie.same_site else "no SameSite, which counts as Lax"
    yield fix(
        "browser",
        f"{reason}; {cookie.name} has {said}, so it is not sent with fetches, frames and forms from that page: "
        "serve both from "
        "one site, or set SameSite=None with Secure (and Partitioned for frames), and protect forms against "
        "forgery yourself",
    )


def _cross_site(page: SplitResult, target: SplitResult) -> tuple[str, bool]:
    """Return why the page is of another site, and whether that is certain; an empty reason when it is of the "
    "same site."""
    mine, theirs = page.hostname or "", target.hostname or ""
    if page.scheme != target.scheme:
        return (
            f"one is http and the other https, which makes {_origin(page)} and {_origin(target)} two sites",
            True,
        )
    if mine == theirs or mine.endswith(f".{theirs}") or theirs.endswith(f".{mine}"):
        return "", True
    if {mine, theirs} <= {"localhost", "127.0.0.1", "::1"}:
        return f"{mine} and {theirs} are the same machine and two sites: use one of the two names everywhere", True
    ends = [".".join(host.split(".")[-2:]) for host in (mine, theirs)]
    if ends[0] != ends[1] or _is_address(mine) or _is_address(theirs):
        return f"{mine} and {theirs} are two sites", True
    return (
        f"{mine} and {theirs} are one site, unless {ends[0]} is a public suffix like co.uk or github.io: then "
        "they are two, "
        "and SameSite=Lax or Strict keeps the cookie back"
    ), False


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _lenient(host: str) -> str:
    """Return what keeps a Secure cookie of this machine over plain http; curl does so for three names only."""
    curl = host in ("localhost", "127.0.0.1", "::1")
    return "Chromium, Firefox and recent versions of curl" if curl else "Chromium and Firefox"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _origin(address: SplitResult) -> str:
    return f"{address.scheme}://{address.netloc.rpartition('@')[2]}"


def _past(value: str, now: datetime) -> bool | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) <= now
