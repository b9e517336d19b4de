"""`Session`, the mapping and the notes that a handler makes on it; nothing here talks to a store but `save`."""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from limpet import Session, SessionClosed, SessionManager, SessionNotLoaded, StoreUnavailable, UnstorableValue
from limpet._core.session import state_of
from limpet._core.state import CLOSED, STARTED
from limpet.stores.memory import MemoryStore
from tests.races.counted import CountedSite


@pytest.fixture
def site() -> CountedSite:
    """A site in memory."""
    return CountedSite(MemoryStore())


@pytest.fixture
def session(site: CountedSite) -> Session:
    """The session of a request without a cookie."""
    return site.begin(None)


async def stored(site: CountedSite, **data: Any) -> Session:
    """Return a stored session as the next request loads it."""
    session = site.begin(await site.session(**data))
    return await session.load()


def test_it_is_a_mutable_mapping(session: Session) -> None:
    """Everything that works on a mapping works on a session."""
    assert isinstance(session, MutableMapping)
    session["a"] = 1
    session.update(b=2, c=3)
    session |= {"d": 4}
    assert session.setdefault("a", 9) == 1
    assert session.pop("b") == 2
    assert session.pop("b", None) is None
    del session["c"]
    assert session == {"a": 1, "d": 4}
    assert (len(session), list(session), "a" in session, "b" in session) == (2, ["a", "d"], True, False)
    assert session.popitem() == ("d", 4)
    assert session.get("d") is None
    with pytest.raises(KeyError):
        session["d"]
    with pytest.raises(KeyError):
        del session["d"]
    session.popitem()
    with pytest.raises(KeyError):
        session.popitem()
    assert not session


def test_f20_a_key_is_a_string(session: Session) -> None:
    """A key of another type is refused when it is set, and named."""
    with pytest.raises(UnstorableValue, match="must be a str, not int"):
        session[1] = "x"


def test_s30_its_repr_tells_nothing(session: Session) -> None:
    """What is in a session is never in its representation."""
    session["card"] = "4111"
    session.login("ann")
    assert repr(session) == "<Session new>"
    assert not {"4111", "ann"} & set(f"{session} {session!r}".split())


async def test_a_new_session_has_no_facts(site: CountedSite, session: Session) -> None:
    """Before anything is stored there is no id, no time and nobody."""
    facts = session.public_id, session.created_at, session.expires_at, session.authenticated_at, session.subject
    assert facts == (None,) * 5
    assert session.is_new
    assert not session.modified
    assert session.accessed


async def test_a_stored_session_has_facts(site: CountedSite) -> None:
    """A stored session knows when it began, when it ends and under which key it is kept."""
    start = site.clock()
    session = await stored(site)
    assert session.public_id is not None
    assert len(session.public_id) == 64
    assert session.created_at is not None
    assert session.expires_at is not None
    assert session.created_at.timestamp() * 1000 == start
    assert session.expires_at - session.created_at == timedelta(hours=24)
    assert not session.is_new
    assert repr(session) == f"<Session {session.public_id[:8]}>"


async def test_reading_is_no_change(site: CountedSite) -> None:
    """Looking at values, nested ones too, or assigning equal ones, changes nothing; a nested change does."""
    session = await stored(site, cart={"tea": [1]})
    assert session["cart"]["tea"] == [1]
    session["cart"] = {"tea": [1]}
    assert not session.modified
    session["cart"]["tea"].append(2)
    assert session.modified


async def test_a_lazy_session_says_how_to_load_it(site: CountedSite) -> None:
    """Touching a session that is not loaded raises, and names both cures."""
    token = await site.session()
    for use in (len, list, bool, lambda session: session["x"], lambda session: session.login("ann")):
        with pytest.raises(SessionNotLoaded, match=r"await session\.load\(\).*lazy=False"):
            use(site.begin(token))


def test_login_notes_who(session: Session) -> None:
    """``login`` tells the subject and when, and asks for a new id at the commit."""
    session.login("ann")
    assert session.subject == "ann"
    assert session.authenticated_at is not None
    assert session.modified


@pytest.mark.parametrize("subject", [None, "", 7, b"ann"])
def test_login_takes_a_string(session: Session, subject: Any) -> None:
    """Anything but a non-empty string is refused: ``None`` would be nobody."""
    with pytest.raises(TypeError, match="non-empty str such as"):
        session.login(subject)
    assert session.subject is None


async def test_login_keeps_or_clears(site: CountedSite) -> None:
    """From anonymous, or of the same subject, the data stays; of another subject it is cleared first."""
    session = await stored(site, cart=["tea"])
    session.login("ann")
    session.login("ann")
    assert session["cart"] == ["tea"]
    session.login("bob")
    assert dict(session) == {}
    assert session.subject == "bob"


