"""What a commit asks of the store, how often, and what is left when it fails."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from limpet import Session, StoreUnavailable, UnstorableValue
from limpet._wire import forward
from limpet._wire.marks import is_mark
from limpet.contract import Outcome, Record
from limpet.stores.memory import MemoryStore
from limpet.testing.machine import FailingStore
from tests.races.counted import CountedSite
from tests.site import Handler, nothing

HOUR = 3600


def ignore(session: Session) -> None:
    """Do not even look."""


def write(session: Session) -> None:
    session["x"] = session.get("x", 0) + 1


def begin_again(session: Session) -> None:
    session.clear()
    session["x"] = 0


CALLS: dict[str, tuple[Handler, dict[str, int]]] = {
    "untouched": (ignore, {"load": 1}),
    "read": (nothing, {"load": 1}),
    "write": (write, {"load": 1, "update": 1}),
    "equal write": (lambda session: session.update(x=0), {"load": 1}),
    "there and back": (lambda session: (session.update(y=1), session.pop("y")), {"load": 1}),
    # The record of an id that ends gives way to a tombstone.
    # A login and a session that begins ask once more what has been revoked meanwhile.
    "login": (lambda session: session.login("ann"), {"load": 2, "create": 1, "update": 1}),
    "regenerate": (lambda session: session.regenerate(), {"load": 1, "create": 1, "update": 1}),
    "logout": (lambda session: session.logout(), {"load": 1, "update": 1}),
    "clear, then write": (begin_again, {"load": 2, "update": 1, "create": 1}),
}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", CALLS)
async def test_round_trips(name: str, lazy: bool) -> None:
    """Reading costs one round trip, a write one more, a change of id two; nothing else costs any."""
    site = CountedSite(MemoryStore(), lazy=lazy)
    token = await site.session(x=0)
    handler, calls = CALLS[name]

    async def loading(session: Session) -> None:
        await session.load()
        handler(session)

    await site.ask(loading if lazy else handler, token)
    assert site.take() == calls


async def test_a_write_that_moves_the_deadline_of_a_cookie_costs_no_look() -> None:
    """Its version has shown that the id is the session's, so the cookie goes out again without another call."""
    site = CountedSite(MemoryStore(), absolute_timeout=None)
    token = await site.session(x=0)
    site.clock.advance(3600)
    reply = await site.ask(write, token)
    assert (reply.token, site.take()) == (token, {"load": 1, "update": 1})


@pytest.mark.parametrize(
    "handler", [ignore, nothing, lambda session: session.logout(), lambda session: session.pop("x", 0)]
)
async def test_s07_without_a_cookie_nothing_is_asked(handler: Handler) -> None:
    """A request without a cookie that writes nothing costs no call, leaves no row and gets no cookie."""
    site = CountedSite(MemoryStore())
    reply = await site.ask(handler)
    assert (site.take(), reply.token, await site.rows()) == ({}, None, [])


async def test_a_lazy_request_that_does_not_load_asks_nothing() -> None:
    """Lazy: no call until somebody loads."""
    site = CountedSite(MemoryStore(), lazy=True)
    token = await site.session()
    await site.ask(ignore, token)
    assert site.take() == {}


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "A" * 42, "é" * 43, "%00" * 10])
async def test_s12_a_malformed_id_asks_nothing(token: str) -> None:
    """An id that was never handed out in that form costs no call; one that merely is unknown costs one."""
    site = CountedSite(MemoryStore())
    session = site.begin(token)
    await site.manager.load(session)
    assert session.public_id is None
    assert sum(site.take().values()) == (
        0 if len(token) != 43 or not token.isascii() else site.manager.engine.ids.verify(token) is not None
    )


async def test_a_touch_at_most_once_per_interval() -> None:
    """Reads within the touch interval write nothing; then one touch, and none again until it has passed."""
    site = CountedSite(MemoryStore(), idle_timeout=HOUR, touch_interval=60)
    token = await site.session()
    for seconds, calls in (
        (59, {"load": 1}),
        (1, {"load": 1, "touch": 1}),
        (59, {"load": 1}),
        (1, {"load": 1, "touch": 1}),
    ):
        site.clock.advance(seconds)
        reply = await site.ask(nothing, token)
        assert (site.take(), reply.token) == (calls, None)


async def test_a_conflict_costs_one_round_trip() -> None:
    """Being overtaken costs one more update, because the store answers with what is there."""
    site = CountedSite(MemoryStore())
    token = await site.session()
    async with site.held(write, token):
        await site.ask(lambda session: session.update(y=1), token)
        site.take()
    assert site.take() == {"update": 2}


