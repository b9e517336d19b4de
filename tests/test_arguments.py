"""Arguments that people get wrong: each call refuses them by name, before it changes anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from limpet import ConfigurationError, SessionManager
from limpet.adapters import fastapi, flask, litestar
from limpet.devices import DevicePolicy
from limpet.stores.memory import MemoryStore
from tests.site import Site

NO_TEXT: list[Any] = [None, True, 7, 1.5, b"ann", ["ann"], {"sub": "ann"}]
NO_NUMBER: list[Any] = [None, True, "5", b"5", [5], timedelta(seconds=5), ...]

Call = Callable[[SessionManager, Any], Any]

TEXTS: dict[str, tuple[Call, str]] = {
    "sessions_of": (lambda manager, wrong: manager.sessions_of(wrong), "subject is a str"),
    "revoke_all": (lambda manager, wrong: manager.revoke_all(wrong), "subject is a str"),
    "export": (lambda manager, wrong: manager.export(wrong), "subject is a str"),
    "erase": (lambda manager, wrong: manager.erase(wrong), "subject is a str"),
    "tag name": (lambda manager, wrong: manager.revoke(tag=(wrong, "a")), "tag is a name and a value"),
    "tag value": (lambda manager, wrong: manager.revoke(tag=("sid", wrong)), "tag is a name and a value"),
    "exclusive": (lambda manager, wrong: _entered(manager.exclusive(wrong)), "the name of a lock is a str"),
    "open": (lambda manager, wrong: _entered(manager.open(wrong)), "a public id is a str"),
}


async def _entered(lock: Any) -> None:
    async with lock:
        pass


@pytest.fixture
async def site() -> Site:
    """A site on which somebody is logged in."""
    site = Site(MemoryStore())
    await site.ask(lambda session: session.login("ann", tags={"sid": "a"}))
    return site


@pytest.mark.parametrize("wrong", NO_TEXT, ids=repr)
@pytest.mark.parametrize("name", TEXTS)
async def test_what_is_no_text(site: Site, name: str, wrong: Any) -> None:
    """`user.id`, which is often a number, is no subject: a list would be empty, and a logout would reach nothing."""
    call, said = TEXTS[name]
    with pytest.raises(TypeError, match=rf"{said}.*not .*{'None' if wrong is None else type(wrong).__name__}"):
        await call(site.manager, wrong)
    assert len(await site.manager.sessions_of("ann")) == 1


@pytest.mark.parametrize("wrong", [True, 7, b"x", ["x"], ...], ids=repr)
async def test_what_is_no_session(site: Site, wrong: Any) -> None:
    """One's own session is not ended because it was named in a wrong way."""
    for call, name in ((site.manager.revoke_all, "except_"), (site.manager.sessions_of, "current")):
        with pytest.raises(TypeError, match=f"{name} is a session, its public id or None, not"):
            await call("ann", **{name: wrong})
    with pytest.raises(TypeError, match="a public id is a str"):
        await site.manager.revoke(wrong)
    assert len(await site.manager.sessions_of("ann")) == 1


@pytest.mark.parametrize("wrong", ["sid", ("sid",), ("sid", "a", "b"), 7, {"sid": "a"}, ()], ids=repr)
async def test_what_is_no_tag(site: Site, wrong: Any) -> None:
    """A tag is a pair; the message shows how to write it."""
    with pytest.raises(TypeError, match=r"tag=\('oidc_sid', sid\)"):
        await site.manager.revoke(tag=wrong)
    assert len(await site.manager.sessions_of("ann")) == 1


@pytest.mark.parametrize("name", ["life", "wait"])
@pytest.mark.parametrize("wrong", [*NO_NUMBER, math.nan, math.inf, -1, 1e30, 10**400], ids=str)
async def test_what_is_no_time_for_a_lock(site: Site, name: str, wrong: Any) -> None:
    """Else it would be found when two meet at the lock, or not at all: NaN waits for ever."""
    numbers = isinstance(wrong, (int, float)) and not isinstance(wrong, bool)
    for exclusive in (site.manager.exclusive, site.manager.blocking.exclusive):
        with pytest.raises(ValueError if numbers else TypeError, match=f"^{name} is "):
            exclusive("payment", **{name: wrong})
    with pytest.raises(ValueError, match="life is from"):
        site.manager.exclusive("payment", life=0)
    async with site.manager.exclusive("payment", life=1, wait=0):
        pass


@pytest.mark.parametrize("wrong", ["5", True, 1.5, math.nan, [5], timedelta(1), b"5"], ids=repr)
async def test_what_is_no_number_of_records(site: Site, wrong: Any) -> None:
    """A sweep deletes at most a whole number of records."""
    with pytest.raises(TypeError, match="limit is a whole number of records, or None for all, not"):
        await site.manager.sweep(wrong)
    with pytest.raises(ValueError, match="limit is 0 or more"):
        await site.manager.sweep(-1)
    with pytest.raises(TypeError, match="once is True or False"):
        await site.manager.sweep(once="no")  # type: ignore[arg-type]
    assert await site.manager.sweep(0) == 0


@pytest.mark.parametrize("fresh_login", [flask.fresh_login, fastapi.fresh_login, litestar.fresh_login])
@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"minutes": "5"}, TypeError, "minutes is a number"),
        ({"minutes": timedelta(minutes=5)}, TypeError, "minutes is a number"),
        ({"minutes": True}, TypeError, "minutes is a number"),
        ({"minutes": math.nan}, ValueError, "minutes is 0 or more"),
        ({"minutes": math.inf}, ValueError, "None for any age"),
        ({"minutes": -5}, ValueError, "minutes is 0 or more"),
        ({"level": 2}, TypeError, "level is a str"),
    ],
    ids=str,
)
def test_what_no_login_can_be_compared_with(
    fresh_login: Any, given: dict[str, Any], error: type[Exception], said: str
) -> None:
    """A page that asks for a recent login refuses what means nothing where it is written, not at its first visitor."""
    with pytest.raises(error, match=said):
        fresh_login(**given)


@pytest.mark.parametrize("wrong", ["no", None, 0, []], ids=repr)
def test_a_device_policy_says_what_it_notes(wrong: Any) -> None:
    """`"no"` would have meant yes."""
    with pytest.raises(ConfigurationError, match="is neither True nor False"):
        DevicePolicy(user_agent=wrong)
