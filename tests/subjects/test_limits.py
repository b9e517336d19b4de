"""At most so many sessions for one subject."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from limpet import ConfigurationError, Session, SessionLimitReached, SessionManager, SessionPolicy
from limpet.adapters.starlette import get_session
from limpet.asgi import SessionMiddleware
from limpet.testing import client
from tests.site import STORES, Site, opened

REFUSE = SessionPolicy(max_sessions=2, when_full="refuse")


@pytest.fixture(params=STORES)
async def refusing(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A site where a login that is one too many is refused."""
    async with opened(request.param, tmp_path, policy=REFUSE) as site:
        yield site


async def test_the_oldest_gives_way(tmp_path: Path) -> None:
    """A login that is one too many ends the session with the oldest login."""
    async with opened("memory", tmp_path, max_sessions=2) as site:
        cookies = []
        for _ in range(3):
            cookies.append(await site.login("ann"))
            site.manager.clock.advance(1)  # type: ignore[attr-defined]
        assert [await site.whose(cookie) for cookie in cookies] == [None, "ann", "ann"]
        assert site.names().count("LimitReached") == 1


async def test_a_function_decides_by_subject(tmp_path: Path) -> None:
    """The limit may depend on the subject, and None is no limit."""
    allowed = {"ann": 1, "bob": 2}
    async with opened("memory", tmp_path, max_sessions=allowed.get) as site:
        for name in ("ann", "bob", "eve"):
            for _ in range(3):
                await site.login(name)
        counts = [len(await site.manager.sessions_of(name)) for name in ("ann", "bob", "eve")]
        assert counts == [1, 2, 3]


async def test_the_newest_is_refused(refusing: Site) -> None:
    """A login that is one too many is refused, and works again when a session has ended."""
    first, _ = await refusing.login("ann"), await refusing.login("ann")
    with pytest.raises(SessionLimitReached) as refusal:
        await refusing.login("ann")
    assert refusal.value.limit == 2
    assert "LimitReached" in refusing.names()
    await refusing.run(lambda session: session.logout(), first)
    assert await refusing.whose(await refusing.login("ann")) == "ann"


async def test_a_second_login_in_one_session_is_no_further_one(refusing: Site) -> None:
    """Whoever logs in again from a session of theirs takes no further place."""
    first, _ = await refusing.login("ann"), await refusing.login("ann")
    again = await refusing.login("ann", cookie=first)
    assert await refusing.whose(again) == "ann"
    assert len(await refusing.manager.sessions_of("ann")) == 2


async def test_a_refused_login_leaves_the_cart(refusing: Site) -> None:
    """A handler that catches the refusal goes on with the anonymous session as it was, and under its id."""
    for _ in range(2):
        await refusing.login("ann")
    cart = await refusing.run(lambda session: session.update(cart=["tea"]))

    async def handler(session: Session) -> None:
        session.login("ann")
        with pytest.raises(SessionLimitReached):
            await session.save()
        assert session.subject is None
        session["told"] = True

    after = await refusing.run(handler, cart)
    assert after == cart
    session = refusing.begin(cart)
    await refusing.manager.load(session)
    assert dict(session) == {"cart": ["tea"], "told": True}


async def test_expired_sessions_take_no_place(refusing: Site) -> None:
    """Sessions past their deadline do not count, though their records are still there."""
    for _ in range(2):
        await refusing.login("ann")
    refusing.manager.clock.advance(86_400)  # type: ignore[attr-defined]
    assert await refusing.whose(await refusing.login("ann")) == "ann"


def test_the_answer_is_409() -> None:
    """An application that does not catch the refusal answers 409 in words, and hands out no cookie."""

    async def login(request: Request) -> Response:
        get_session(request).login("ann")
        return PlainTextResponse("in")

    app = Starlette(routes=[Route("/login", login)])
    manager = SessionManager("memory:", policy=SessionPolicy(max_sessions=1, when_full="refuse"), dev=False)
    app.add_middleware(SessionMiddleware, manager=manager)
    with client(app) as first:
        assert first.get("/login").status_code == 200
    with client(app) as second:
        answer = second.get("/login")
        assert answer.status_code == 409
        assert "Sign out on one" in answer.text
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("when_full", ["oldest_out", "refuse"])
@pytest.mark.parametrize("given", [0, -1])
async def test_a_function_may_allow_none(tmp_path: Path, when_full: Any, given: int) -> None:
    """A subject that may have no session is refused, whatever happens to others that have too many."""
    policy = SessionPolicy(max_sessions=lambda subject: given, when_full=when_full)
    async with opened("memory", tmp_path, policy=policy) as site:
        with pytest.raises(SessionLimitReached):
            await site.login("ann")
        assert await site.manager.sessions_of("ann") == []


@pytest.mark.parametrize("given", [1.5, "3", True])
async def test_a_function_that_gives_no_number_is_told(tmp_path: Path, given: Any) -> None:
    """Nothing is written: a login is not half done because the limit makes no sense."""
    async with opened("memory", tmp_path, max_sessions=lambda subject: given) as site:
        with pytest.raises(ConfigurationError, match="whole number of sessions"):
            await site.login("ann")
        assert await site.manager.sessions_of("ann") == []