@pytest.mark.parametrize(
    ("before", "by", "after"),
    [(None, 1, 1), (3, 2, 5), (3, -4, -1), (1.5, 1, 2.5), (Decimal("0.1"), Decimal("0.2"), Decimal("0.3"))],
)
def test_increment_adds(session: Session, before: Any, by: Any, after: Any) -> None:
    """``increment`` returns the sum; what is not there counts as 0."""
    if before is not None:
        session["n"] = before
    assert session.increment("n", by) == after
    assert session["n"] == after


@pytest.mark.parametrize(("before", "by"), [("1", 1), (None, 1), (True, 1), (1, "1"), ([], 1), (Decimal(1), 0.5)])
def test_increment_adds_numbers_only(session: Session, before: Any, by: Any) -> None:
    """Anything but numbers that add up is a TypeError, and the value stays."""
    session["n"] = before
    with pytest.raises(TypeError):
        session.increment("n", by)
    assert session["n"] == before


@pytest.mark.parametrize("life", [0, -1, math.nan, math.inf, timedelta(0)])
def test_expire_in_takes_a_positive_time(session: Session, life: Any) -> None:
    """A session cannot be given a life of nothing or of for ever; the error says what to call instead."""
    with pytest.raises(ValueError, match=r"positive, finite time.*logout\(\)"):
        session.expire_in(life)


def test_expire_in_sets_the_deadline(site: CountedSite, session: Session) -> None:
    """The deadline counts from now, in seconds or as a timedelta; None goes back to the policy."""
    session["x"] = 1
    for life in (90, timedelta(minutes=1.5)):
        session.expire_in(life)
        assert session.expires_at is not None
        assert session.expires_at.timestamp() * 1000 == site.clock() + 90_000
    session.expire_in(None)
    assert session.expires_at is not None
    assert session.expires_at.timestamp() * 1000 == site.clock() + 86_400_000


async def test_clear_ends_it(site: CountedSite) -> None:
    """After ``clear`` the session is empty, nobody's and new; a write begins another."""
    session = await stored(site, cart=["tea"])
    session.login("ann")
    session.clear()
    assert (dict(session), session.subject, session.is_new, session.modified) == ({}, None, True, True)
    session["x"] = 1
    assert dict(session) == {"x": 1}


def test_refusals_after_the_response_started(site: CountedSite, session: Session) -> None:
    """Without an id nothing can be written any more, and no new id can be had; each refusal says what to do."""
    state_of(session).phase = STARTED
    with pytest.raises(SessionClosed, match="Write before the first byte"):
        session["x"] = 1
    for late in (session.regenerate, lambda: session.login("ann")):
        with pytest.raises(SessionClosed, match="new id cannot be handed out"):
            late()
    assert dict(session) == {}


async def test_refusals_of_a_stored_session(site: CountedSite) -> None:
    """A session that has an id can be written late; a login by its key cannot, nor a write after a late logout."""
    site = CountedSite(MemoryStore(), rotate_on=("user_id",))
    session = await stored(site)
    state_of(session).phase = STARTED
    session["x"] = 1
    with pytest.raises(SessionClosed, match="new id cannot be handed out"):
        session["user_id"] = 7
    session.logout()
    with pytest.raises(SessionClosed, match="new id cannot be handed out"):
        session["y"] = 1


async def test_everything_is_refused_in_the_end(site: CountedSite) -> None:
    """After the application returned, writing, ending and saving raise."""
    session = await stored(site)
    state_of(session).phase = CLOSED
    with pytest.raises(SessionClosed, match="nothing saves it any more"):
        session["x"] = 1
    with pytest.raises(SessionClosed, match="cannot be ended any more"):
        session.logout()
    with pytest.raises(SessionClosed, match="after the application returned"):
        await session.save()
    assert session["begun"] is True


@pytest.mark.parametrize("store", ["memory:", "cookie:"])
@pytest.mark.parametrize("phase", [STARTED, CLOSED])
async def test_nobody_is_logged_out_at_any_time(store: str, phase: int) -> None:
    """Where there is no session there is nothing to end, however far the response is; twice, as a handler may."""
    manager = SessionManager(store, secret="8f2c1f6a0d4b9e7c5a3e1d0f2b4c6a8e9f7d5b3c1a0e2f4d6b8c", dev=False)
    session = manager.begin(())
    await manager.load(session)
    state_of(session).phase = phase
    session.logout()
    session.clear()
    assert session == {}
    assert manager.headers(session) == []