async def test_f03_a_failed_save_is_a_503_without_a_cookie() -> None:
    """The store fails at the commit: 503, Retry-After, no cookie, and the stored session is as it was."""
    failing = FailingStore(MemoryStore())
    site = CountedSite(failing)
    token = await site.session(x=0)
    handlers: list[Handler] = [write, lambda s: s.login("ann"), lambda s: s.regenerate(), lambda s: s.logout()]
    for handler in handlers:
        async with site.held(handler, token) as held:
            failing.down = True
        assert (held.status, held.token) == (503, None)
        assert held.headers["retry-after"] == "1"
        failing.down = False
        assert await site.read(token) == {"x": 0}
    assert (await site.ask(write, None)).status == 200


async def test_f01_a_failed_load_is_raised_at_first_use() -> None:
    """The store fails at the load: a route that does not use the session answers, one that does is a 503."""
    failing = FailingStore(MemoryStore())
    site = CountedSite(failing)
    token = await site.session()
    failing.down = True
    assert (await site.ask(ignore, token)).status == 200
    assert (await site.ask(nothing, token)).status == 503


async def test_f01_on_load_error_anonymous_keeps_logouts_honest() -> None:
    """With ``on_load_error="anonymous"`` reading works, and a logout is done or is a 503: it is never dropped."""
    failing = FailingStore(MemoryStore())
    site = CountedSite(failing, on_load_error="anonymous")
    token = await site.session()
    failing.down = True
    reply = await site.ask(nothing, token)
    assert (reply.status, reply.token) == (200, None)
    assert (await site.ask(lambda session: session.logout(), token)).status == 503

    def back(session: Session) -> None:
        failing.down = False
        session.logout()

    assert (await site.ask(back, token)).token == ""
    assert await site.read(token) is None


async def test_a_failed_touch_is_only_an_event() -> None:
    """A touch that fails does not fail the request."""
    failing = FailingStore(MemoryStore())
    site = CountedSite(failing, touch_interval=0)
    token = await site.session()
    async with site.held(nothing, token) as held:
        failing.down = True
    assert held.status == 200
    assert "StoreFailed" in site.names()


async def test_f20_an_unstorable_value_changes_nothing() -> None:
    """What cannot be stored is an error that names the key, and the stored record is untouched."""
    site = CountedSite(MemoryStore(), max_size=1_000)
    token = await site.session(x=0)
    for value, name in (
        (object(), "bad"),
        (bytearray(b"x"), "bad"),
        ({1: 2, "n": {3, object()}}, "bad"),
        ("x" * 2_000, "bad"),
    ):
        with pytest.raises(UnstorableValue, match=name):
            await site.ask(lambda session, value=value: session.update(x=1, bad=value), token)  # type: ignore[misc]
        assert await site.read(token) == {"x": 0}


class Stuttering(FailingStore):
    """A store of which a test says which call fails."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.fails: Callable[[str], bool] = lambda call: False

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        self._maybe("create")
        return await super().create(key, record, now=now)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self._maybe(
            "forward" if forward.is_forward(record.payload) else "bury" if is_mark(record.payload) else "update"
        )
        return await super().update(key, record, expected, now=now)

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        self._maybe("bury")
        return await super().__getattr__("replace")(key, record, expected, now=now)  # type: ignore[no-any-return]

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        self._maybe("drop" if version is None else "delete")
        return await super().delete(key, version)

    def _maybe(self, call: str) -> None:
        if self.fails(call):
            raise StoreUnavailable("on purpose")


@pytest.mark.parametrize("call", ["create", "bury"])
async def test_a_change_of_id_that_fails_leaves_one_record(call: str) -> None:
    """Whichever call of a regenerate fails, the old id stays, and no record is left that nobody can reach."""
    store = Stuttering()
    site = CountedSite(store)
    token = await site.session(x=0)
    store.fails = lambda name: name == call
    assert (await site.ask(lambda session: session.regenerate(), token)).status == 503
    store.fails = lambda name: False
    assert await site.read(token) == {"x": 0}
    assert len(await site.rows()) == 1


@pytest.mark.parametrize("failing_from", range(2, 8))
async def test_a_store_that_fails_during_a_change_of_id_costs_nothing(failing_from: int) -> None:
    """Whatever call of a user's regenerate the store fails from on, the session is there under one id."""
    store = FailingStore(MemoryStore())
    site = CountedSite(store)
    token = (await site.ask(lambda session: session.login("ann"))).token
    asked = count(1)

    def fail() -> None:
        store.down = next(asked) >= failing_from

    assert site.counting is not None
    site.counting.before = fail
    reply = await site.ask(lambda session: session.regenerate(), token)
    site.counting.before, store.down = None, False
    live = [each for each in (reply.token, token) if each is not None and await site.read(each) is not None]
    assert live == [reply.token or token]


