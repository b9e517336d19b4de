"""Every event is told at its place, once, and no listener can break a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from limpet import Session, SessionManager, StoreUnavailable, events
from limpet.contract import Record
from limpet.runtime import AsyncioRuntime
from limpet.stores import Outcome
from limpet.stores.memory import MemoryStore
from tests.site import Site, opened

DAY = 86_400


class FailingStore(MemoryStore):
    """A store that can be made to fail."""

    failing = False

    async def load(self, key: str) -> Record | None:
        if self.failing:
            raise StoreUnavailable
        return await super().load(key)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        if self.failing:
            raise StoreUnavailable
        return await super().update(key, record, expected, now=now)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A site in memory."""
    async with opened("memory", tmp_path, renewal_interval=600, renewal_grace=30) as site:
        yield site


def advance(site: Site, seconds: float) -> None:
    """Turn the site's clock."""
    site.manager.clock.advance(seconds)  # type: ignore[attr-defined]


async def key_of(site: Site, cookie: str) -> str:
    """Return the store key of the session behind a cookie."""
    session = site.begin(cookie)
    await site.manager.load(session)
    assert session.public_id is not None
    return session.public_id


def only(site: Site, kind: type[events.Event]) -> Any:
    """Return the one event of that kind, and check what it says of the session."""
    [event] = [event for event in site.heard if type(event) is kind]
    assert event.at == site.manager.clock()
    assert event.tag is None or len(event.tag) == 8
    return event


async def test_created(site: Site) -> None:
    """A first write makes a session."""
    cookie = await site.run(lambda session: session.update(a=1))
    assert only(site, events.SessionCreated).tag == (await key_of(site, cookie or ""))[:8]
    await site.run(lambda session: session.update(a=2), cookie)
    only(site, events.SessionCreated)


async def test_logged_in(site: Site) -> None:
    """A login is told with its subject, from nothing and from an anonymous session."""
    await site.login("ann")
    assert only(site, events.SessionLoggedIn).subject == "ann"
    site.heard.clear()
    cookie = await site.run(lambda session: session.update(a=1))
    await site.login("bob", cookie=cookie)
    assert only(site, events.SessionLoggedIn).subject == "bob"


async def test_logged_out(site: Site) -> None:
    """A logout is told with its subject."""
    cookie = await site.login("ann")
    await site.run(lambda session: session.logout(), cookie)
    assert only(site, events.SessionLoggedOut).subject == "ann"


async def test_regenerated(site: Site) -> None:
    """A change of the id is told."""
    cookie = await site.login("ann")
    await site.run(lambda session: session.regenerate(), cookie)
    assert only(site, events.SessionRegenerated).subject == "ann"


async def test_renewed_and_reused(site: Site) -> None:
    """A renewal is told, and so is the former id when it comes back after its grace."""
    cookie = await site.login("ann")
    advance(site, 601)
    renewed = await site.run(lambda session: session.get("x"), cookie)
    assert only(site, events.SessionRenewed).subject == "ann"
    await site.run(lambda session: session.get("x"), renewed)  # the new id is shown: the grace begins
    advance(site, 31)
    assert await site.whose(cookie) is None
    only(site, events.SessionReused)


async def test_expired(site: Site) -> None:
    """A session that comes back after its deadline is told with its subject."""
    cookie = await site.login("ann")
    advance(site, DAY)
    assert await site.whose(cookie) is None
    assert only(site, events.SessionExpired).subject == "ann"


async def test_revoked(site: Site) -> None:
    """A session that was ended from outside is told once, when it is ended."""
    cookie = await site.login("ann")
    key = await key_of(site, cookie)
    await site.manager.revoke_all("ann")
    await site.whose(cookie)
    revoked = only(site, events.SessionRevoked)
    assert (revoked.subject, revoked.tag) == ("ann", key[:8])


async def test_limit_reached(tmp_path: Path) -> None:
    """A login that is one too many is told with what gave way."""
    async with opened("memory", tmp_path, max_sessions=1) as site:
        key = await key_of(site, await site.login("ann"))
        advance(site, 1)
        await site.login("ann")
        reached = only(site, events.LimitReached)
        assert (reached.subject, reached.tag, reached.refused) == ("ann", key[:8], False)


async def two_at_once(site: Site, one: dict[str, Any], other: dict[str, Any]) -> None:
    """Let two requests write into one session at the same time."""
    cookie = await site.run(lambda session: session.update(base=0))
    first, second = site.begin(cookie), site.begin(cookie)
    for session in (first, second):
        await site.manager.load(session)
    first.update(one)
    second.update(other)
    await site.manager.commit(first)
    await site.manager.commit(second)


async def test_merged(site: Site) -> None:
    """Two writes at once of different keys: told with the number of attempts, and nothing was overwritten."""
    await two_at_once(site, {"a": 1}, {"b": 1})
    assert only(site, events.SessionMerged).attempts == 2
    assert events.ValueOverwritten not in map(type, site.heard)


