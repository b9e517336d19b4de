"""How somebody logged in: the level and the methods that a login notes, and what is asked of them later."""

from __future__ import annotations

from typing import Any

import pytest

from limpet import ConfigurationError, Session, SessionPolicy
from limpet._core.session import state_of
from limpet._core.state import EAGER
from limpet.contract import Store
from limpet.stores.cookie import CookieStore
from limpet.stores.memory import MemoryStore
from tests.races.counted import CountedSite

HOUR = 3600
MINUTE = 60


def login(acr: str | None = None, *amr: str, subject: str = "ann", **more: Any) -> Any:
    """Return a handler that logs somebody in."""
    return lambda session: session.login(subject, acr=acr, amr=amr, **more)


async def noted(site: CountedSite, token: str | None) -> tuple[str | None, tuple[str, ...]]:
    """Return what is noted of the login of a session."""
    session = site.begin(token)
    await site.manager.load(session)
    return session.acr, session.amr


async def test_a_login_notes_how(store: Store) -> None:
    """Both are there at the next request, in the list of sessions, and in what is exported of a subject."""
    site = CountedSite(store, counted=False)
    token = (await site.ask(login("aal2", "pwd", "otp"))).token
    assert await noted(site, token) == ("aal2", ("pwd", "otp"))
    [info] = await site.manager.sessions_of("ann")
    assert (info.acr, info.amr) == ("aal2", ("pwd", "otp"))
    [kept] = await site.manager.export("ann")
    assert (kept["acr"], kept["amr"]) == ("aal2", ["pwd", "otp"])


async def test_a_login_in_its_cookie_notes_how() -> None:
    """Where the session is in its cookie too."""
    site = CountedSite(CookieStore(), secret="K3pq-9cVt_hYz1mXw7RbN5sLd8GfJ2aQ0oUe6iTyC4k")
    token = (await site.ask(login("aal2", "pwd", "otp"))).token
    assert await noted(site, token) == ("aal2", ("pwd", "otp"))


async def test_a_change_of_id_keeps_how() -> None:
    """`regenerate` and a renewal are no logins: level, methods and moment stay."""
    site = CountedSite(MemoryStore(), renewal_interval=HOUR)
    token = (await site.ask(login("aal2", "pwd", "otp"))).token
    token = (await site.ask(lambda session: session.regenerate(), token)).token
    assert await noted(site, token) == ("aal2", ("pwd", "otp"))
    site.clock.advance(HOUR + 1)
    renewed = (await site.ask(lambda session: session.update(a=1), token)).token
    assert renewed not in (None, "", token)
    assert await noted(site, renewed) == ("aal2", ("pwd", "otp"))


@pytest.mark.parametrize(
    "later",
    [
        login(),
        login(subject="bob"),
        lambda session: session.update(user_id=2),
        lambda session: session.pop("user_id"),
        lambda session: (session.logout(), session.update(a=1)),
    ],
    ids=["login", "login of another", "another user_id", "no user_id", "logout"],
)
async def test_nothing_but_the_login_itself_is_of_its_level(later: Any) -> None:
    """What was said of one login is never said of the next, whoever it is and however it is noted."""
    site = CountedSite(MemoryStore(), rotate_on=("user_id",))

    def first(session: Session) -> None:
        session["user_id"] = 1
        session.login("ann", acr="aal3", amr=["hwk"])

    token = (await site.ask(first)).token
    assert await noted(site, token) == ("aal3", ("hwk",))
    after = (await site.ask(later, token)).token
    assert after not in (None, "", token)
    assert await site.read(after) is not None
    assert await noted(site, after) == (None, ())


async def test_a_level_is_kept_beside_a_write(store: Store) -> None:
    """A step-up that meets a write has both; a write that meets a step-up gives none of it back."""
    site = CountedSite(store)
    token = (await site.ask(login("aal1", "pwd"))).token
    async with site.held(login("aal2", "pwd", "otp"), token) as held:
        await site.ask(lambda session: session.update(early=True), token)
    assert await noted(site, held.token) == ("aal2", ("pwd", "otp"))
    assert await site.read(held.token) == {"early": True}


