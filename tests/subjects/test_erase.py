"""What is kept of a subject after it was erased: digests, and no name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from limpet import events
from limpet.contract import Record
from limpet.stores.file import FileStore
from limpet.testing import FakeClock
from tests.site import STORES, Site, opened

TAG = {"team": "x"}
NAME = "ann of the seventh floor"


@pytest.fixture(params=STORES)
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A site over each store."""
    async with opened(request.param, tmp_path) as site:
        yield site


async def records(site: Site) -> list[Record]:
    page, cursor = await site.manager.store.scan(None, 1_000)  # type: ignore[union-attr]
    assert cursor is None
    return [record for _, record in page]


async def named(site: Site) -> list[Record]:
    """Return the records that name the subject."""
    return [each for each in await records(site) if each.subject == NAME or NAME.encode() in each.payload]


async def logged_out(site: Site) -> None:
    cookie = await site.login(NAME, tags=TAG)
    await site.run(lambda session: session.logout(), cookie)


async def expired(site: Site) -> None:
    await site.login(NAME, tags=TAG)
    clock = site.manager.clock
    assert isinstance(clock, FakeClock)
    clock.advance(15 * 86_400)
    await site.manager.sweep()


async def revoked(site: Site) -> None:
    await site.login(NAME, tags=TAG)
    await site.manager.revoke_all(NAME)


async def revoked_by_others(site: Site) -> None:
    await site.login(NAME, tags=TAG)
    with events.acting("the admin", why="lost phone"):
        await site.manager.revoke_all(NAME)


async def revoked_by_itself(site: Site) -> None:
    await site.login(NAME, tags=TAG)
    [info] = await site.manager.sessions_of(NAME)
    with events.acting(NAME):
        await site.manager.revoke(info.public_id)


WAYS = [logged_out, expired, revoked, revoked_by_others, revoked_by_itself]


@pytest.mark.parametrize("ended", WAYS)
async def test_no_name_stays(site: Site, ended: Callable[[Site], Awaitable[None]], tmp_path: Path) -> None:
    """However the last session of a subject ended, nothing in the store says its name once it is erased."""
    bob = await site.login("bob", tags=TAG)
    await ended(site)
    assert await site.manager.erase(NAME) == 0
    assert await named(site) == []
    if isinstance(site.manager.store, FileStore):
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert files
        assert [path for path in files if NAME in str(path) or NAME in path.read_text()] == []
    if ended is not expired:
        assert await site.whose(bob) == "bob"
        assert await site.manager.revoke(tag=("team", "x")) == 1


async def test_erased_by_somebody(site: Site) -> None:
    """Who erases a subject is noted for other processes, without the name of the subject."""
    await site.login(NAME, tags=TAG)
    with events.acting("the admin"):
        assert await site.manager.erase(NAME) == 1
    assert await named(site) == []
    assert any(b"the admin" in each.payload for each in await records(site))


async def test_back_after_erasure(site: Site) -> None:
    """Somebody who was erased and comes back with the same tag is found by it."""
    await site.login("bob", tags=TAG)
    await logged_out(site)
    await site.manager.erase(NAME)
    await site.login(NAME, tags=TAG)
    assert await site.manager.revoke(tag=("team", "x")) == 2


async def test_a_last_logout_leaves_no_name(site: Site) -> None:
    """Somebody whose last session was logged out is named in no list of a tag that others use; their own stay found."""
    first = await site.login(NAME, tags=TAG)
    await site.login("bob", tags=TAG)
    second = await site.login(NAME, tags=TAG)
    await site.run(lambda session: session.logout(), first)
    assert await site.manager.revoke(tag=("team", "x")) == 2
    assert await site.whose(second) is None
    await logged_out(site)
    assert await named(site) == []
