"""The account page over plain HTTP: where somebody is signed in, and signing out there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from limpet.demo.app import POLICY, create_app
from limpet.demo.watch import WatchedManager
from limpet.runtime import AsyncioRuntime
from limpet.testing import FakeClock
from tests.demo.visitor import Visitor

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Mobile/15E148 Safari/604.1"
DESK = "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
Serve = Callable[..., FastAPI]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Serve:
    """Return a function that starts the demo on a store."""
    monkeypatch.setenv("LIMPET_DEV_ANNOUNCED", "1")
    monkeypatch.chdir(tmp_path)

    def start(store: str = "sqlite:///s.db") -> FastAPI:
        manager = WatchedManager(store, policy=POLICY, dev=True, devices=True, clock=clock)
        manager.runtime = AsyncioRuntime()
        return create_app(manager, store=store)

    return start


async def signed_in(app: FastAPI, agent: str = DESK, name: str = "Ann") -> Visitor:
    visitor = Visitor(app)
    visitor.http.headers["user-agent"] = agent
    await visitor.look()
    await visitor.do("/sign-in", name=name)
    assert visitor.part("who") == f"Signed in as {name}"
    return visitor


async def press(visitor: Visitor, action: str, **fields: str) -> None:
    """Send a form of the account page, and see that its answer leads back there."""
    answer = await visitor.do(action, **fields)
    assert answer.headers["location"] == "/account"


def devices(visitor: Visitor) -> list[str]:
    """Return the text of each line of the list."""
    lines = re.findall(r'<li class="card.*?</li>', visitor.page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", line).split()) for line in lines]


def ids(visitor: Visitor) -> list[str]:
    """Return what names the devices that can be signed out from here."""
    return re.findall(r'name="device" value="([0-9a-f]{64})"', visitor.page)


async def test_all_devices_are_listed_this_one_first(serve: Serve, clock: FakeClock) -> None:
    """Each says what it is and when it was last used, and this one is marked."""
    app = serve()
    await signed_in(app, PHONE)
    clock.advance(180)
    desk = await signed_in(app)
    await signed_in(app, name="Bob")
    await desk.look("/account")
    first, second = devices(desk)
    assert ("Firefox 141 on Ubuntu" in first, "this device" in first, "In use now" in first) == (True, True, True)
    assert ("Mobile Safari 18 on iOS" in second, "this device" in second) == (True, False)
    assert "Last used 3 minutes ago" in second
    assert ("signed in 3 minutes ago" in second, "from 127.0.0.x" in second) == (True, True)
    assert "You are signed in on 2 devices" in desk.part("devices")


async def test_one_other_device_is_signed_out(serve: Serve) -> None:
    """And no other; its next page says that nobody is signed in there."""
    app = serve()
    phone, tablet, desk = [await signed_in(app, agent) for agent in (PHONE, PHONE, DESK)]
    await desk.look("/account")
    await press(desk, "/account/sign-out", device=ids(desk)[0])
    assert "Signed out: Mobile Safari 18 on iOS." in desk.part("devices")
    assert len(devices(desk)) == 2
    states = []
    for other in (phone, tablet):
        await other.look("/account")
        states.append("You are not signed in on this device" in other.part("devices"))
    assert sorted(states) == [False, True]
    await desk.look("/account")
    assert "Signed out:" not in desk.part("devices"), "a message is shown once"


async def test_all_other_devices_are_signed_out(serve: Serve) -> None:
    """This one stays, and so does everybody else."""
    app = serve()
    others = [await signed_in(app, PHONE) for _ in range(3)]
    bob, desk = await signed_in(app, name="Bob"), await signed_in(app)
    await desk.look("/account")
    assert "Sign out the 3 other devices" in desk.page
    await press(desk, "/account/sign-out-others")
    assert "Signed out: 3 other devices." in desk.part("devices")
    assert len(devices(desk)) == 1
    for other in others:
        await other.look()
        assert other.part("who") == "Not signed in"
    await bob.look()
    assert bob.part("who") == "Signed in as Bob"


async def test_nobody_signs_out_somebody_elses_device(serve: Serve) -> None:
    """A public id is no permission: only one's own devices can be signed out."""
    app = serve()
    await signed_in(app, PHONE)
    ann = await signed_in(app)
    await ann.look("/account")
    [anns] = ids(ann)
    await signed_in(app, PHONE, name="Bob")
    bob = await signed_in(app, name="Bob")
    await bob.look("/account")
    await press(bob, "/account/sign-out", device=anns)
    await ann.look("/account")
    assert len(devices(ann)) == 2


async def test_who_signed_in_long_ago_confirms_first(serve: Serve, clock: FakeClock) -> None:
    """OWASP ASVS 5.0, 7.5.2: a device that somebody finds unlocked signs nobody out elsewhere."""
    app = serve()
    phone, desk = await signed_in(app, PHONE), await signed_in(app)
    await desk.look("/account")
    [device] = ids(desk)
    token = desk.token("/account/sign-out")
    clock.advance(301)
    await desk.look("/account")
    assert ids(desk) == []
    assert "confirm that it is you" in desk.part("devices")
    for action in ("/account/sign-out", "/account/sign-out-others"):
        form = {"csrf": token, "device": device}
        answer = await desk.http.post(action, data=form, headers={"origin": "http://demo.example"})
        assert answer.status_code == 303
    await desk.look("/account")
    assert "Nothing was signed out." in desk.part("devices")
    await phone.look()
    assert phone.part("who") == "Signed in as Ann"
    await press(desk, "/account/confirm")
    [again] = ids(desk)
    await press(desk, "/account/sign-out", device=again)
    await phone.look()
    assert phone.part("who") == "Not signed in"


@pytest.mark.parametrize("action", ["/account/sign-out", "/account/sign-out-others"])
async def test_another_site_signs_nobody_out(serve: Serve, action: str) -> None:
    """Neither with a form of its own nor with a token from elsewhere."""
    app = serve()
    phone, desk = await signed_in(app, PHONE), await signed_in(app)
    await desk.look("/account")
    device = ids(desk)[0]

    async def post(csrf: str, origin: str) -> httpx.Response:
        return await desk.http.post(action, data={"csrf": csrf, "device": device}, headers={"origin": origin})

    assert (await post(desk.token(action), "https://evil.example")).status_code == 403
    assert (await post("made up", "http://demo.example")).status_code == 403
    await phone.look()
    assert phone.part("who") == "Signed in as Ann"


async def test_without_a_session_there_is_nothing_to_see(serve: Serve) -> None:
    """Looking makes no session, and a form sent all the same changes nothing."""
    visitor = Visitor(serve())
    answer = await visitor.look("/account")
    assert "You are not signed in on this device" in visitor.part("devices")
    assert "set-cookie" not in answer.headers
    answer = await visitor.http.post("/account/sign-out-others", headers={"origin": "http://demo.example"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (303, False)


async def test_cookie_sessions_know_of_no_other_device(serve: Serve) -> None:
    """And the page says so."""
    visitor = await signed_in(serve("cookie:"))
    await visitor.look("/account")
    assert "it does not know where else you are signed in" in visitor.part("devices")
    assert devices(visitor) == []


async def test_a_device_that_says_nothing_about_itself(serve: Serve) -> None:
    """Is a device all the same."""
    visitor = await signed_in(serve(), agent="")
    await visitor.look("/account")
    assert "A device that does not say what it is" in devices(visitor)[0]
