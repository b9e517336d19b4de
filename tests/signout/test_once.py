"""A token counts once for all processes, on every store, and a use that broke off may be tried again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from limpet import SessionManager
from limpet._wire import marks
from limpet.contract import Store
from limpet.signout import SignOut
from limpet.signout._once import begin
from limpet.testing import FakeClock, async_client
from tests.races.conftest import store as store
from tests.signout.provider import ISSUER, NOW, issuer, logout_token


def processes(store: Store, clock: FakeClock, count: int) -> list[SessionManager]:
    """Return managers that share a store and nothing else, as processes do."""
    return [SessionManager(store, dev=False, clock=clock) for _ in range(count)]


async def test_of_one_token_at_once_one_counts(store: Store, clock: FakeClock) -> None:
    """Whichever process it comes to: one is answered that it was signed out, the others that it was used before."""
    token = logout_token()
    apps = [SignOut(manager, issuer()).asgi for manager in processes(store, clock, 3)]

    async def post(app: Any) -> int:
        async with async_client(app) as provider:
            answer = await provider.post("/back-channel", data={"logout_token": token})
        status: int = answer.status_code
        return status

    found = await asyncio.gather(*(post(app) for app in apps * 3))
    assert sorted(found) == [200] + [400] * 8
    assert await post(apps[0]) == 400


async def test_another_token_and_another_issuers_are_others(store: Store, clock: FakeClock) -> None:
    """Ids of tokens are unique within their issuer (RFC 7519, section 4.1.7)."""
    [manager] = processes(store, clock, 1)
    storage, until = manager.engine.storage, (NOW + 300) * 1000
    first = await begin(storage, ISSUER, "1", until)
    assert first is not None
    assert await first.finish()
    assert await begin(storage, ISSUER, "1", until) is None
    for name, jti in ((ISSUER, "2"), ("https://other.example", "1")):
        other = await begin(storage, name, jti, until)
        assert other is not None
        assert await other.finish()


async def test_a_use_that_broke_off_can_be_tried_again(store: Store, clock: FakeClock) -> None:
    """A process that died before it had ended anything has used nothing up; of two that go on, one counts."""
    one, two = (manager.engine.storage for manager in processes(store, clock, 2))
    until = (NOW + 300) * 1000
    assert await begin(one, ISSUER, "1", until) is not None  # and no more is heard of it
    again, other = await begin(two, ISSUER, "1", until), await begin(one, ISSUER, "1", until)
    assert again is not None
    assert other is not None
    assert [await again.finish(), await other.finish()] == [True, False]
    assert await begin(one, ISSUER, "1", until) is None


@pytest.mark.parametrize(
    ("claims", "seconds"), [({"exp": NOW + 120}, 180), ({"iat": NOW - 60, "exp": NOW + 10**8}, 7 * 86_400)]
)
async def test_it_is_remembered_for_as_long_as_it_would_be_accepted(
    clock: FakeClock, claims: dict[str, Any], seconds: int
) -> None:
    """To its end, or to the oldest age; and not for long after it, so that the store does not grow."""
    manager = SessionManager("memory:", dev=False, clock=clock)
    async with async_client(SignOut(manager, issuer()).asgi) as provider:
        form = {"logout_token": logout_token(jti="1", **claims)}
        assert (await provider.post("/back-channel", data=form)).status_code == 200
        mark = await manager.engine.storage.load(marks.mark_key("jti", ISSUER, "1"))
        assert mark is not None
        assert mark.expires == (NOW + seconds) * 1000
        clock.advance(seconds - 1)
        assert (await provider.post("/back-channel", data=form)).status_code == 400
        clock.advance(2)
        await manager.sweep()  # by a host whose clock may be ahead: on another one it is not time yet
        assert await manager.engine.storage.load(marks.mark_key("jti", ISSUER, "1")) == mark
        clock.advance(300)
        await manager.sweep()
        assert await manager.engine.storage.load(marks.mark_key("jti", ISSUER, "1")) is None
        assert (await provider.post("/back-channel", data=form)).status_code == 400  # too old by now
