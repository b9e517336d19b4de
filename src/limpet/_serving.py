"""What every middleware does alike, whatever protocol a request came by."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from limpet import _token_headers as token_headers
from limpet._core.state import READ_ONLY, Legacy, SessionState
from limpet.errors import ConfigurationError, LimpetWarning
from limpet.protocols import Header
from limpet.transports.cookie import CookieTransport

if TYPE_CHECKING:
    from limpet._core.engine import Engine

__all__ = [
    "SAFE",
    "TEST_HOSTS",
    "SAME_PATHS",
    "TWICE",
    "as_mount",
    "as_text",
    "comes_from_elsewhere",
    "hand_out",
    "no_session",
    "path_patterns",
    "share_a_cookie",
    "share_device_paths",
    "spare_device_paths",
    "warn_about_http",
]

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that ask for nothing to be done. RFC 9110, section 9.2.1."""
TEST_HOSTS: Final = frozenset({"testserver", "test", "testserver.local"})
"""What test clients call the server."""
TWICE: Final = (
    "two session managers of one application use the cookie %r and would overwrite each other's: the middleware that "
    "was added last serves, this one steps aside. To have both, give one of them a label, such as "
    "SessionManager(..., label='admin')"
)
SAME_PATHS: Final = (
    "two session managers of one application bind sessions to devices at %s, and browsers reach there only the one "
    "whose middleware was added last: give one of them a label, such as SessionManager(..., label='admin')"
)


def no_session(missing: str, others: Collection[object]) -> ConfigurationError:
    """Return the error of a request that lacks the session which was asked for.

    Args:
        missing: What to do where there is no middleware for it.
        others: The sessions of other managers that the request has. If there are any, the middleware may be there and
            have stepped aside, since both use one cookie.
    """
    if not others:
        return ConfigurationError(f"this request has no session: {missing}")
    return ConfigurationError(
        "this request has a session of another manager, and not the one that is asked for. If the two use one cookie, "
        f"give one of them a label, such as SessionManager(..., label='admin'); else {missing}"
    )


def as_mount(path: str | None) -> str:
    """Return the path under which an application is mounted as a URL has it; empty: it is not mounted.

    Args:
        path: As a server says it, decoded: ``root_path`` of ASGI, or ``SCRIPT_NAME`` of WSGI as text.
    """
    return quote(path.rstrip("/")) if path else ""


def as_text(headers: Iterable[Header]) -> list[tuple[str, str]]:
    """Return response headers as frameworks that speak text take them."""
    return [(name.decode("latin-1").title(), value.decode("latin-1")) for name, value in headers]


def comes_from_elsewhere(site: bytes | None, origin: bytes | None, host: bytes) -> bool:
    """Tell whether a browser says that another site's page sent a request; programs that are no browsers say nothing.

    Args:
        site: The header ``Sec-Fetch-Site``.
        origin: The header ``Origin``.
        host: The header ``Host``.

    Source: W3C Fetch Metadata Request Headers, section 2.4.
    """
    if site is not None:
        return site == b"cross-site"
    return origin is not None and _host(origin.partition(b"://")[2]) != _host(host)


def _host(authority: bytes) -> bytes:
    """Return the host of an authority, without its port: cookies do not separate ports."""
    host, colon, port = authority.rpartition(b":")
    return (host if colon and port.isdigit() else authority).lower()


def hand_out(engine: Engine, state: SessionState) -> list[Header]:
    """Return the headers that hand out or take back tokens, this manager's first; once, as the response starts."""
    tokens: list[Header] = [] if state.out is None else token_headers.headers(engine, state)
    if state.flags & READ_ONLY:
        tokens = []
    if state.legacy is not None:
        tokens += _leftovers(state.legacy, tokens)
    return tokens


def _leftovers(legacy: Legacy, tokens: Sequence[Header]) -> list[Header]:
    """Return the headers that take old cookies away, but for one whose place the session's own cookie takes.

    Args:
        tokens: The headers by which this response hands out or takes back the session's token.
    """
    cleared: list[Header] = []
    if legacy.dropped:
        cleared = [importer.clear() for importer, _ in legacy.found]
    elif legacy.source is not None and legacy.source.forget and legacy.noted and tokens:
        cleared = [legacy.source.clear()]
    written = {_identity(line) for line in tokens}
    return [line for line in cleared if _identity(line) not in written]