async def test_two_logins_are_never_mixed() -> None:
    """A login keeps its own facts, also those that are as they were, whatever another one has saved into the record."""
    site = CountedSite(MemoryStore(), counted=False)

    def stay(acr: str, amr: str, **more: Any) -> Any:
        def handler(session: Session) -> None:
            state_of(session).flags |= EAGER  # the id stays, as in Django
            session.login("ann", acr=acr, amr=[amr], **more)

        return handler

    token = (await site.ask(login("aal1", "pwd", tags={"sid": "1"}))).token
    async with site.held(stay("aal1", "pwd", tags={"sid": "1"}), token):
        await site.ask(stay("aal3", "hwk", tags={"sid": "2"}, remember=True), token)
    [info] = await site.manager.sessions_of("ann")
    assert (info.acr, info.amr, dict(info.tags), info.remember) == ("aal1", ("pwd",), {"sid": "1"}, False)


@pytest.mark.parametrize(
    ("acr", "level", "enough"),
    [
        ("aal1", "aal1", True),
        ("aal2", "aal1", True),
        ("aal3", "aal2", True),
        ("aal1", "aal2", False),
        (None, "aal1", False),
        ("phr", "phr", True),
        ("phr", "aal1", False),
        ("aal3", "phr", False),
        ("aal3", "AAL2", False),
    ],
)
async def test_a_level_is_met_by_itself_and_by_higher_ones(acr: str | None, level: str, enough: bool) -> None:
    """Those that the policy does not list are met by themselves alone, so that a slip of the pen lets nobody in."""
    site = CountedSite(MemoryStore())
    session = site.begin((await site.ask(login(acr))).token)
    await site.manager.load(session)
    assert session.is_fresh(level=level) is enough


async def test_the_application_has_levels_of_its_own() -> None:
    """An identity provider's names, in the order that the policy gives them."""
    site = CountedSite(MemoryStore(), levels=("urn:silver", "urn:gold"))
    session = site.begin((await site.ask(login("urn:gold"))).token)
    await site.manager.load(session)
    assert [session.is_fresh(level=level) for level in ("urn:silver", "urn:gold", "aal1")] == [True, True, False]


async def test_level_and_age_are_both_asked_for() -> None:
    """A login of long ago is not fresh whatever its level, unless its age is no matter."""
    site = CountedSite(MemoryStore())
    assert not site.begin(None).is_fresh(None)
    token = (await site.ask(login("aal2"))).token
    site.clock.advance(10 * MINUTE)
    session = site.begin(token)
    await site.manager.load(session)
    asked = [(5, None), (5, "aal2"), (10, "aal2"), (None, "aal2"), (None, "aal3"), (None, None)]
    assert [session.is_fresh(age, level=level) for age, level in asked] == [False, False, True, True, False, True]


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"acr": ""}, TypeError),
        ({"acr": 2}, TypeError),
        ({"amr": "pwd"}, TypeError),
        ({"amr": [""]}, TypeError),
        ({"amr": [1]}, TypeError),
        ({"amr": 1}, TypeError),
        ({"acr": "a\x00"}, ValueError),
        ({"amr": ["\ud800"]}, ValueError),
    ],
)
def test_what_is_no_text_is_refused(how: dict[str, Any], error: type[Exception]) -> None:
    """And the session is as it was."""
    session = Session.standalone({"a": 1})
    with pytest.raises(error):
        session.login("ann", **how)
    assert (session.subject, session.acr, session.amr, dict(session)) == (None, None, (), {"a": 1})


@pytest.mark.parametrize(
    ("policy", "idle", "absolute"),
    [
        (SessionPolicy.aal1(), None, 30 * 24 * HOUR),
        (SessionPolicy.aal2(), HOUR, 24 * HOUR),
        (SessionPolicy.aal3(), 15 * MINUTE, 12 * HOUR),
    ],
    ids=["aal1", "aal2", "aal3"],
)
def test_the_presets_are_those_of_the_standard(policy: SessionPolicy, idle: int | None, absolute: int) -> None:
    """NIST SP 800-63B-4, sections 2.1.3, 2.2.3 and 2.3.3; a login that is to be remembered lasts no longer."""
    assert (policy.idle_timeout, policy.absolute_timeout, policy.remember) == (idle, absolute, None)


@pytest.mark.parametrize("levels", ["aal1", ("a", "a"), (1,), None], ids=repr)
def test_levels_that_cannot_be_ordered_are_refused(levels: Any) -> None:
    """With a sentence that says what to write."""
    with pytest.raises(ConfigurationError, match="levels"):
        SessionPolicy(levels=levels)
