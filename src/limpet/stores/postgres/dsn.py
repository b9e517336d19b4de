"""What a PostgreSQL URL says: the hosts for messages, what must not be shown, and which options it sets.

asyncpg reads the URL itself, with every option that it knows. Read here is what has to be known before: the places, so
that a message can name them, and whether a part of the password could be taken for something else. By RFC 3986, section
3.2.1, an ``@``, ``/``, ``?`` or ``#`` in a password is written %40, %2F, %3F or %23.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from limpet.errors import ConfigurationError
from limpet.stores._url import is_misread, misread

__all__ = ["ANY_ORDER", "DSN", "read"]

ANY_ORDER: Final = ("prefer-standby",)
"""Which of several hosts a client can only choose if it sees them all."""
_FORM: Final = "postgresql://user:password@host:5432/database, or with several hosts ...@host:5432,host:5432/database"
_HOST: Final = re.compile(r"(\[[^\[\]]+\]|[^\[\]:,]+)(?::([0-9]{1,5}))?")
_SOCKET: Final = re.compile(r"(/[^,]*)()")
_PORT: Final = 5432
_SECRETS: Final = ("password", "sslpassword")


class DSN(NamedTuple):
    """What a URL says.

    Attributes:
        place: All hosts and the database, for messages.
        hosts: Names or sockets, with their ports; none where the client finds them elsewhere.
        options: The names of its options.
        settings: What it tells the server on its command line.
        attributes: Which of several hosts is wanted.
        secrets: What must not appear in a message.
    """

    place: str
    hosts: tuple[tuple[str, int], ...]
    options: frozenset[str]
    settings: str
    attributes: str
    secrets: tuple[str, ...]

    @property
    def several(self) -> bool:
        """Whether it names more than one host."""
        return len(self.hosts) > 1

    def server_settings(self, timeout: float) -> dict[str, str]:
        """Return what the server is told with each connection, unless the URL sets it.

        A small table it would read as a whole. From the sixth time on it plans a statement once for all and keeps the
        plan until it counts the rows anew, while the table may have grown to any size. And every statement that serves
        requests has an index to go by.

        Args:
            timeout: Seconds that a statement may take.
        """
        limits = {"statement_timeout": timeout * 1000, "lock_timeout": timeout * 750}
        settings = {name: str(max(1, round(value))) for name, value in limits.items()} | {"enable_seqscan": "off"}
        own = self.options | set(self.settings.replace("=", " ").split())
        return {name: value for name, value in settings.items() if name not in own}


def read(url: str) -> DSN:
    """Return what a URL says.

    Raises:
        ConfigurationError: It is no URL of PostgreSQL; the message shows no part of it.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres"):
        raise ConfigurationError(f"this is no PostgreSQL URL; write {_FORM}")
    place, _, query = rest.partition("?")
    servers, _, path = place.partition("/")
    login, _, hosts = servers.rpartition("@")
    halves = query and any("=" not in field for field in query.split("&"))
    if "#" in rest or "@" in login or "@" in path or halves or is_misread(place, query):
        raise misread(scheme)
    given = dict(parse_qsl(query, keep_blank_values=True))
    ports = given.get("port", "") or os.environ.get("PGPORT", "")
    if hosts:
        places = _places(map(unquote, hosts.split(",")), os.environ.get("PGPORT", ""))
    else:
        named = given.get("host") or ("" if "service" in given else os.environ.get("PGHOST", ""))
        places = _places(named.split(","), ports) if named else ()
    database = given.get("dbname") or given.get("database") or unquote(path)
    service = given.get("service", "")
    if not places and not service:
        places = _places(["localhost"], ports)
    shown = ",".join(map(_shown, places)) or f"service {service}"
    _, _, password = login.partition(":")
    secrets = {password, unquote(password), *(given.get(name, "") for name in _SECRETS)} - {""}
    return DSN(
        place=shown + (f"/{database}" if database else ""),
        hosts=places,
        options=frozenset(given),
        settings=given.get("options", ""),
        attributes=given.get("target_session_attrs", ""),
        secrets=tuple(sorted(secrets, key=len, reverse=True)),
    )


def _places(hosts: Iterable[str], ports: str) -> tuple[tuple[str, int], ...]:
    named = list(hosts)
    found = ports.split(",") if ports else [str(_PORT)]
    if len(found) == 1:
        found *= len(named)
    if len(found) != len(named):
        raise ConfigurationError(
            f"this PostgreSQL URL names {len(named)} hosts and {len(found)} ports: give one port, or one for each host"
        )
    places = []
    for host, port in zip(named, found, strict=True):
        match = _SOCKET.fullmatch(host) or _HOST.fullmatch(host)
        number = (match[2] if match else None) or port
        if match is None or not number.isdecimal() or not 0 < int(number) < 65536:
            raise ConfigurationError(f"a host or a port in this PostgreSQL URL is none; write {_FORM}")
        places.append((match[1].strip("[]"), int(number)))
    return tuple(places)


def _shown(place: tuple[str, int]) -> str:
    host, port = place
    if host.startswith("/"):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
