"""From a URL to the place of a Redis or Valkey service."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from limpet.errors import ConfigurationError
from limpet.stores._url import boolean, integer, misread, options, text

__all__ = ["CLIENT_OPTIONS", "Address", "parse"]

CLIENT_OPTIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "db": integer,
    "client_name": text,
    "ssl_ca_certs": text,
    "ssl_certfile": text,
    "ssl_keyfile": text,
    "ssl_check_hostname": boolean,
    "ssl_cert_reqs": text,
    "sentinel_username": text,
    "sentinel_password": text,
}
"""Options of a URL that are the client's, with their kinds."""

_SCHEME: Final = re.compile(r"(redis|rediss|valkey|valkeys)(?:\+(sentinel|cluster|unix))?|(unix)")
_FORMS: Final = (
    "redis://host:6379/0, rediss:// for TLS, redis+unix:///path/to.sock, "
    "redis+sentinel://host:26379,host:26379/service, redis+cluster://host:6379,host:6379 "
    "(valkey in the place of redis means the same)"
)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the service is.

    Attributes:
        way: How to get there.
        hosts: The server, the Sentinels, or some nodes of the cluster; empty for a socket.
        service: What the Sentinels call the master.
        path: The socket.
        tls: Whether to speak TLS.
        settings: Keyword arguments for the client: user name, password, database, certificates.
    """

    way: Literal["server", "sentinel", "cluster", "unix"]
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    path: str = ""
    tls: bool = False
    settings: dict[str, Any] = field(default_factory=dict, repr=False)

    def client_settings(self) -> dict[str, Any]:
        """Return the keyword arguments that every client takes; with TLS, it checks whom it speaks to."""
        settings: dict[str, Any] = {"protocol": 2}  # bulk strings and integers are all that is spoken; no handshake
        if self.way != "unix":
            settings["socket_keepalive"] = True
        if self.tls:
            settings |= {"ssl_check_hostname": True, "ssl_cert_reqs": "required"}
        return settings | {name: value for name, value in self.settings.items() if not name.startswith("sentinel_")}

    def sentinel_settings(self, timeout: float) -> dict[str, Any]:
        """Return the keyword arguments for connections to the Sentinels: they have secrets of their own."""
        names = ("protocol", "socket_keepalive")
        shared = {k: v for k, v in self.client_settings().items() if k in names or k.startswith("ssl_")}
        secrets = {name: self.settings.get(f"sentinel_{name}") for name in ("username", "password")}
        # One Sentinel that hangs must leave time to ask the next.
        return {**shared, **secrets, "socket_timeout": timeout / 4}

    def place(self) -> dict[str, Any]:
        """Return the keyword arguments that say where the one server is."""
        return {"path": self.path} if self.way == "unix" else dict(zip(("host", "port"), self.hosts[0], strict=True))

    def __str__(self) -> str:
        place = self.path or ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"Redis at {place}" if self.way in ("server", "unix") else f"Redis {self.way} at {place}"


def parse(url: str) -> Address:
    """Return the address that a URL names.

    Raises:
        ConfigurationError: It is none; the message never shows the URL, which may hold a password.
    """
    match = _SCHEME.fullmatch(url.partition(":")[0].lower())
    if match is None:
        raise ConfigurationError(f"this is not the URL of a Redis or Valkey store; write {_FORMS}")
    place, settings = options(url, CLIENT_OPTIONS)
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        # When it connects, the client would say that there is no such file, and not which.
        if name in settings and not os.access(settings[name], os.R_OK):
            raise ConfigurationError(f"{name} names {settings[name]!r}, and this process cannot read such a file")
    tls = (match[1] or "").endswith("s") and match[1] != "redis"
    authority, _, path = place.removeprefix("//").partition("/")
    login, at, servers = authority.rpartition("@")
    if authority and not at and "@" in path:
        raise misread(match[0])
    if at:
        username, colon, password = login.partition(":")
        settings["username"] = unquote(username) or None
        settings["password"] = unquote(password) if colon else None
    if match[2] == "unix" or match[3]:
        return Address(way="unix", path="/" + unquote(path), settings=settings)
    way: Literal["server", "sentinel", "cluster"] = match[2] or "server"  # type: ignore[assignment]
    hosts = tuple(_host(server, 26379 if way == "sentinel" else 6379) for server in servers.split(","))
    service = ""
    if way == "sentinel":
        service, _, path = path.partition("/")
        if not service:
            raise ConfigurationError(
                "a Sentinel URL ends with the service's name: redis+sentinel://host:26379/mymaster"
            )
    elif way == "server" and len(hosts) > 1:
        raise ConfigurationError("a redis:// URL names one server; several are redis+sentinel:// or redis+cluster://")
    if path:
        if way == "cluster" or not path.isdecimal():
            raise ConfigurationError(
                f"{path!r} in a Redis URL is not a database: it is a number, and a cluster has only one"
            )
        settings.setdefault("db", int(path))
    return Address(way=way, hosts=hosts, service=unquote(service), tls=tls, settings=settings)


def _host(server: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{server}")
        return parts.hostname or "localhost", parts.port or port
    except ValueError:  # its words hold what it could not read, which may be part of a password
        pass
    raise ConfigurationError(f"a host in this Redis URL is not a host with a port; write {_FORMS}")