@pytest.mark.parametrize("how", ["login", "regenerate", "renew"])
async def test_merged_while_the_id_changes(site: Site, how: str) -> None:
    """What another request had saved under an old id is merged into the new one: told, once."""
    cookie = await site.run(lambda session: session.update(base=0))
    if how == "renew":
        advance(site, 601)
    changing, other = site.begin(cookie), site.begin(cookie)
    for session in (changing, other):
        await site.manager.load(session)
    other["b"] = 1
    if how == "renew":  # this one renews: the other finds what it left
        changing, other = other, changing
        other["a"] = 1
    await site.manager.commit(other)
    if how == "login":
        changing.login("ann")
    elif how == "regenerate":
        changing.regenerate()
    await site.manager.commit(changing)
    assert changing["b"] == 1
    assert only(site, events.SessionMerged).attempts == 2


async def test_overwritten(site: Site) -> None:
    """Two different values for one key: told with the key, and no value is in the event."""
    await two_at_once(site, {"k": "first-value"}, {"k": "second-value"})
    overwritten = only(site, events.ValueOverwritten)
    assert overwritten.keys == ("k",)
    assert "value" not in repr(overwritten).lower().replace("valueoverwritten", "")


async def test_write_after_end(site: Site) -> None:
    """A write to a session that another request ended meanwhile is told."""
    cookie = await site.login("ann")
    late = site.begin(cookie)
    await site.manager.load(late)
    late["a"] = 1
    await site.run(lambda session: session.logout(), cookie)
    await site.manager.commit(late)
    assert only(site, events.WriteAfterEnd).subject == "ann"


async def test_corrupt(site: Site) -> None:
    """A record that cannot be read is told with the reason."""
    cookie = await site.login("ann")
    key = await key_of(site, cookie)
    record = await site.manager.engine.storage.server.load(key)
    assert record is not None
    damaged = record._replace(version=record.version ^ 1, payload=record.payload[:-1] + b"\0")
    await site.manager.engine.storage.server.update(key, damaged, record.version, now=site.manager.clock())
    assert await site.whose(cookie) is None
    assert "checksum" in only(site, events.CorruptRecord).reason


async def test_ambiguous(site: Site) -> None:
    """Two different live cookies in one request are told."""
    cookies = [await site.login("ann") for _ in range(2)]
    name = site.manager.cookie_name
    session = site.manager.begin([(b"cookie", "; ".join(f"{name}={cookie}" for cookie in cookies).encode())])
    await site.manager.load(session)
    assert session.subject is None
    only(site, events.AmbiguousCookie)


async def test_store_failed() -> None:
    """A call of the store that fails is told with its name."""
    store = FailingStore()
    site = Site(SessionManager(store, dev=False))
    cookie = await site.login("ann")
    store.failing = True
    session = site.begin(cookie)
    with pytest.raises(StoreUnavailable):
        await site.manager.load(session)
    [failed] = [event for event in site.heard if isinstance(event, events.StoreFailed)]
    assert failed.call == "load"


async def test_swept(site: Site) -> None:
    """Each batch of a sweep is told, so that a long one can be watched."""
    for number in range(3):
        await site.login(f"user{number}")
    advance(site, 20 * DAY)
    assert await site.manager.sweep() == 3
    assert only(site, events.SessionsSwept).deleted == 3
    assert await site.manager.sweep() == 0
    only(site, events.SessionsSwept)


async def test_asynchronous_listeners(site: Site) -> None:
    """A coroutine function listens as well; a request does not wait for it."""
    site.manager.runtime = AsyncioRuntime()
    heard: list[str] = []

    @site.manager.listen
    async def listener(event: events.Event) -> None:
        await asyncio.sleep(0)
        heard.append(type(event).__name__)

    await site.login("ann")
    assert heard == []
    await site.manager.runtime.drain(1)
    assert heard == ["SessionCreated", "SessionLoggedIn"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_failing_listener_breaks_nothing(
    site: Site, asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """What a listener raises is logged; the request goes on, and other listeners hear the event."""
    site.manager.runtime = AsyncioRuntime()
    heard: list[events.Event] = []

    def fails(event: events.Event) -> None:
        raise ZeroDivisionError(type(event).__name__)

    async def fails_later(event: events.Event) -> None:
        fails(event)

    site.manager.listen(fails_later if asynchronous else fails)
    site.manager.listen(heard.append)
    cookie = await site.login("ann")
    await site.manager.runtime.drain(1)
    assert await site.whose(cookie) == "ann"
    assert len(heard) == 2
    assert "ZeroDivisionError" in caplog.text


async def test_no_event_tells_a_secret(site: Site) -> None:
    """No event holds an id, a whole key or a value."""
    cookie = await site.run(fill) or ""
    key = await key_of(site, cookie)
    await site.run(lambda session: session.logout(), cookie)
    told = repr(site.heard)
    assert cookie
    assert cookie not in told
    assert key not in told
    assert "card number" not in told


def fill(session: Session) -> None:
    """Log in and write something that nobody should read in a log."""
    session.login("ann")
    session["card"] = "card number"