async def test_a_change_of_id_that_fails_can_be_tried_again() -> None:
    """A handler that catches the failure of ``save()`` loses nothing: the response saves all of it."""
    store = Stuttering()
    site = CountedSite(store, renewal_interval=300)
    for handler in (write, lambda session: session.regenerate()):
        token = await site.session(x=0)
        site.clock.advance(300)

        async def twice(session: Session, handler: Handler = handler) -> None:
            session.increment("x")
            handler(session)
            store.fails = lambda name: name in ("forward", "create")
            with pytest.raises(StoreUnavailable):
                await session.save()
            store.fails = lambda name: False

        reply = await site.ask(twice, token)
        assert reply.status == 200
        assert await site.read(reply.token) == {"x": 2 if handler is write else 1}
        assert (await site.read(token) is None) is (handler is not write), "the id that regenerate changed is dead"


async def test_the_grace_begins_although_the_store_failed() -> None:
    """When the store fails while a grace is begun, the next request begins it: the old id does not live for ever."""
    store = Stuttering()
    site = CountedSite(store, renewal_interval=300, renewal_grace=30)
    token = await site.session()
    site.clock.advance(300)
    renewed = (await site.ask(nothing, token)).token
    store.fails = lambda name: name in ("forward", "update")
    assert (await site.ask(nothing, renewed)).status == 503
    store.fails = lambda name: False
    assert (await site.ask(nothing, renewed)).status == 200
    site.clock.advance(30)
    assert await site.read(token) is None
    assert await site.read(renewed) is not None


async def test_f05_a_corrupt_record_is_anonymous_and_goes() -> None:
    """A record that cannot be read is an event and an anonymous session; it is deleted, and the client can go on."""
    store = MemoryStore()
    site = CountedSite(store)
    token = await site.session(x=0)
    ((key, record),) = await site.rows()
    await store.update(key, record._replace(version=1, payload=record.payload[:-1]), record.version, now=0)
    reply = await site.ask(write, token)
    assert (reply.status, await site.rows() != []) == (200, True)
    assert reply.token
    assert reply.token != token
    assert site.names() == ["SessionCreated", "CorruptRecord", "SessionCreated"]
    assert await store.load(key) is None


async def test_a_revocation_of_all_ends_a_login_under_way() -> None:
    """Every record of a session is deleted while it changes its id and meets a write: it is over."""
    store = MemoryStore()

    class Revoking(FailingStore):
        async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
            outcome: Outcome = await super().__getattr__("replace")(key, record, expected, now=now)
            if isinstance(outcome, Record):
                for other in list(store._records):
                    await store.delete(other)
            return outcome

    site = CountedSite(Revoking(store))
    token = await site.session(x=0)
    async with site.held(lambda session: session.regenerate(), token) as held:
        await site.ask(write, token)
    assert (held.status, held.token, await site.rows()) == (200, None, [])


async def test_a_listener_can_not_break_a_request() -> None:
    """What a listener raises is logged; the request goes on."""
    site = CountedSite(MemoryStore())

    def broken(event: object) -> None:
        raise RuntimeError("on purpose")

    site.manager.listen(broken)
    assert (await site.ask(write)).status == 200


async def test_a_login_that_was_saved_keeps_its_subject_beside_a_write() -> None:
    """What another request saves under the old id after `save()` is merged into the login, and not whose it was."""
    site = CountedSite(MemoryStore())
    token = await site.session(x=0)

    async def login(session: Session) -> None:
        session.login("ann")
        await session.save()
        await site.ask(lambda other: other.update(y=1), token)

    reply = await site.ask(login, token)
    found = site.begin(reply.token)
    await site.manager.load(found)
    assert (found.subject, dict(found)) == ("ann", {"x": 0, "y": 1})


async def test_a_login_ends_both_of_two_sessions_after_a_save_too() -> None:
    """Two cookies of one name, and a handler that saves before it logs in: neither session is left."""
    site = CountedSite(MemoryStore())
    tokens = [await site.session(x=number) for number in range(2)]
    cookies = "; ".join(f"{site.manager.cookie_name}={token}" for token in tokens)
    session = site.manager.begin([(b"cookie", cookies.encode())])
    await site.manager.load(session)
    session["y"] = 1
    await session.save()
    session.login("ann")
    await site.manager.commit(session)
    assert [await site.read(token) for token in tokens] == [None, None]
