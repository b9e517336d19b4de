"""What a real Chromium does where the cookie that it was told of is not the one that it gets.

`tests/bound/test_cookie_told.py` shows that limpet tells of the one that it sends; here something between falsifies it.
"""

from __future__ import annotations

from typing import Any

import pytest

from limpet import CookiePolicy, events
from limpet.asgi import ASGIApp, Message, Receive, Scope, Send
from limpet.bound import BoundPolicy
from tests.browser.test_bound import PROOF
from tests.browser.test_bound_instructions import Opens, Site
from tests.browser.test_bound_instructions import site as site

pytestmark = pytest.mark.browser

ANY = {"bound": BoundPolicy(cookie=CookiePolicy(name="proof"))}


def told_otherwise(app: ASGIApp, old: bytes, new: bytes) -> ASGIApp:
    """Return an application whose instructions have one attribute changed."""

    async def falsified(scope: Scope, receive: Receive, send: Send) -> None:
        held: list[Message] = []

        async def change(message: Message) -> None:
            if message["type"] == "http.response.start":
                held.append(message)
                return
            if held:
                start, body = held.pop(), message["body"]
                if b'"attributes"' in body:
                    message["body"] = body.replace(old, new)
                    headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                    start["headers"] = [*headers, (b"content-length", str(len(message["body"])).encode())]
                await send(start)
            await send(message)

        await app(scope, receive, change if scope["type"] == "http" else send)

    return falsified


async def asked(site: Opens, monkeypatch: pytest.MonkeyPatch, old: bytes, new: bytes, **settings: Any) -> Site:
    """Return an application that a browser has logged in at, and asked four times since."""

    async def bind(world: Site, name: str) -> None:
        world.behind = told_otherwise(world.app, old, new)
        await world.page.goto(world.url("/login"))
        for _ in range(50):
            if world.count(events.DeviceRegistered):
                break
            await world.page.wait_for_timeout(100)
        await world.page.wait_for_timeout(500)
        world.answered.clear()
        assert [await world.who() for _ in range(4)] == ["ann"] * 4

    monkeypatch.setattr(Site, "bind", bind)
    return await site(**settings)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"HttpOnly; ", b""),
        (b"Secure; ", b""),
        (b"Path=/;", b"Path=/who;"),
        pytest.param(b"SameSite=Lax", b"SameSite=Strict", marks=pytest.mark.long),
    ],
    ids=["HttpOnly", "Secure", "Path", "SameSite"],
)
async def test_another_attribute_takes_a_proof_for_each_request(
    site: Opens, monkeypatch: pytest.MonkeyPatch, old: bytes, new: bytes
) -> None:
    """To it the cookie that it was told of is never there, until its quota of signatures is used up."""
    world = await asked(site, monkeypatch, old, new, **ANY)
    assert await world.cookie("proof") is not None
    proofs = world.proofs()
    assert len(proofs) >= 3
    assert set(proofs) == {200}


@pytest.mark.parametrize(("old", "new"), [(b"Secure; ", b""), (b"Path=/;", b"Path=/who;")], ids=["Secure", "Path"])
async def test_a_cookie_that_its_name_forbids_is_bound_to_nothing(
    site: Opens, monkeypatch: pytest.MonkeyPatch, old: bytes, new: bytes
) -> None:
    """The browser passes over such instructions, and has a session like any other."""
    world = await asked(site, monkeypatch, old, new)
    assert world.count(events.DeviceRegistered) == 1
    assert world.count(events.DeviceBound) == 0
    assert world.proofs() == []
    assert await world.cookie(PROOF) is None
