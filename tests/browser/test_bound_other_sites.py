"""What a real Chromium does for pages of other sites, and for a login on a host that its site does not name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from limpet import CookiePolicy, events
from limpet.bound import BoundPolicy
from tests.browser.test_bound import BESIDE, ELSEWHERE
from tests.browser.test_bound_instructions import DOMAIN, WHOLE_SITE, Opens
from tests.browser.test_bound_instructions import site as site

pytestmark = pytest.mark.browser

OTHERS_MAY = {
    "cookie": CookiePolicy(same_site="none"),
    "bound": BoundPolicy(allowed_refresh_initiators=(ELSEWHERE,)),
}


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_page_of_another_site(site: Opens, tmp_path: Path, allowed: bool) -> None:
    """Leads to a proof if it is one of those that may; a request of its without cookies never does."""
    wishes = tmp_path / "profile" / "Default" / "Preferences"
    wishes.parent.mkdir(parents=True)
    wishes.write_text(json.dumps({"profile": {"cookie_controls_mode": 0}}))  # cookies in pages of other sites
    settings = OTHERS_MAY if allowed else {"cookie": OTHERS_MAY["cookie"]}
    world = await site(**settings)
    await world.page.goto(world.url("/static/picture", ELSEWHERE))
    assert await world.who() == "ann", "with the last proof"
    assert world.proofs() == []
    await world.drop()
    asked = f"fetch({world.url('/who')!r}, {{credentials: 'omit'}}).then(answer => answer.text())"
    assert await world.page.evaluate(asked) == "None"
    assert world.proofs() == []
    assert await world.who() == ("ann" if allowed else "None")
    assert world.proofs() == ([200] if allowed else [])


async def test_a_login_on_a_subdomain_that_the_site_does_not_list(site: Opens) -> None:
    """Is not bound: the browser registers a key, and drops it after it has asked the site."""
    world = await site(DOMAIN, **WHOLE_SITE)
    assert await world.who("/clear?what=cookies") == "cleared"
    world.happened.clear()
    world.answered.clear()
    await world.page.goto(world.url("/login", BESIDE))
    for _ in range(20):
        await world.page.evaluate("fetch('/who').then(answer => answer.text())")
        await world.page.wait_for_timeout(100)
    assert "/.well-known/device-bound-sessions" in [path for path, _ in world.answered]
    assert (world.count(events.DeviceRegistered), world.count(events.DeviceBound)) == (1, 0)
    assert world.proofs() == []
    assert await world.page.evaluate("fetch('/who').then(answer => answer.text())") == "ann"
