"""S01: an attacker chooses the id that the victim's login will have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from limpet._wire.tokens import encode_id, new_id
from tests.security.site import ANONYMOUS, SECRET, WatchedSite


async def after_logout(site: WatchedSite) -> str:
    token = (await site.ask("/write")).given
    await site.ask("/logout", token)
    return token


async def after_expiry(site: WatchedSite) -> str:
    token = (await site.ask("/write")).given
    site.clock.advance(15 * 86_400)
    return token


async def after_deletion(site: WatchedSite) -> str:
    token = (await site.ask("/write")).given
    site.rows.clear()
    return token


async def foreign(site: WatchedSite) -> str:
    return "attackerchosen1234567890"


async def well_formed(site: WatchedSite) -> str:
    return encode_id(new_id())


@pytest.mark.parametrize("secret", [None, SECRET], ids=["plain", "signed"])
@pytest.mark.parametrize("chosen", [foreign, well_formed, after_logout, after_expiry, after_deletion])
async def test_a_login_never_takes_the_id_that_was_sent(
    chosen: Callable[[WatchedSite], Awaitable[str]], secret: str | None
) -> None:
    """Unknown, once valid, expired or deleted: the login has another id, and nothing is stored under the one sent."""
    site = WatchedSite(secret=secret)
    token = await chosen(site)
    answer = await site.ask("/login", token)
    assert answer.given != token
    assert (await site.ask("/dump", token)).text == ANONYMOUS
    raw = site.manager.engine.ids.verify(token)
    assert raw is None or site.manager.engine.ids.key_of(raw) not in site.kept
    assert len([row for row in site.rows.values() if row.subject == "ann"]) == 1


@pytest.mark.parametrize("secret", [None, SECRET], ids=["plain", "signed"])
async def test_an_id_in_a_url_or_in_another_header_is_none(secret: str | None) -> None:
    """It travels in its cookie alone: a link cannot bring one, and none gets into the log of a proxy."""
    site = WatchedSite(secret=secret)
    token = (await site.ask("/write")).given
    name = site.manager.cookie_name
    assert (await site.ask("/dump", token)).text != ANONYMOUS
    elsewhere = [
        (b"authorization", f"Bearer {token}".encode()),
        (b"x-session-id", token.encode()),
        (b"referer", f"https://testserver/?{name}={token}".encode()),
    ]
    assert (await site.ask(f"/dump?{name}={token}&session={token}", headers=elsewhere)).text == ANONYMOUS