def _identity(line: Header) -> tuple[bytes, ...]:
    """Return what tells a cookie from others: its name, domain and path. Source: RFC 6265, section 5.3, step 11."""
    header, value = line
    if header.lower() != b"set-cookie":
        return (header.lower(),)
    pair, *attributes = value.split(b";")
    given = {name.strip().lower(): text.strip() for name, _, text in (each.partition(b"=") for each in attributes)}
    return (pair.partition(b"=")[0].strip(), given.get(b"domain", b"").lower().lstrip(b"."), given.get(b"path", b""))


_WILD: Final = frozenset("*{<^")
"""Characters of patterns and of routes, which the path of hardly any page has."""


def path_patterns(given: Iterable[str | re.Pattern[str]], name: str) -> tuple[re.Pattern[str], ...]:
    """Return what matches the paths that a setting lists: each path and all below it, or compiled patterns.

    Raises:
        ConfigurationError: An entry is neither; ``name`` is the setting's.
    """
    if isinstance(given, str):
        raise ConfigurationError(f"{name}={given!r} is one string: write {name}=({given!r},)")
    if not isinstance(given, Iterable):
        raise ConfigurationError(f"{name}={given!r} is no list of paths: write {name}=('/health',), or leave it out")
    patterns: list[re.Pattern[str]] = []
    for entry in given:
        if isinstance(entry, re.Pattern):
            patterns.append(entry)
        elif isinstance(entry, str) and entry.startswith("/") and not _WILD.isdisjoint(entry):
            raise ConfigurationError(
                f"{name} has {entry!r}, which as a path matches nothing that is meant by it: '/files' stands for all "
                "below it too; anything else is a compiled pattern, such as re.compile('/files/[0-9]+$')"
            )
        elif isinstance(entry, str) and entry.startswith("/"):
            patterns.append(re.compile(re.escape(entry.rstrip("/")) + r"(?:/|$)"))
        else:
            raise ConfigurationError(f"{name} has {entry!r}: give a path such as '/health', or a compiled pattern")
    return tuple(patterns)


def share_a_cookie(one: Engine, other: Engine) -> bool:
    """Tell whether the cookies of two managers would overwrite each other."""
    mine, theirs = one.transport, other.transport
    if not (isinstance(mine, CookieTransport) and isinstance(theirs, CookieTransport)):
        return False
    return (mine.name, mine.policy.path, mine.policy.domain) == (theirs.name, theirs.policy.path, theirs.policy.domain)


def share_device_paths(one: Engine, other: Engine, mount: str | None) -> bool:
    """Tell whether browsers that bind sessions of one manager are answered by another, around it, at the same paths.

    Args:
        one: The engine of the inner one.
        other: That of the one around it.
        mount: Where the inner one is mounted; below a mount its paths are others.
    """
    mine: Any = one.binder
    theirs: Any = other.binder
    if mount or mine is None or theirs is None:
        return False
    return mine.endpoints.registration in theirs.endpoints.paths


def spare_device_paths(patterns: Iterable[re.Pattern[str]], needed: Iterable[str]) -> None:
    """Refuse ``exclude=`` where it covers a path at which browsers bind sessions.

    Raises:
        ConfigurationError: It does.
    """
    for path in sorted(needed):
        if any(pattern.match(path) for pattern in patterns):
            raise ConfigurationError(f"exclude covers {path!r}, where browsers bind sessions: leave that path out")


def warn_about_http(cookie_name: str) -> None:
    """Say once why a test client over plain http does not send a Secure cookie back."""
    warnings.warn(
        f"a Secure cookie ({cookie_name!r}) was set on an http test client, which will not send it back: "
        "use https://testserver as the client's base_url, limpet.testing.client(app), or SessionManager(dev=True)",
        LimpetWarning,
        stacklevel=2,
    )
