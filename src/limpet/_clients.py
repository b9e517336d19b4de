"""Is that still the client that logged in? Pure: what was noted of it and what is seen now in, what changed out.

A browser is upgraded while a session lasts, and a phone changes its network with every street. So versions say nothing,
a network says little, and what is compared of an agent is the browser's family and what it runs on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

__all__ = ["changes"]

_BROWSERS: Final = (  # in this order: each names itself beside those that it wants to be taken for
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("SamsungBrowser/", "Samsung"),
    ("YaBrowser/", "Yandex"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Chromium/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("iPhone", "Apple"),
    ("iPad", "Apple"),
    ("iPod", "Apple"),
    ("iOS", "Apple"),
    ("Mac", "Apple"),
    ("Android", "Linux"),
    ("CrOS", "Linux"),
    ("Chrome OS", "Linux"),
    ("ChromeOS", "Linux"),
    ("Linux", "Linux"),
    ("X11", "Linux"),
)
"""Phones and tablets that ask for a desktop's page call themselves Macs, or Linux: those are one family here."""


def changes(noted: Mapping[str, str], seen: Mapping[str, str]) -> frozenset[str]:
    """Return what changed: any of ``"agent"`` and ``"network"``. What is not known on one side has not changed.

    Args:
        noted: Of the client that logged in, as `limpet.devices.DevicePolicy` notes it.
        seen: Of the one that sends this request.
    """
    changed: set[str] = set()
    if noted.get("agent") and _family(noted["agent"]) != _family(seen.get("agent", "")):
        changed.add("agent")
    platform, other = noted.get("platform"), seen.get("platform")
    if platform and other and _system(platform) != _system(other):
        changed.add("agent")
    network, there = noted.get("address"), seen.get("address")
    if network and there and network != there:
        changed.add("network")
    return frozenset(changed)


@lru_cache(maxsize=1024)
def _family(agent: str) -> tuple[str, str]:
    """Return the family of a user agent, and what it runs on. A program that is no browser is what it says first."""
    for token, name in _BROWSERS:
        if token in agent:
            return name, _system(agent)
    return agent.partition("/")[0].partition(" ")[0], _system(agent)


def _system(text: str) -> str:
    return next((name for token, name in _SYSTEMS if token in text), "")
