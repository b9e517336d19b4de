"""What a real Chromium does where a neighbour has planted a cookie under the name of the proof's, and cannot prove.

A host of the same site can set a cookie for all of them. None can where the name begins with ``__Host-``, as it does
unless the application chooses another.
"""

from __future__ import annotations

from typing import Any

import pytest

from limpet import CookiePolicy, events
from limpet.asgi import ASGIApp, Receive, Scope, Send
from limpet.bound import BoundPolicy
from tests.browser.test_bound import APP, BESIDE, SITE
from tests.browser.test_bound_instructions import DOMAIN, WHOLE_SITE, Opens, Site
from tests.browser.test_bound_instructions import site as site

pytestmark = pytest.mark.browser

NAMED = {"bound": BoundPolicy(cookie=CookiePolicy(name="proof"))}
PLAIN, DEEP = f"Domain={SITE}; Path=/; Secure", f"Domain={SITE}; Path=/me; Secure"


def beside(app: ASGIApp, line: str) -> ASGIApp:
    """Return an application with a neighbour, who sets one cookie."""

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/plant":
            await app(scope, receive, send)
            return
        headers = [(b"content-type", b"text/plain"), (b"set-cookie", line.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"planted"})

    return either


async def planted(world: Site, line: str) -> None:
    """Have the neighbour set a cookie for all hosts of the site."""
    world.behind = beside(world.app, line)
    await world.page.goto(world.url("/plant", BESIDE))
    assert await world.page.inner_text("body") == "planted"
    name = line.partition("=")[0]
    assert sum(each.get("name") == name for each in await world.page.context.cookies()) == 2


@pytest.mark.parametrize(
    ("name", "settings", "line"),
    [("proof", NAMED, f"proof=planted; {PLAIN}"), (DOMAIN, WHOLE_SITE, f"{DOMAIN}=planted; {DEEP}")],
    ids=["a name of its own", "the whole site"],
)
async def test_a_browser_that_has_lost_its_key(site: Opens, name: str, settings: Any, line: str) -> None:
    """The page is loaded again once, and then it is the page of an anonymous visitor: there somebody can log in."""
    world = await site(name, **settings)
    await planted(world, line)
    await world.page.goto(world.url("/me"))
    assert await world.page.inner_text("body") == '"ann"', "beside it there is a proof"
    for host in (SITE, APP):
        assert await world.page.goto(world.url("/clear?what=storage", host))
    world.clock.advance(700)
    world.answered.clear()
    await world.page.goto(world.url("/me"))
    await world.page.wait_for_timeout(1_500)
    assert [path for path, _ in world.answered].count("/me") == 2
    assert await world.page.inner_text("body") == "null"
    world.happened.clear()
    world.answered.clear()
    await world.bind(name)
    await world.page.goto(world.url("/me"))
    assert await world.page.inner_text("body") == '"ann"'


async def test_a_browser_that_has_its_key(site: Opens) -> None:
    """It does not take the planted cookie for the one that it was told of, and proves its device."""
    world = await site("proof", **NAMED)
    await planted(world, f"proof=planted; {PLAIN}")
    world.clock.advance(700)
    await world.drop("proof")
    await planted_again(world)
    await world.page.goto(world.url("/me"))
    assert await world.page.inner_text("body") == '"ann"'
    assert world.count(events.DeviceProven) == 1


async def planted_again(world: Site) -> None:
    """Have the neighbour's cookie alone there."""
    await world.page.goto(world.url("/plant", BESIDE))
    assert [each.get("domain") for each in await world.page.context.cookies() if each.get("name") == "proof"] == [
        f".{SITE}"
    ]
