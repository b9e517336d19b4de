"""Django on an event loop: the a-forms, and a middleware that waits for the store without a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.test import AsyncClient

from limpet.adapters.django import SessionStore, manager
from limpet.contract import Record
from limpet.errors import Answer, StoreUnavailable
from limpet.events import SessionLoggedIn
from limpet.manager import SessionManager
from limpet.stores import MemoryStore, WrappingStore
from tests.adapters.django.begun import Browser, Configure, Hook, heard


class Waiting(WrappingStore):
    """A store that only an event loop can use."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.is_down = False

    async def load(self, key: str) -> Record | None:
        """Return the record, a moment later."""
        await self._wait()
        return await super().load(key)

    async def create(self, key: str, record: Record, *, now: int) -> Any:
        """Write a new record, a moment later."""
        await self._wait()
        return await super().create(key, record, now=now)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Any:
        """Replace a record, a moment later."""
        await self._wait()
        return await super().update(key, record, expected, now=now)

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Return several records, a moment later."""
        await self._wait()
        return await super().load_many(keys)

    async def _wait(self) -> None:
        await asyncio.sleep(0.001)
        if self.is_down:
            raise StoreUnavailable


@pytest.fixture
def waiting(configure: Configure) -> Waiting:
    """Return the store of this test."""
    store = Waiting()
    configure({"store": store})
    return store


@pytest.fixture
def visitor_on_a_loop() -> Browser:
    """Return a browser whose requests Django serves on this event loop."""
    return AsyncClient()


async def test_a_visit_needs_no_thread(waiting: Waiting, visitor_on_a_loop: Browser) -> None:
    """The store is awaited where the view runs: one that only an event loop can use serves."""
    answer = await visitor_on_a_loop.get("/ado/set?a=1")
    assert answer.cookies["sessionid"]["httponly"]
    assert (await visitor_on_a_loop.get("/ado/read")).json() == {"a": "1"}


async def test_twenty_at_once_count_twenty(waiting: Waiting, visitor_on_a_loop: Browser) -> None:
    """Increments by asynchronous requests add up."""
    await visitor_on_a_loop.get("/ado/set?a=1")
    await asyncio.gather(*(visitor_on_a_loop.get("/ado/increment") for _ in range(20)))
    assert (await visitor_on_a_loop.get("/ado/read")).json()["n"] == 20


async def test_a_login_and_a_logout(engine: SessionManager, visitor_on_a_loop: Browser, ann: Any) -> None:
    """Through Django's own alogin and alogout."""
    events = heard(engine)
    await visitor_on_a_loop.get("/ado/set?a=1")
    answer = await visitor_on_a_loop.get("/ado/login?name=ann")
    key = answer.cookies["sessionid"].value
    assert answer.json() == key
    assert (await visitor_on_a_loop.get("/ado/who")).json() == "ann"
    assert [event.subject for event in events if isinstance(event, SessionLoggedIn)] == [str(ann.pk)]
    assert (await visitor_on_a_loop.get("/ado/logout")).cookies["sessionid"].value == ""
    assert not await SessionStore().aexists(key)


async def test_what_was_ended_stays_so(waiting: Waiting) -> None:
    """Also where everything is awaited."""
    store = SessionStore()
    await store.aset("a", 1)
    await store.asave()
    late, quick = SessionStore(store.session_key), SessionStore(store.session_key)
    await late.aset("b", 2)
    await quick.aflush()
    with pytest.raises(UpdateError):
        await late.asave()
    again = SessionStore()
    await again.acreate()
    key = again.session_key
    await again.acycle_key()
    assert again.session_key != key
    assert not await again.aexists(key)
    await again.adelete()
    assert not await again.aexists(again.session_key)


async def test_the_contract_in_its_a_forms(engine: SessionManager) -> None:
    """Each does what its blocking form does."""
    store = SessionStore()
    assert await store.asetdefault("a", 1) == 1
    assert await store.asetdefault("a", 2) == 1
    await store.aupdate({"b": 2, "c": 3})
    assert await store.apop("c") == 3
    assert await store.apop("c", None) is None
    with pytest.raises(KeyError):
        await store.apop("c")
    assert await store.ahas_key("b")
    assert set(await store.akeys()) == {"a", "b"}
    assert set(await store.avalues()) == {1, 2}
    assert dict(await store.aitems()) == {"a": 1, "b": 2}
    await store.aset_test_cookie()
    assert await store.atest_cookie_worked()
    await store.adelete_test_cookie()
    await store.aset_expiry(300)
    assert await store.aget_expiry_age() == 300
    assert await store.aget_expire_at_browser_close() is False
    await store.asave(must_create=True)
    assert await SessionStore(store.session_key).aload() == {"a": 1, "b": 2, "_session_expiry": 300}
    await SessionStore.aclear_expired()


