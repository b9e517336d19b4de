"""A cookie jar as RFC 6265bis describes it, slow and by the letter, to hold our Set-Cookie lines against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Jar", "keep"]


class Place(NamedTuple):
    """What tells cookies apart (section 5.7, step 22; CHIPS adds the partition)."""

    name: str
    domain: str
    host_only: bool
    path: str
    partition: str | None


@dataclass
class Jar:
    """The cookies of one browser, seen over https from one host, with that host's site on top.

    Attributes:
        host: Whose answers it reads.
        top: The site of the page around it, which partitioned cookies belong to.
    """

    host: str
    top: str = "top.example"
    kept: dict[Place, str] = field(default_factory=dict)

    def read(self, line: str) -> None:
        """Take in one Set-Cookie line (sections 5.6 and 5.7)."""
        pair, *attributes = line.split(";")
        name, _, value = (part.strip(" \t") for part in pair.partition("="))
        if len(name) + len(value) > 4096:
            return
        found: dict[str, str] = {}
        for attribute in attributes:
            key, _, given = (part.strip(" \t") for part in attribute.partition("="))
            if len(given) <= 1024:
                found[key.lower()] = given
        domain = found.get("domain", "").lower().removeprefix(".")
        if domain and not (self.host == domain or self.host.endswith("." + domain)):
            return
        path = found.get("path", "")
        secure = "secure" in found
        if name.lower().startswith("__secure-") and not secure:
            return
        if name.lower().startswith("__host-") and (not secure or domain or path != "/"):
            return
        if found.get("samesite", "").lower() == "none" and not secure:
            return
        if "partitioned" in found and not secure:
            return
        partition = self.top if "partitioned" in found else None
        place = Place(name, domain or self.host, not domain, path if path.startswith("/") else "/", partition)
        age = found.get("max-age")
        if age is not None and int(age) <= 0:
            self.kept.pop(place, None)
        else:
            self.kept[place] = value

    def header(self, path: str) -> str:
        """Return the Cookie header of a request (section 5.8.3); empty: there is none."""
        sent = [place for place in self.kept if _matches(path.partition("?")[0], place.path)]
        sent.sort(key=lambda place: -len(place.path))
        return "; ".join(f"{place.name}={self.kept[place]}" for place in sent)


def _matches(path: str, of_cookie: str) -> bool:
    """Tell whether a cookie is sent to a path (section 5.1.4)."""
    return path == of_cookie or path.startswith(of_cookie.removesuffix("/") + "/")


def keep(cookies: dict[str, str], lines: Iterable[str]) -> None:
    """Do what Set-Cookie lines say with cookies that are known by their names alone, for tests that change them."""
    for line in lines:
        pair, _, attributes = line.partition(";")
        name, _, value = pair.strip().partition("=")
        if "max-age=0" in attributes.lower() or not value.strip('"'):
            cookies.pop(name, None)
        else:
            cookies[name] = value
