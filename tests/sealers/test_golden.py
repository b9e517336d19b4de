"""What the first version sealed, as it was: every later version has to open it, and find the same in it."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import pytest

from holdfast._core.record import Record
from tests.security.site import ANONYMOUS, OTHER, SECRET, Site

NOW: Final = 1_800_000_000_000
HELD: Final = {"n": 1, "name": "Zoë", "tree": {"a": [1, None]}}

COOKIES: Final = {
    "cookie:": (
        "AUVuJ4QlCMdrbQVaYsS5dFYjEs0qgilBWmj7LgrO5xKfRZ_wLdTZRVnClKZD25XpbvyK98Uappa3RuMlhVdaEJaBtbOPSMG0"
        "K3TJqeNPTmctKM4EdObZkF_08EUVfPyLiNl7Vk0KkrUchyKMZvtDHFRAU8FtnnqMU8Pzy0difux5jFPaAMQpxoP-"
        "Fj_C9YSI2V4bh6xWMXlq"
    ),
    "cookie:signed": (
        "AVNUQ4SYtTtkxUklWicAAAGjGFxQAAAAAaMdg5ZgAAAABGFubk0VAJKtg61hdXRoZW50aWNhdGVkzwAAAaMYXFAAp2NyZWF0"
        "ZWTPAAABoxhcUACkZGF0YYOhbgGkbmFtZaRab8OrpHRyZWWBoWGSAcAkM5-Gs3fYLYitEg4o1dDfN387tts1mEg8-"
        "DL5xnIf_A"
    ),
}
"""Sessions of ann that live in their cookie, by the store that sealed them."""


def stored(version: int, payload: str) -> Record:
    """Return a record of ann's as the first version wrote it at `NOW`."""
    return Record(version, base64.b64decode(payload), NOW, NOW + 86_460_000, "ann")


RECORDS: Final = {
    False: (
        "AVPtma7yklG5nvMwyn8AvmSjmasBiKLt1gRYcfV0zBu9USEKcprzKI4iMKeOHOc6qsS8lCPEkH4ofWTSv47hitsc8k0VoA",
        "bbe87c7719f56eff858d789c219507df6c6a21e3d68aad1b22eba005d9d2c79c",
        stored(
            -2022453244526404986,
            (
                "TRUAkq2DrWF1dGhlbnRpY2F0ZWTPAAABoxhcUACnY3JlYXRlZM8AAAGjGFxQAKRkYXRhg6FuAaRuYW1lpFpvw6ukdHJlZYGh"
                "YZIBwA=="
            ),
        ),
    ),
    True: (
        "AVPtma7yvcBKV5pW5T5XCFbl2ivFgJBHMdIb28AoK0RqrODn3WU0rXjWds5uLsXPuba2jwbGFnu_7n_BCAYAHn17dRxbRQ",
        "4a6e72b9eed3744dace93e5d7d94ec2b548133480da5c531ed040758cb370645",
        stored(
            -6023644191250421931,
            (
                "WLfcTLmnk2iCeLSaMiFZDT0ex4mCynDUOGCNWWfff8c5p2RLDHf1ypy9SWgpWhboMb1xtxP/z78UxvLf9OAhS+fKZf0hQ/VC"
                "QiIb3gjZoGpivFr1QNBm02bbDgYwVsfvg3WDTZP4LFBh3XSJ56jdmZNmwiozBWHOWQ=="
            ),
        ),
    ),
}
"""Sessions of ann on a server, plain and encrypted at rest: the cookie's value, the store's key, the record."""


async def found(site: Site, token: str) -> tuple[dict[str, Any], str]:
    """Return what a token's session holds, and whose it is."""
    site.clock.now = NOW + 1_000
    site.handlers["/who"] = lambda session: session.subject
    return json.loads((await site.ask("/dump", token)).text), (await site.ask("/who", token)).text


@pytest.mark.parametrize("store", COOKIES)
async def test_a_cookie_of_the_first_version_opens(store: str) -> None:
    """Encrypted and signed: what it held, whose it was; and with another secret nothing."""
    assert await found(Site(store=store, secret=SECRET), COOKIES[store]) == (HELD, '"ann"')
    other = Site(store=store, secret=OTHER)
    assert (await other.ask("/dump", COOKIES[store])).text == ANONYMOUS


@pytest.mark.parametrize("encrypt", RECORDS, ids=["plain", "encrypted at rest"])
async def test_a_record_of_the_first_version_opens(encrypt: bool) -> None:
    """The signed id leads to the same key, and the payload, plain or sealed for that key, is read."""
    token, key, record = RECORDS[encrypt]
    site = Site(secret=SECRET, encrypt=encrypt)
    site.rows[key] = record
    assert await found(site, token) == (HELD, '"ann"')
    assert site.events == []