async def test_a_session_that_was_not_looked_at_is_not_nobody() -> None:
    """What the store would say is not known, so that a logout that cannot be carried out says so."""
    manager = SessionManager("memory:", dev=False)
    session = manager.begin([(b"cookie", manager.cookie_name.encode() + b"=" + b"A" * 43)])
    state_of(session).phase = CLOSED
    with pytest.raises(SessionClosed, match="cannot be ended any more"):
        session.logout()


async def test_a_cookie_session_is_over_when_the_response_starts() -> None:
    """A session that lives in its cookie cannot be written or ended once the headers are out."""
    manager = SessionManager("cookie:", secret="8f2c1f6a0d4b9e7c5a3e1d0f2b4c6a8e9f7d5b3c1a0e2f4d6b8c", dev=False)
    session = manager.begin(())
    session["x"] = 1
    await manager.commit(session)
    state_of(session).phase = STARTED
    with pytest.raises(SessionClosed):
        session["x"] = 2
    with pytest.raises(SessionClosed, match="lives in its cookie cannot be ended"):
        session.logout()


async def test_a_view_is_written_back(site: CountedSite) -> None:
    """A typed object stands for its key: what it becomes is stored, and an unchanged one changes nothing."""
    token = await site.session(cart={"items": ["tea"]})

    class Cart:
        def __init__(self, items: list[str]) -> None:
            self.items = items

    def look(session: Session) -> Cart:
        cart = Cart(list(session["cart"]["items"]))
        session.view("cart", cart, lambda cart: {"items": list(cart.items)})
        return cart

    await site.ask(look, token)
    assert site.take() == {"load": 1}
    await site.ask(lambda session: look(session).items.append("milk"), token)
    assert await site.read(token) == {"cart": {"items": ["tea", "milk"]}}

    def replace(session: Session) -> None:
        look(session).items.append("x")
        session["cart"] = None

    await site.ask(replace, token)
    assert await site.read(token) == {"cart": None}


async def test_a_view_is_merged_more_than_once(site: CountedSite) -> None:
    """A typed object that is saved, overtaken and saved again keeps what other requests put beside it."""
    token = await site.session(cart={})

    async def shop(session: Session) -> None:
        cart: dict[str, int] = {}
        session.view("cart", cart, dict)
        for item in ("tea", "milk"):
            cart[item] = 1
            await site.ask(lambda other, item=item: other["cart"].update({f"their {item}": 1}), token)  # type: ignore[misc]
            await session.save()

    await site.ask(shop, token)
    assert await site.read(token) == {"cart": {"tea": 1, "their tea": 1, "milk": 1, "their milk": 1}}


async def test_items_that_a_handler_holds_stay_part_of_the_session(site: CountedSite) -> None:
    """What a handler took out of the session before a merge is still in it afterwards."""
    token = await site.session(orders=[{"qty": 1}])

    async def handler(session: Session) -> None:
        first = session["orders"][0]
        session["orders"].append({"qty": 5})
        mine = session["orders"][1]
        await site.ask(lambda other: other["orders"].append({"qty": 9}), token)
        await session.save()
        first["qty"] += 1
        mine["qty"] += 1

    await site.ask(handler, token)
    assert await site.read(token) == {"orders": [{"qty": 2}, {"qty": 9}, {"qty": 6}]}


async def test_a_session_of_an_outage_can_be_read_and_not_written() -> None:
    """``on_load_error="anonymous"``: an empty session to look at; writing it would lose the real one, and raises."""
    from limpet.testing.machine import FailingStore

    failing = FailingStore(MemoryStore())
    site = CountedSite(failing, on_load_error="anonymous")
    token = await site.session()
    failing.down = True
    session = await site.begin(token).load()
    assert dict(session) == {}
    with pytest.raises(StoreUnavailable, match="anonymous session only"):
        session["x"] = 1


async def test_a_cookie_keeps_its_version_until_its_id_would_change() -> None:
    """A save draws no random number for what nothing compares; after a change of id the cookie is another at once."""
    manager = SessionManager("cookie:signed", secret="8f2c1f6a0d4b9e7c5a3e1d0f2b4c6a8e9f7d5b3c", dev=False)
    manager.clock = lambda: 1_900_000_000_000
    cookies: list[bytes] = [b""]
    versions: list[int] = []
    for value in (1, 2, None):
        session = manager.begin([(b"cookie", cookies[-1])])
        if value is None:
            session.regenerate()
        else:
            session["x"] = value
        await manager.commit(session)
        cookies.append(manager.headers(session)[0][1].partition(b";")[0])
        stored = state_of(session).stored
        assert stored is not None
        versions.append(stored.record.version)
    assert versions[0] == versions[1] != versions[2]
    assert cookies[2] != cookies[3]
