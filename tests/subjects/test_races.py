"""What is decided when logins, revocations and renewals meet: many races, each over a real store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from limpet import SessionLimitReached, SessionPolicy
from limpet.manager import system_clock
from limpet.runtime import AsyncioRuntime
from tests.site import Site, opened

COUNTS = [200, pytest.param(1_000, marks=pytest.mark.long)]


async def scattered(random: Random, pauses: int) -> None:
    """Let other tasks run a random number of times, or for a random time of up to 3 ms."""
    if random.random() < 0.5:
        await asyncio.sleep(random.random() * 0.003)
        return
    for _ in range(random.randrange(pauses)):
        await asyncio.sleep(0)


async def login_under_way(site: Site, random: Random, subject: str) -> None:
    """Note a login, let others run, save it."""
    session = site.begin()
    session.login(subject)
    await scattered(random, 6)
    await site.manager.commit(session)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "file"])
@pytest.mark.parametrize("races", COUNTS)
async def test_login_under_way_does_not_survive_revoke_all(kind: str, races: int, tmp_path: Path) -> None:
    """However a login and a revocation of all sessions interleave, what was logged in before it is dead after it."""
    random = Random(8)
    async with opened(kind, tmp_path, clock=system_clock) as site:
        survivors = 0
        for race in range(races):
            subject = f"user{race}"
            logins = [asyncio.create_task(login_under_way(site, random, subject)) for _ in range(2)]
            await asyncio.sleep(0)  # both are noted
            await scattered(random, 8)
            await site.manager.revoke_all(subject)
            await asyncio.gather(*logins)
            survivors += len(await site.manager.sessions_of(subject))
        assert survivors == 0


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_new_ids_do_not_survive_revoke_all(kind: str, tmp_path: Path) -> None:
    """A session whose id is renewed or changed while all are revoked is dead under each of its ids."""
    random = Random(9)
    policy = SessionPolicy(renewal_interval=0.001, renewal_grace=60)
    async with opened(kind, tmp_path, clock=system_clock, policy=policy) as site:

        async def renew(cookie: str, regenerate: bool) -> str:
            session = site.begin(cookie)
            await site.manager.load(session)
            await scattered(random, 4)
            if regenerate:
                session.regenerate()
            session.get("x")
            await site.manager.commit(session)
            header = site.manager.header(session)
            return "" if header is None else header[1].decode().split(";")[0].partition("=")[2]

        for race in range(100):
            subject = f"user{race}"
            cookies = [await site.login(subject) for _ in range(3)]
            await asyncio.sleep(0.002)
            requests = [asyncio.create_task(renew(cookie, bool(race % 2))) for cookie in cookies]
            await scattered(random, 12)
            await site.manager.revoke_all(subject)
            given = await asyncio.gather(*requests)
            alive = [await site.whose(cookie) for cookie in (*cookies, *given) if cookie]
            assert not any(alive), f"race {race}: a session survived"
            assert await site.manager.sessions_of(subject) == []


async def test_new_ids_do_not_survive_revoke_everyone(tmp_path: Path) -> None:
    """A session that gets a new id while everybody's are revoked page by page does not slip behind the walk."""
    random = Random(10)
    async with opened("sqlite", tmp_path, clock=system_clock) as site:
        for race in range(40):
            cookies = [await site.login(f"user{number}") for number in range(4)]
            await asyncio.sleep(0.002)

            async def change(cookie: str) -> None:
                await scattered(random, 6)
                await site.run(lambda session: session.regenerate() if session.subject else None, cookie)

            requests = [asyncio.create_task(change(cookie)) for cookie in cookies]
            await scattered(random, 10)
            await site.manager.revoke_everyone()
            await asyncio.gather(*requests)
            left = [await site.manager.sessions_of(f"user{number}") for number in range(4)]
            assert not any(left), f"race {race}: a session survived"


@pytest.mark.parametrize("kind", ["memory", "sqlite", "file"])
async def test_oldest_out_under_fifty_logins_at_once(kind: str, tmp_path: Path) -> None:
    """Fifty logins at once leave exactly as many sessions as allowed, and the newest of all."""
    async with opened(kind, tmp_path, max_sessions=3) as site:
        site.manager.runtime = AsyncioRuntime()
        await asyncio.gather(*(site.login("ann") for _ in range(50)))
        assert len(await site.manager.sessions_of("ann")) == 3


@pytest.mark.parametrize("kind", ["memory", "sqlite", "file"])
async def test_refuse_under_fifty_logins_at_once(kind: str, tmp_path: Path) -> None:
    """Of fifty logins at once exactly as many succeed as allowed; the others get the error and no cookie."""
    async with opened(
        kind, tmp_path, policy=SessionPolicy(max_sessions=3, when_full="refuse", merge_timeout=30)
    ) as site:
        site.manager.runtime = AsyncioRuntime()
        outcomes = await asyncio.gather(*(site.login("ann") for _ in range(50)), return_exceptions=True)
        assert len([outcome for outcome in outcomes if isinstance(outcome, str) and outcome]) == 3
        assert len([outcome for outcome in outcomes if isinstance(outcome, SessionLimitReached)]) == 47
        assert len(await site.manager.sessions_of("ann")) == 3


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_token_is_refreshed_once(kind: str, tmp_path: Path) -> None:
    """Twenty requests that find a token expired refresh it once, and each of them has the new one."""
    async with opened(kind, tmp_path) as site:
        site.manager.runtime = AsyncioRuntime()
        cookie = await site.run(lambda session: session.update(token="old"))
        refreshed = 0
        seen: list[str] = []

        async def request() -> None:
            nonlocal refreshed
            session = site.begin(cookie)
            await site.manager.load(session)
            async with session.exclusive("oauth"):
                if session["token"] == "old":
                    refreshed += 1
                    await asyncio.sleep(0.01)  # the identity provider
                    session["token"] = f"new{refreshed}"
            seen.append(session["token"])
            await site.manager.commit(session)

        await asyncio.gather(*(request() for _ in range(20)))
        assert refreshed == 1
        assert seen == ["new1"] * 20


async def test_flashes_are_shown_once_under_a_lock(tmp_path: Path) -> None:
    """Requests at once add messages and show them: none is lost, and under a lock none is shown twice."""
    async with opened("sqlite", tmp_path) as site:
        site.manager.runtime = AsyncioRuntime()
        cookie = await site.run(lambda session: session.flash("first"))
        shown: list[str] = []

        async def request(number: int) -> None:
            session = site.begin(cookie)
            await site.manager.load(session)
            session.flash(f"message {number}")
            await site.manager.commit(session)
            async with session.exclusive("flashes"):
                shown.extend(flash.message for flash in session.flashes())

        await asyncio.gather(*(request(number) for number in range(20)))
        assert sorted(shown) == sorted(["first", *(f"message {number}" for number in range(20))])
