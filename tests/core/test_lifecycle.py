"""The life of a session over several requests, rule by rule, with a clock that is turned by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from limpet import Session
from limpet._core.session import state_of
from limpet._core.state import OPEN, STARTED
from limpet.stores.memory import MemoryStore
from tests.races.counted import CountedSite
from tests.site import Handler, nothing

HOUR = 3600
DAY = 24 * HOUR


def login(session: Session) -> None:
    session.login("ann")


def begin_with_login(session: Session) -> None:
    session.login("ann")
    session["x"] = 1


def facts(session: Session) -> dict[str, Any]:
    """Return what a session says of itself."""
    return {
        "created": session.created_at,
        "expires": session.expires_at,
        "authenticated": session.authenticated_at,
        "subject": session.subject,
    }


async def ask(site: CountedSite, token: str | None) -> dict[str, Any]:
    """Return the facts of a session without using it."""
    return facts(await site.begin(token).load())


# -- when it ends


@pytest.mark.parametrize(("after", "alive"), [(HOUR - 0.001, True), (HOUR, False), (HOUR + 0.001, False)])
async def test_s09_idle_timeout(after: float, alive: bool) -> None:
    """A session is dead from the very millisecond of its idle deadline on."""
    site = CountedSite(MemoryStore(), idle_timeout=HOUR)
    token = await site.session()
    site.clock.advance(after)
    assert (await site.read(token) is not None) is alive


async def test_s10_absolute_timeout() -> None:
    """No activity, change of id or renewal carries a session over its absolute deadline; a login sets a new one."""
    site = CountedSite(MemoryStore(), idle_timeout=HOUR, absolute_timeout=3 * HOUR, renewal_interval=HOUR)
    token: str | None = (await site.ask(login)).token
    for handler in (
        nothing,
        lambda session: session.regenerate(),
        nothing,
        lambda session: session.update(x=1),
        nothing,
    ):
        site.clock.advance(HOUR / 2)
        token = (await site.ask(handler, token)).token or token
    site.clock.advance(HOUR / 2 - 0.001)
    assert await site.read(token) is not None
    token = (await site.ask(login, token)).token
    site.clock.advance(HOUR / 2)
    assert await site.read(token) is not None


async def test_s09_what_is_dead_stays_dead() -> None:
    """Once a session was dead, no later request, sweep or turn of the clock brings it back."""
    site = CountedSite(MemoryStore(), idle_timeout=HOUR, touch_interval=0)
    token = await site.session()
    site.clock.advance(HOUR)
    for seconds in (0, 30, 30, HOUR, -2 * HOUR):
        site.clock.advance(seconds)
        await site.ask(nothing, token)
        if seconds == HOUR:
            assert await site.rows() == []
        assert await site.read(token) is None
        await site.manager.sweep()


async def test_a_touch_moves_the_idle_deadline() -> None:
    """Reading a session, or merely sending its cookie, keeps it alive; no cookie is sent for that."""
    site = CountedSite(MemoryStore(), idle_timeout=HOUR)
    token = await site.session()
    for handler in (nothing, lambda session: None) * 3:
        site.clock.advance(HOUR * 0.9)
        assert (await site.ask(handler, token)).token is None
    assert await site.read(token) is not None


async def test_without_rolling_only_changes_count() -> None:
    """With ``rolling=False`` the idle deadline counts from the last change."""
    site = CountedSite(MemoryStore(), idle_timeout=HOUR, rolling=False)
    token = await site.session()
    site.clock.advance(HOUR * 0.6)
    await site.ask(nothing, token)
    await site.ask(lambda session: session.update(x=1), token)
    site.clock.advance(HOUR * 0.6)
    await site.ask(nothing, token)
    assert await site.read(token) is not None
    site.clock.advance(HOUR * 0.4)
    assert await site.read(token) is None


async def test_anonymous_timeout() -> None:
    """A session that nobody logged in to ends sooner where the policy says so; a login gives it the full time."""
    site = CountedSite(MemoryStore(), idle_timeout=DAY, anonymous_timeout=HOUR)
    anonymous, known = await site.session(), (await site.ask(login)).token
    site.clock.advance(HOUR)
    assert await site.read(anonymous) is None
    assert await site.read(known) is not None


async def test_remember() -> None:
    """``login(remember=True)`` gives one session the policy's other life; a later login without it takes that back."""
    site = CountedSite(MemoryStore(), remember=30 * DAY)
    token = (await site.ask(lambda session: session.login("ann", remember=True))).token
    site.clock.advance(29 * DAY)
    assert await site.read(token) is not None
    token = (await site.ask(login, token)).token
    site.clock.advance(2 * DAY)
    assert await site.read(token) is None


