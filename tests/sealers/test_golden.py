"""What the first version sealed, as it was: every later version has to open it, and find the same in it."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import pytest

from limpet import CookiePolicy
from limpet.contract import Record
from tests.security.site import ANONYMOUS, OTHER, SECRET, WatchedSite

NOW: Final = 1_800_000_000_000
NAMED: Final = CookiePolicy(name="__Host-session")  # tokens and keys are bound to it
HELD: Final = {"n": 1, "name": "Zoë", "tree": {"a": [1, None]}}

COOKIES: Final = {
    "cookie:": (
        "AUWkQTTZN2mcoe43-fDrnMZ0_1xXoT4z-tbSuWKrKWutX4PvVLIDZ6eqpOMOkqDlj8nPqBkhoyUJ8Tz-gp9jp9ednCFhLdBq"
        "Sx0PCNPybrN9RvdQawv61-6NFq7VvNrAc7d4CxTraKOXE8UVzeJbP3r2xT0xACv5bTSQB-27l6G1TQC2jv_P8TaHillyN5Ch"
        "mpiDeh9xRyul"
    ),
    "cookie:signed": (
        "AVMPdaACEg-z8rc8DTUAAAGjGFxQAAAAAaMdg5ZgAAAABGFubk0VAJKtg61hdXRoZW50aWNhdGVkzwAAAaMYXFAAp2NyZWF0"
        "ZWTPAAABoxhcUACkZGF0YYOhbgGkbmFtZaRab8OrpHRyZWWBoWGSAcCe5t4kCWHNl5T04mV8QLRGpGB-7P1VyAHNs8bOuqxw"
        "nw"
    ),
}
"""Sessions of ann that live in their cookie, by the store that sealed them."""


def stored(version: int, payload: str) -> Record:
    """Return a record of ann's as the first version wrote it at `NOW`."""
    return Record(version, base64.b64decode(payload), NOW, NOW + 86_460_000, "ann")


RECORDS: Final = {
    False: (
        "AVO6Ww835cEtNHWzYHSA5p2lsqlnfnvBytaS7YSRvRKEeszYYXZV-YBhQfT9ZlN7CQitaNGk5d98cxb6FoaK02IQbHUAVg",
        "978697db206820089d64abe0fd69d81c20c139713cb194423caa2f345d022146",
        stored(
            2215034089635486724,
            (
                "TRUAkq2DrWF1dGhlbnRpY2F0ZWTPAAABoxhcUACnY3JlYXRlZM8AAAGjGFxQAKRkYXRhg6FuAaRuYW1lpFpvw6ukdHJlZYGh"
                "YZIBwA=="
            ),
        ),
    ),
    True: (
        "AVO6Ww83VV-mvbEGM3qCzFKnTzHyWqopFDmf1g3FH0OE2bI8JDH7IuLZmOkYnrMq_DNwGfRNF3qMYhS-kzeUx86UJdqusw",
        "2af6e16a01659f5925429424dc0dcd15d6f6fe923a8517e0e10f82d75577a9d2",
        stored(
            4458277909423875322,
            (
                "WKi+xHOG61Iq47FcGrTNsFM4I9Hvu00LGmiHi0qO66vRpmK1fI1jNaB8hCptHf5p2wbh1EgUjFS6kvYP9l6307wgD4p8NKEp"
                "NOyQh7p6cLRAqaTYNaikuqmuf51eqP1kSYiBROinRnZ0WG4RH+PV+kFe7lGZ1VEEHQ=="
            ),
        ),
    ),
}
"""Sessions of ann on a server, plain and encrypted at rest: the cookie's value, the store's key, the record."""


async def found(site: WatchedSite, token: str) -> tuple[dict[str, Any], str]:
    """Return what a token's session holds, and whose it is."""
    site.clock.now = NOW + 1_000
    site.pages["/who"] = lambda session: session.subject
    return json.loads((await site.ask("/dump", token)).text), (await site.ask("/who", token)).text


@pytest.mark.parametrize("store", COOKIES)
async def test_a_cookie_of_the_first_version_opens(store: str) -> None:
    """Encrypted and signed: what it held, whose it was; and with another secret nothing."""
    assert await found(WatchedSite(store=store, secret=SECRET, cookie=NAMED), COOKIES[store]) == (HELD, '"ann"')
    other = WatchedSite(store=store, secret=OTHER, cookie=NAMED)
    assert (await other.ask("/dump", COOKIES[store])).text == ANONYMOUS


@pytest.mark.parametrize("encrypt", RECORDS, ids=["plain", "encrypted at rest"])
async def test_a_record_of_the_first_version_opens(encrypt: bool) -> None:
    """The signed id leads to the same key, and the payload, plain or sealed for that key, is read."""
    token, key, record = RECORDS[encrypt]
    site = WatchedSite(secret=SECRET, encrypt=encrypt, cookie=NAMED)
    site.rows[key] = record
    assert await found(site, token) == (HELD, '"ann"')
    assert site.heard == []