async def test_a_lock_waits_on_the_loop(waiting: Waiting) -> None:
    """Tasks of one process take turns."""
    store = SessionStore()
    await store.aset("steps", [])
    await store.asave()

    async def step(number: int) -> None:
        async with SessionStore(store.session_key).limpet.exclusive("steps") as session:
            await session.aset("steps", [*await session.aget("steps"), number])

    await asyncio.gather(*(step(number) for number in range(8)))
    assert sorted(await SessionStore(store.session_key).aget("steps")) == list(range(8))


async def test_a_store_that_does_not_answer_is_503(waiting: Waiting, visitor_on_a_loop: Browser, hook: Hook) -> None:
    """When reading and when saving; a view that does not use the session stays up."""
    await visitor_on_a_loop.get("/ado/set?a=1")

    async def nothing(request: Any) -> None:
        return None

    async def fails(request: Any) -> None:
        await request.session.aset("b", 2)
        waiting.is_down = True

    hook("nothing", nothing, blocks=False)
    hook("fails", fails, blocks=False)
    saving = await visitor_on_a_loop.get("/ado/fails")
    reading = await visitor_on_a_loop.get("/ado/read")
    assert [saving.status_code, reading.status_code] == [503, 503]
    assert saving["Retry-After"] == reading["Retry-After"] == "1"
    assert "sessionid" not in saving.cookies
    assert (await visitor_on_a_loop.get("/ado/nothing")).status_code == 200
    waiting.is_down = False
    assert (await visitor_on_a_loop.get("/ado/read")).json() == {"a": "1"}


async def test_a_users_sessions(waiting: Waiting, ann: Any) -> None:
    """Listed and ended without blocking."""
    browsers: list[Browser] = [AsyncClient(), AsyncClient()]
    for browser in browsers:
        await browser.get("/ado/login?name=ann")
    session = SessionStore(browsers[0].cookies["sessionid"].value)
    devices = await session.limpet.asessions()
    assert [info.current for info in devices].count(True) == 1
    other = next(info.public_id for info in devices if not info.current)
    assert await session.limpet.arevoke("0" * 64) == 0
    assert await session.limpet.arevoke(other) == 1
    assert await session.limpet.arevoke_others() == 0
    assert (await browsers[1].get("/ado/who")).json() == ""


async def test_the_site_has_its_own_page_for_it(waiting: Waiting, visitor_on_a_loop: Browser) -> None:
    """``on_refused`` of the manager makes it; it is handed the request's ``META`` as the scope."""
    await visitor_on_a_loop.get("/ado/set?a=1")
    manager().on_refused = lambda refusal: {"reason": refusal.reason, "path": refusal.scope["PATH_INFO"]}
    waiting.is_down = True
    answer = await visitor_on_a_loop.get("/ado/read")
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert answer.json() == {"reason": "store-unavailable", "path": "/ado/read"}


async def test_the_cookies_of_that_page_arrive(waiting: Waiting, visitor_on_a_loop: Browser) -> None:
    """All of them, with their attributes, although a response of Django's has one header of each name."""
    lines = [b"a=1; Path=/x; HttpOnly; SameSite=Lax", b"b=; Max-Age=0; Path=/", b"c=3; Secure; Partitioned; Path=/"]
    page = Answer(503, tuple((b"set-cookie", line) for line in lines), b"later", 1013)
    await visitor_on_a_loop.get("/ado/set?a=1")
    manager().on_refused = lambda refusal: page
    waiting.is_down = True
    answer = await visitor_on_a_loop.get("/ado/read")
    sent = [cookie.OutputString() for cookie in answer.cookies.values()]
    sent += [answer["Set-Cookie"]] if answer.has_header("Set-Cookie") else []
    assert sorted(sorted(line.split("; ")) for line in sent) == sorted(
        sorted(line.decode().split("; ")) for line in lines
    )
