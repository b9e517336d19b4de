"""S32: a stolen or forgotten session that its owner cannot see and cannot end (ASVS 7.4.2, 7.4.3, 7.4.5, 7.5.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.site import STORES, Browser, look, opened


@pytest.mark.parametrize("kind", STORES)
async def test_s32_all_but_this_one_are_ended(kind: str, tmp_path: Path) -> None:
    """Of five logins the owner sees five, ends the other four, and keeps the one in hand."""
    async with opened(kind, tmp_path) as site:
        browsers = [await Browser().login(site) for _ in range(5)]
        mine = await browsers[0].public_id(site)
        assert mine in {info.public_id for info in await site.manager.sessions_of("ann")}
        assert len(await site.manager.sessions_of("ann")) == 5
        await site.manager.revoke_all("ann", except_=mine)
        assert [(await browser.ask(site, look)).result for browser in browsers] == ["ann", *[None] * 4]
        assert [info.public_id for info in await site.manager.sessions_of("ann")] == [mine]
