"""S02: the id of the anonymous session still works after the login (CVE-2022-25896)."""

from __future__ import annotations

import pytest

from limpet import Session
from tests.security.site import ANONYMOUS, WatchedSite


def by_key(session: Session) -> None:
    session["user_id"] = 7


@pytest.mark.parametrize("way", ["/login", "/by_key"])
async def test_login_gives_a_new_id_and_the_old_one_is_gone(way: str) -> None:
    """By `login` and by a key of ``rotate_on``: another id, the data kept, the old row gone (ASVS 5.0, 7.2.4)."""
    site = WatchedSite({"/by_key": by_key})
    before = (await site.ask("/write")).given
    (old_row,) = site.rows
    after = (await site.ask(way, before)).given
    assert after != before
    assert old_row not in site.kept
    assert (await site.ask("/dump", before)).text == ANONYMOUS
    assert (await site.ask("/read", after)).text == "1"
