"""A registration and a proof in every order with what ends or changes a session, by two processes over one store.

One process stops before each of its calls of the store in turn, and another does the whole of its request meanwhile.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any, Final

import pytest

from limpet import SessionManager, SessionPolicy
from limpet.stores.wrapping import WrappingStore
from limpet.testing import FakeClock
from tests.bound.device import Browser, Reply, asgi
from tests.bound.sites import Site, plain
from tests.races.conftest import STORES
from tests.security.site import SECRET

SESSION: Final = "__Host-Http-session"
DEVICE: Final = ("register", "refresh")
OTHERS: Final = ("logout", "revoke", "login/bob", "login/ann", "regenerate", "renew", "write/x")
ENDS: Final = ("logout", "revoke")


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Return a store that two managers share."""
    opened = STORES[request.param](request)
    yield opened
    await opened.close()


class Stopping:
    """A store before one of whose calls something else happens.

    Attributes:
        left: How many calls before that one; None: nothing happens.
        meanwhile: What does; None: it has.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self.left: int | None = None
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*given: Any, **named: Any) -> Any:
            if self.left is not None and self.meanwhile is not None:
                self.left -= 1
                if self.left < 0:
                    happens, self.meanwhile = self.meanwhile, None
                    await happens()
            return await found(*given, **named)

        return call


class World:
    """Two processes over one store, and one browser that has logged in, and proven its device or not."""

    def __init__(self, store: Any) -> None:
        self.stopping: Any = Stopping(store)
        self.clock = FakeClock()
        self.sites = [self._site(WrappingStore(each)) for each in (self.stopping, store)]

    def _site(self, store: Any) -> Site:
        policy = SessionPolicy(renewal_interval=100)
        manager = SessionManager(store, secret=SECRET, bound=True, policy=policy)
        site = Site(asgi(plain(manager)), manager)
        site.clock = manager.clock = self.clock
        return site

    async def enter(self, *, proven: bool) -> Browser:
        ann = Browser(self.sites[1].send)
        await ann.get("/login/ann")
        if proven:
            await ann.register()
            assert (await ann.refresh()).status == 200
            self.clock.advance(60)
        return ann

    def tab(self, ann: Browser, place: int) -> Browser:
        """Return another tab of this browser, which goes to the one or the other process."""
        send = self.sites[place].send
        return Browser(send, ann.device, True, dict(ann.cookies), ann.offer, ann.identifier, ann.challenge, ann.told)

    async def do(self, tab: Browser, what: str, place: int) -> Reply | None:
        if what == "register":
            return await tab.register()
        if what == "refresh":
            return await tab.refresh(tries=1)
        if what == "revoke":
            await self.sites[place].manager.revoke_all("ann")
            return None
        return await tab.get("/me" if what == "renew" else f"/{what}")

    async def whose(self, *jars: dict[str, str]) -> set[Any]:
        """Return whom these cookies open, for somebody who has no device of theirs."""
        return {await Browser(self.sites[1].send, cookies=dict(jar)).whose() for jar in jars}


@pytest.mark.parametrize("device_first", [True, False], ids=["stopped", "meanwhile"])
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("act", DEVICE)
async def test_in_every_order(kept: Any, act: str, other: str, device_first: bool) -> None:
    """What ended stays ended, what was bound stays bound, and a browser is never left with neither of the two."""
    for number in count():
        world = World(kept)
        ann = await world.enter(proven=act == "refresh")
        if other == "renew":
            world.clock.advance(150)
        first, second = (act, other) if device_first else (other, act)
        one, two = world.tab(ann, 0), world.tab(ann, 1)
        replies: list[Reply | None] = []

        async def meanwhile(tab: Browser = two, what: str = second, world: World = world, to: Any = replies) -> None:
            to.append(await world.do(tab, what, 1))

        world.stopping.left, world.stopping.meanwhile = number, meanwhile
        replies.append(await world.do(one, first, 0))
        if world.stopping.meanwhile is not None:
            assert number, "it was stopped at least once"
            return
        assert all(reply is None or reply.status < 500 for reply in replies), number
        device, page = (one, two) if device_first else (two, one)
        await _judge(world, act, other, ann, device, page, number)


async def _judge(world: World, act: str, other: str, ann: Browser, device: Browser, page: Browser, number: int) -> None:
    jars = (ann.cookies, device.cookies, page.cookies, {**device.cookies, **page.cookies})
    world.clock.advance(60)  # what was under way when it was bound is served no longer
    if other in ENDS:
        assert await world.whose(*jars, {**page.cookies, **device.cookies}) == {None}, number
    elif other == "login/bob":
        assert await world.whose(page.cookies) == {"bob"}, number
        assert await world.whose(*jars) <= {"bob", None}, number
    else:
        final = world.tab(device, 1)
        final.cookies = {**device.cookies, **page.cookies}
        final.challenge = None
        kept = False
        if final.identifier is not None:
            reply = await final.refresh()
            kept = reply.status == 200 and reply.json().get("continue", True)
        assert kept or (act == "register" and page.offer != ann.offer), number
        if kept:
            world.clock.advance(60)
            assert await final.whose() == "ann", number
            alone = [{SESSION: jar[SESSION]} for jar in (*jars, final.cookies)]
            assert await world.whose(*alone) == {None}, number
