"""What is known of a client: its user agent in a few words, its address without the part that names one household.

``SessionManager(devices=True)`` notes both when a session begins and at each login, for pages such as "your devices".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from limpet._checks import flag
from limpet.errors import ConfigurationError

__all__ = ["DevicePolicy", "summary", "warm_up"]

_PLATFORM: Final = b"sec-ch-ua-platform"  # User-Agent Client Hints, section 3.9
_SHORT: Final = 32
_LONGEST: Final = 256  # characters of a user agent that are kept: a client may send any amount


@dataclass(frozen=True, kw_only=True, slots=True)
class DevicePolicy:
    """What is noted of a client.

    The address is the one that the server saw: behind a proxy, let the server read the forwarded one (uvicorn:
    ``--proxy-headers --forwarded-allow-ips``).

    Attributes:
        user_agent: Note the ``User-Agent`` header, its first 256 characters, and the platform that some browsers name
            beside it (``Sec-CH-UA-Platform``).
        ipv4_bits: Bits of an IPv4 address that are noted; 32: all; 0: none is noted.
        ipv6_bits: Bits of an IPv6 address that are noted; a provider gives one customer a /48 to /64.

    Raises:
        ConfigurationError: There are not so many bits, or a value has another type.
    """

    user_agent: bool = True
    ipv4_bits: int = 24
    ipv6_bits: int = 48

    def __post_init__(self) -> None:
        flag("user_agent", self.user_agent)
        for name, most in (("ipv4_bits", 32), ("ipv6_bits", 128)):
            bits = getattr(self, name)
            if isinstance(bits, bool) or not isinstance(bits, int) or not 0 <= bits <= most:
                raise ConfigurationError(f"{name}={bits!r}: such an address has 0 to {most} bits")

    def describe(self, request: Mapping[str, Any]) -> dict[str, str]:
        """Return what is to be kept of a request.

        Args:
            request: ``headers`` and ``client`` as an ASGI scope has them.
        """
        known: dict[str, str] = {}
        if self.user_agent:
            agent = next((value for name, value in request["headers"] if name.lower() == b"user-agent"), b"")
            if agent:
                known["agent"] = agent.decode("latin-1")[:_LONGEST]
            platform = next((value for name, value in request["headers"] if name.lower() == _PLATFORM), b"")
            if platform.strip(b'"'):
                known["platform"] = platform.strip(b'"').decode("latin-1")[:_SHORT]
        address = self._truncated(request.get("client"))
        if address is not None:
            known["address"] = address
        return known

    def _truncated(self, client: Any) -> str | None:
        import ipaddress

        try:
            address = ipaddress.ip_address(client[0])
        except (TypeError, ValueError, IndexError):
            return None  # a Unix socket, or a test client
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        bits = self.ipv4_bits if address.version == 4 else self.ipv6_bits
        if not bits:
            return None
        network = ipaddress.ip_network((address, bits), strict=False)
        return str(network.network_address) if bits == address.max_prefixlen else str(network)


def warm_up() -> None:
    """Let `ua-parser` build its rules now, which takes half a second, and not while a page waits."""
    summary("Mozilla/5.0")


@lru_cache(maxsize=1024)
def summary(user_agent: str) -> str:
    """Return a user agent in a few words: ``Firefox 141 on Ubuntu``; without `ua-parser`, its first product token."""
    if not user_agent:
        return "unknown"
    try:
        from ua_parser import parse
    except ModuleNotFoundError:
        return user_agent.split()[0][:64] if user_agent.split() else "unknown"
    found = parse(user_agent)
    browser, system = found.user_agent, found.os
    if browser is None and system is None:
        return user_agent.split()[0][:64] if user_agent.split() else "unknown"
    name = "a browser" if browser is None else " ".join(part for part in (browser.family, browser.major) if part)
    return name if system is None else f"{name} on {system.family}"