async def test_expire_in() -> None:
    """A session's own deadline takes the place of the idle timeout, is not moved by use, and None takes it back."""
    site = CountedSite(MemoryStore(), idle_timeout=HOUR)
    token: str | None = await site.session(x=1)
    await site.ask(lambda session: session.expire_in(2 * HOUR), token)
    site.clock.advance(1.5 * HOUR)
    assert await site.read(token) == {"x": 1}
    await site.ask(nothing, token)
    site.clock.advance(HOUR / 2)
    assert await site.read(token) is None
    token = await site.session()
    await site.ask(lambda session: session.expire_in(60), token)
    await site.ask(lambda session: session.expire_in(None), token)
    site.clock.advance(61)
    assert await site.read(token) is not None
    await site.ask(lambda session: session.expire_in(60), token)
    site.clock.advance(60)
    assert await site.read(token) is None


async def test_expire_in_sends_the_cookie_again() -> None:
    """A new deadline of its own is told to the browser, with the same id."""
    site = CountedSite(MemoryStore())
    token = await site.session()
    reply = await site.ask(lambda session: session.expire_in(90), token)
    assert reply.token == token
    assert "Max-Age=90" in dict(reply.headers)["set-cookie"]
    site = CountedSite(MemoryStore(), absolute_timeout=None, cookie=_no_max_age())
    token = await site.session()
    assert (await site.ask(lambda session: session.expire_in(90), token)).token is None


def _no_max_age() -> Any:
    from limpet import CookiePolicy

    return CookiePolicy(persistent=False)


async def test_without_an_absolute_deadline_the_cookie_slides() -> None:
    """Where there is no absolute deadline, a touch sends the cookie again with its new life; not for a request that
    did not use the session."""
    site = CountedSite(MemoryStore(), absolute_timeout=None, idle_timeout=HOUR, anonymous_timeout=None)
    token = await site.session()
    site.clock.advance(HOUR / 2)
    assert (await site.ask(lambda session: None, token)).token is None
    reply = await site.ask(nothing, token)
    assert reply.token == token
    assert f"Max-Age={HOUR}" in dict(reply.headers)["set-cookie"]


# -- what is kept


async def test_types_come_back() -> None:
    """Values come back with the type they went in with."""
    site = CountedSite(MemoryStore())
    values = {
        "moment": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        "day": date(2026, 1, 2),
        "price": Decimal("1.10"),
        "id": UUID(int=7),
        "raw": b"\x00\xff",
        "tags": {"a", "b"},
        "pair": (1, "x"),
        "big": 2**80,
        "nested": [{"deep": [None, True, 1.5]}],
    }
    token = await site.session(**values)
    found = await site.read(token)
    assert found == values
    assert found is not None
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in values.items()}


async def test_s31_nested_changes_are_saved() -> None:
    """A change deep inside a value is saved without a flag."""
    site = CountedSite(MemoryStore())
    token = await site.session(cart={"tea": {"qty": 1}})
    await site.ask(lambda session: session["cart"]["tea"].update(qty=2), token)
    assert await site.read(token) == {"cart": {"tea": {"qty": 2}}}


async def test_removing_the_last_key_ends_an_anonymous_session() -> None:
    """``del`` of the last key ends a session without a subject, as ``clear()`` does; a login keeps its empty record."""
    site = CountedSite(MemoryStore())
    token = await site.session(x=1)
    assert (await site.ask(lambda session: session.pop("x"), token)).token == ""
    assert await site.read(token) is None
    token = (await site.ask(begin_with_login)).token or ""
    assert (await site.ask(lambda session: session.pop("x"), token)).token is None
    assert await site.read(token) == {}
    assert (await site.ask(lambda session: session.clear(), token)).token == ""
    assert await site.read(token) is None


@pytest.mark.parametrize("word", ["clear", "logout"])
async def test_a_write_after_the_end_begins_a_new_session(word: str) -> None:
    """After ``clear()`` or ``logout()`` a write in the same request makes a session of its own, even an equal one."""
    site = CountedSite(MemoryStore())
    token = await site.session(x=1)

    def handler(session: Session) -> None:
        getattr(session, word)()
        session["x"] = 1

    reply = await site.ask(handler, token)
    assert reply.token not in (None, "", token)
    assert await site.read(token) is None
    assert await site.read(reply.token) == {"x": 1}
    assert len(await site.rows()) == 1


# -- errors


def fails(handler: Handler) -> Handler:
    """Return a handler that does this and then raises."""

    def failing(session: Session) -> None:
        handler(session)
        raise RuntimeError("on purpose")

    return failing


@pytest.mark.parametrize("how", ["raise", 500, 503])
async def test_f19_an_error_drops_everything_but_a_logout(how: str | int) -> None:
    """An exception, or a status of 500 and more: writes, login and regenerate are dropped, an end is kept."""
    for handler, alive in (
        (lambda session: session.update(x=1), True),
        (login, True),
        (lambda session: session.regenerate(), True),
        (lambda session: session.logout(), False),
        (lambda session: session.clear(), False),
    ):
        site = CountedSite(MemoryStore())
        token = await site.session()
        if how == "raise":
            with pytest.raises(RuntimeError, match="on purpose"):
                await site.ask(fails(handler), token)
        else:
            reply = await site.ask(handler, token, status=int(how))
            assert reply.token == (None if alive else "")
        assert await site.read(token) == ({"begun": True} if alive else None)
        assert len(await site.rows()) == int(alive)


