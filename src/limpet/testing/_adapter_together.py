"""`AdapterSuite`, the part about requests at once: both count, and what was logged out stays logged out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from limpet.policy import SessionPolicy
from limpet.testing._adapter_site import Site

__all__ = ["TogetherRules"]

Opener = Callable[..., Awaitable[Site]]
CROWD = 50
RACES = 100


class TogetherRules:
    """Requests at once. With ``gate`` all have read the session before any of them saves."""

    async def test_fifty_writers_keep_fifty_keys(self, server: Opener) -> None:
        """Requests that write different keys at once are all kept."""
        site = await server()
        await site.get("/write", key="a", value="1")
        site.meet(CROWD)
        await asyncio.gather(*(site.get("/write", key=f"k{n}", value=n, gate=1) for n in range(CROWD)))
        assert len(await site.get("/keys")) == CROWD + 1

    async def test_fifty_appends_are_all_kept(self, server: Opener) -> None:
        """Requests that append to one list at once are all kept."""
        site = await server()
        await site.get("/append", key="list", value="first")
        site.meet(CROWD)
        await asyncio.gather(*(site.get("/append", key="list", value=n, gate=1) for n in range(CROWD)))
        kept = await site.get("/read", key="list")
        assert kept[0] == "first"
        assert sorted(kept[1:], key=int) == [str(n) for n in range(CROWD)]

    async def test_fifty_increments_are_exact(self, server: Opener) -> None:
        """Requests that `increment` one number at once all count, once each."""
        site = await server()
        await site.get("/increment", key="n")
        site.meet(CROWD)
        await asyncio.gather(*(site.get("/increment", key="n", gate=1) for _ in range(CROWD)))
        assert await site.get("/read", key="n") == CROWD + 1

    async def test_what_is_exclusive_is_done_once_at_a_time(self, server: Opener) -> None:
        """Requests that read a plain number and write a larger one lose none, each holding the session's lock."""
        site = await server()
        await site.get("/increment", key="n")
        await asyncio.gather(*(site.get("/carefully", key="n") for _ in range(8)))
        assert await site.get("/read", key="n") == 9

    async def test_nested_changes_of_two_requests_are_both_kept(self, server: Opener) -> None:
        """Changes deep in one value merge."""
        site = await server()
        await site.get("/plant")
        site.meet(2)
        await asyncio.gather(site.get("/grow", value="green", gate=1), site.get("/grow", value="red", gate=1))
        tree = await site.get("/read", key="tree")
        assert sorted(tree["branch"]["leaves"]) == ["green", "red"]

    async def test_one_value_on_two_sides_keeps_the_later(self, server: Opener) -> None:
        """Two plain values for one key: one of them stays, and both requests succeed."""
        site = await server()
        await site.get("/write", key="a", value="0")
        site.meet(2)
        await asyncio.gather(*(site.get("/write", key="a", value=value, gate=1) for value in "12"))
        assert await site.get("/read", key="a") in ("1", "2")

    async def test_strict_merging_refuses_one_side(self, server: Opener) -> None:
        """With ``strict_merge`` the later request is told: 409, and nothing of it is saved."""
        site = await server(policy=SessionPolicy(strict_merge=True))
        await site.get("/write", key="a", value="0")
        site.meet(2)
        ask = [site.first.get("/write", params={"key": "a", "value": value, "gate": 1}) for value in "12"]
        answers = await asyncio.gather(*ask)
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        won = next(answer for answer in answers if answer.status_code == 200)
        assert await site.get("/read", key="a") == won.request.url.params["value"]

    @pytest.mark.parametrize("change", ["regenerate", "login"])
    async def test_a_write_during_an_id_change_is_kept(self, server: Opener, change: str) -> None:
        """What is saved while another request is about to change the id is found under the new id."""
        site = await server()
        await site.get("/write", key="a", value="1")
        old = site.token()
        async with site.slow(site.first, f"/{change}") as changing:
            await site.replay(old, "/write", key="b", value="2")
        assert (await changing).status_code == 200
        assert site.token() != old
        assert await site.get("/keys") == ["a", "b"]
        assert await site.replay(old) == []

    @pytest.mark.parametrize("change", ["regenerate", "login", "logout"])
    async def test_a_write_after_the_end_stores_nothing(self, server: Opener, change: str) -> None:
        """A request that began before its id died and saves after it brings nothing back and sends no cookie."""
        site = await server()
        await site.get("/login")
        old = site.token()
        async with site.slow(site.browser(token=old), "/write", key="b", value="2") as writing:
            await site.get(f"/{change}")
        response = await writing
        assert response.status_code == 200
        assert site.cookies(response) == []
        assert (await site.replay(old, "/facts"))["subject"] is None
        assert await site.replay(old) == []
        assert await site.get("/keys") == []

    async def test_a_write_after_the_end_can_be_an_error(self, server: Opener) -> None:
        """With ``on_ended="raise"`` such a request is told: 409."""
        site = await server(policy=SessionPolicy(on_ended="raise"))
        await site.get("/login")
        async with site.slow(site.browser(token=site.token()), "/write", key="b", value="2") as writing:
            await site.get("/logout")
        assert (await writing).status_code == 409

    async def test_logout_races_leave_no_zombie(self, server: Opener) -> None:
        """A logout beside a write and a read, 100 times: the old cookie is always anonymous afterwards."""
        site = await server()
        alive = 0
        for number in range(RACES):
            browser = site.browser()
            await site.ask(browser, "/login", subject="ann")
            token = site.token(browser)
            site.meet(3)
            requests = [
                site.browser(token=token).get("/write", params={"key": "a", "value": number, "gate": 1}),
                site.browser(token=token).get("/logout", params={"gate": 1}),
                site.browser(token=token).get("/increment", params={"key": "n", "gate": 1}),
            ]
            turned = requests[number % 3 :] + requests[: number % 3]
            answers = await asyncio.gather(*turned)
            assert [answer.status_code for answer in answers] == [200, 200, 200]
            facts = await site.replay(token, "/facts")
            alive += facts["subject"] is not None or not facts["is_new"]
        assert alive == 0

    async def test_two_logins_at_once_leave_the_old_id_dead(self, server: Opener) -> None:
        """Two logins of one user from one id, as by a double click: one session is left, and the old id has none."""
        site = await server()
        await site.get("/write", key="a", value="1")
        old = site.token()
        site.meet(2)
        browsers = [site.browser(token=old), site.browser(token=old)]
        answers = await asyncio.gather(*(each.get("/login", params={"gate": 1}) for each in browsers))
        assert [answer.status_code for answer in answers] == [200, 200]
        assert await site.replay(old) == []
        subjects = []
        for answer in answers:
            [line] = site.cookies(answer)
            token = line.partition(";")[0].partition("=")[2]
            subjects.append((await site.replay(token, "/facts"))["subject"])
        assert sorted(subjects, key=str) == [None, "ann"]

    async def test_a_cookie_session_cannot_merge(self, anywhere: Opener) -> None:
        """Two writes to a cookie session at once both succeed; which cookie the browser gets last is what stays."""
        site = await anywhere()
        await site.get("/write", key="a", value="1")
        site.meet(2)
        await asyncio.gather(*(site.get("/write", key=key, value="1", gate=1) for key in "bc"))
        kept = await site.get("/keys")
        assert kept in ((["a", "b"], ["a", "c"]) if site.kind == "cookie" else (["a", "b", "c"],))
