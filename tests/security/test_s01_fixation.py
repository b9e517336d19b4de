"""S01: an attacker chooses the id that the victim's login will have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from limpet._wire.tokens import encode_id, new_id
from tests.security.site import ANONYMOUS, SECRET, Site


async def after_logout(site: Site) -> str:
    token = (await site.ask("/write")).token
    await site.ask("/logout", token)
    return token


async def after_expiry(site: Site) -> str:
    token = (await site.ask("/write")).token
    site.clock.advance(15 * 86_400)
    return token


async def after_deletion(site: Site) -> str:
    token = (await site.ask("/write")).token
    site.rows.clear()
    return token


async def foreign(site: Site) -> str:
    return "attackerchosen1234567890"


async def well_formed(site: Site) -> str:
    return encode_id(new_id())


@pytest.mark.parametrize("secret", [None, SECRET], ids=["plain", "signed"])
@pytest.mark.parametrize("chosen", [foreign, well_formed, after_logout, after_expiry, after_deletion])
async def test_a_login_never_takes_the_id_that_was_sent(
    chosen: Callable[[Site], Awaitable[str]], secret: str | None
) -> None:
    """Unknown, once valid, expired or deleted: the login has another id, and nothing is stored under the one sent."""
    site = Site(secret=secret)
    token = await chosen(site)
    answer = await site.ask("/login", token)
    assert answer.token != token
    assert (await site.ask("/dump", token)).text == ANONYMOUS
    raw = site.manager.engine.verify(token)
    assert raw is None or site.manager.engine.key_of(raw) not in site.kept
    assert len([row for row in site.rows.values() if row.subject == "ann"]) == 1