@pytest.mark.parametrize("status", [200, 302, 403, 404, 422, 499])
async def test_f19_any_other_answer_saves(status: int) -> None:
    """Everything below 500 saves, a refusal too."""
    site = CountedSite(MemoryStore())
    token = await site.session()
    await site.ask(lambda session: session.update(tries=1), token, status=status)
    assert await site.read(token) == {"begun": True, "tries": 1}


async def test_f19_save_on_error() -> None:
    """``save_on_error=True`` saves whatever happened."""
    site = CountedSite(MemoryStore(), save_on_error=True)
    token = await site.session()
    with pytest.raises(RuntimeError, match="on purpose"):
        await site.ask(fails(lambda session: session.update(a=1)), token)
    await site.ask(lambda session: session.update(b=2), token, status=500)
    assert await site.read(token) == {"begun": True, "a": 1, "b": 2}


async def test_f19_what_was_raised_is_what_comes_out(caplog: pytest.LogCaptureFixture) -> None:
    """Also where what is to be saved all the same cannot be; the log has that."""
    site = CountedSite(MemoryStore(), save_on_error=True, max_size=100)
    token = await site.session()
    with pytest.raises(RuntimeError, match="on purpose"):
        await site.ask(fails(lambda session: session.update(a="x" * 1000)), token)
    assert (await site.read(token), "value at a cannot" in caplog.text) == ({"begun": True}, True)


# -- what others did


async def test_refresh_sees_what_others_saved() -> None:
    """``refresh`` reads again, keeps own unsaved changes, and tells when the session is gone."""
    site = CountedSite(MemoryStore())
    token = await site.session(n=0)

    async def handler(session: Session) -> list[Any]:
        seen: list[Any] = []
        session.increment("n")
        await site.ask(lambda other: (other.increment("n", 5), other.update(x=1))[1], token)
        await session.refresh()
        seen.append(dict(session))
        await session.save()
        await site.ask(lambda other: other.logout(), token)
        seen.append(await session.is_live())
        await session.refresh()
        seen.append(dict(session))
        return seen

    reply = await site.ask(handler, token)
    assert reply.result == [{"n": 6, "x": 1}, False, {}]


async def test_refresh_does_not_lose_in_silence() -> None:
    """Unsaved changes of a session that is gone are reported when ``refresh`` finds out; a login stands."""
    site = CountedSite(MemoryStore())
    token = await site.session()

    async def lose(session: Session) -> None:
        session["x"] = 1
        await site.ask(lambda other: other.logout(), token)
        await session.refresh()

    await site.ask(lose, token)
    assert "WriteAfterEnd" in site.names()
    token = await site.session()

    async def stand(session: Session) -> None:
        session.login("ann")
        await lose(session)

    reply = await site.ask(stand, token)
    assert await site.read(reply.token) == {"begun": True, "x": 1}


async def test_is_live_follows_renewals() -> None:
    """A long request is told that its session lives, however often others renewed the id."""
    site = CountedSite(MemoryStore(), renewal_interval=60, renewal_grace=1)
    token = await site.session()

    async def wait(session: Session) -> list[bool]:
        seen: list[bool] = []
        current: str | None = token
        state_of(session).phase = STARTED
        for _ in range(20):
            site.clock.advance(60)
            current = (await site.ask(nothing, current)).token
            seen.append(await session.is_live())
        await site.ask(lambda other: other.logout(), current)
        seen.append(await session.is_live())
        state_of(session).phase = OPEN
        return seen

    assert (await site.ask(wait, token)).result == [True] * 20 + [False]


async def test_created_and_expiry_are_told() -> None:
    """The facts of a session are those of its policy."""
    site = CountedSite(MemoryStore(), idle_timeout=HOUR, absolute_timeout=2 * HOUR)
    token = await site.session()
    site.clock.advance(HOUR / 2)
    await site.ask(nothing, token)
    found = await ask(site, token)
    assert found["expires"] - found["created"] == timedelta(hours=1.5)


@pytest.mark.parametrize("ends", ["login", "logout"])
async def test_a_touch_does_not_send_the_cookie_of_an_id_that_has_ended(ends: str) -> None:
    """A sliding cookie of a request that another one has overtaken would take the place of the new cookie."""
    site = CountedSite(MemoryStore(), absolute_timeout=None, idle_timeout=HOUR, anonymous_timeout=None)
    token = await site.session(x=1)
    site.clock.advance(HOUR / 2)
    async with site.held(nothing, token) as held:
        site.clock.advance(HOUR / 4)
        other = await site.ask(login if ends == "login" else Session.logout, token)
        assert other.token is not None
    assert held.token is None
