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
    ("Chromium OS", "Linux"),
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
    if noted.get("agent") and not _families(noted["agent"]) & _families(seen.get("agent", "")):
        changed.add("agent")
    # A browser may name a platform that says nothing: "Unknown" (User-Agent Client Hints, "Sec-CH-UA-Platform").
    platform, other = (_system(known.get("platform", "")) for known in (noted, seen))
    if platform and other and platform != other:
        changed.add("agent")
    network, there = noted.get("address"), seen.get("address")
    if network and there and network != there:
        changed.add("network")
    return frozenset(changed)


@lru_cache(maxsize=1024)
def _families(agent: str) -> frozenset[tuple[str, str]]:
    """Return what a user agent may be: the family of a browser, and what it runs on.

    A program that is no browser is what it says first. Firefox on a phone or tablet of Apple's takes the name of
    Safari on a Mac where it asks for a desktop's page, as it does on an iPad unless told otherwise.
    """
    name = next((name for token, name in _BROWSERS if token in agent), "")
    if not name:
        name = agent.partition("/")[0].partition(" ")[0]
    found = {(name, _system(agent))}
    if "FxiOS/" in agent or (name == "Safari" and "Macintosh" in agent):
        found.add(("Safari", "Macintosh"))
    return frozenset(found)


def _system(text: str) -> str:
    return next((name for token, name in _SYSTEMS if token in text), "")
