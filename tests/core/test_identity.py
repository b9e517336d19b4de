"""Whose session it is, and under which id: login, regenerate, keys that stand for a login."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from limpet import Session
from limpet.stores.memory import MemoryStore
from tests.races.counted import CountedSite
from tests.site import nothing

HOUR = 3600


def login(session: Session) -> None:
    session.login("ann")


async def ask(site: CountedSite, token: str | None) -> dict[str, Any]:
    """Return the facts of a session without using it."""
    session = await site.begin(token).load()
    return {
        "created": session.created_at,
        "expires": session.expires_at,
        "authenticated": session.authenticated_at,
        "subject": session.subject,
    }


async def test_s01_a_client_never_chooses_its_id() -> None:
    """An id that was made up, ended or expired is never taken: the next write gets a new one."""
    site = CountedSite(MemoryStore(), idle_timeout=HOUR)
    ended, expired = await site.session(), await site.session()
    await site.ask(lambda session: session.logout(), ended)
    site.clock.advance(2 * HOUR)
    for token in ("attackerchosen1234567890", "A" * 43, ended, expired):
        reply = await site.ask(login, token)
        assert reply.token not in (None, "", token)
        assert await site.read(token) is None


async def test_s02_login_changes_the_id_and_keeps_the_data() -> None:
    """From anonymous: new id, old one dead at once, data kept, a fresh absolute deadline."""
    site = CountedSite(MemoryStore())
    token = await site.session(cart=["tea"])
    site.clock.advance(HOUR)
    reply = await site.ask(login, token)
    found = await ask(site, reply.token)
    now = datetime.fromtimestamp(site.clock() / 1000, UTC)
    assert await site.read(reply.token) == {"cart": ["tea"]}
    assert await site.read(token) is None
    assert (found["subject"], found["created"], found["authenticated"]) == ("ann", now, now)
    assert len(await site.rows()) == 1


async def test_login_of_somebody_else_clears() -> None:
    """Another person's login ends the session that was there; nothing of it is taken along."""
    site = CountedSite(MemoryStore())
    token = (await site.ask(login)).token
    await site.ask(lambda session: session.update(secret=1), token)
    reply = await site.ask(lambda session: session.login("bob"), token)
    assert await site.read(reply.token) == {}
    assert await site.read(token) is None
    assert (await ask(site, reply.token))["subject"] == "bob"


async def test_s03_regenerate_changes_the_id_only() -> None:
    """``regenerate``: new id, old one dead, everything else as it was."""
    site = CountedSite(MemoryStore())
    token = (await site.ask(login)).token
    before = await ask(site, token)
    site.clock.advance(60)
    reply = await site.ask(lambda session: session.regenerate(), token)
    after = await ask(site, reply.token)
    assert after["created"] == before["created"]
    assert after["subject"] == "ann"
    assert await site.read(token) is None
    assert len(await site.rows()) == 1


@pytest.mark.parametrize(
    ("before", "change", "rotates"),
    [
        ({}, {"user_id": 7}, True),
        ({"user_id": 7}, {"user_id": 8}, True),
        ({"user_id": 7}, {"user_id": 7, "x": 1}, False),
        ({"user_id": 7}, {"x": 1}, False),
        ({}, {"user_id": None}, False),
        ({"user": {"id": 7}}, {"user": {"id": 8}}, True),
    ],
)
async def test_rotate_on(before: dict[str, Any], change: dict[str, Any], rotates: bool) -> None:
    """A key of ``rotate_on`` that appears or changes gives a new id, as a login does; the old one is dead."""
    site = CountedSite(MemoryStore(), rotate_on=("user_id", "user"))
    token = await site.session(**before)
    site.clock.advance(60)
    reply = await site.ask(lambda session: session.update(change), token)
    assert bool(reply.token) is rotates
    assert (await site.read(token) is None) is rotates
    known = (await ask(site, reply.token or token))["authenticated"]
    assert (known is not None) is (rotates or any(before.values()))


async def test_a_login_of_last_week_is_not_renewed_at_once() -> None:
    """The interval of the renewal counts from the login, and from a change of id."""
    site = CountedSite(MemoryStore(), renewal_interval=HOUR, idle_timeout=None, anonymous_timeout=None)
    token: str | None = await site.session()
    site.clock.advance(HOUR)
    token = (await site.ask(nothing, token)).token
    for handler in (login, lambda session: session.regenerate()):
        site.clock.advance(HOUR - 1)
        token = (await site.ask(handler, token)).token
        site.clock.advance(HOUR - 1)
        assert (await site.ask(nothing, token)).token is None
