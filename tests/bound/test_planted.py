"""Cookies under the name of the proof's that another host of the site has set: however many, ours is found."""

from __future__ import annotations

import pytest

from limpet import CookiePolicy, events
from limpet.bound import BoundPolicy
from tests.bound.conftest import Build
from tests.bound.device import Browser, Reply
from tests.bound.sites import Site

PAGE = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def settings(name: str | None, domain: str | None = None) -> dict[str, BoundPolicy]:
    """Return those of a proof's cookie that a neighbour can set as well."""
    return {"bound": BoundPolicy(cookie=CookiePolicy(name=name, domain=domain))}


async def beside(site: Site, ann: Browser, before: int, after: int, *, proof: bool, page: bool = False) -> Reply:
    """Send a request with so many planted cookies before and behind the proof, or with them alone."""
    name = site.manager.guard.cookie_name if site.manager.guard else ""
    ours = [f"{name}={ann.cookies[name]}"] if proof else []
    rest = [f"{each}={value}" for each, value in ann.cookies.items() if each != name]
    planted = [f"{name}={kind}{number}" for number in range(max(before, after)) for kind in ("x", "y")]
    line = "; ".join([*planted[:before], *ours, *planted[before : before + after], *rest])
    return await site.send("GET", "/me", [("cookie", line), *(PAGE.items() if page else ())])


@pytest.mark.parametrize(("before", "after"), [(1, 0), (8, 0), (9, 0), (200, 0), (0, 200), (100, 100)])
@pytest.mark.parametrize("domain", [None, "shop.test"])
async def test_the_right_one_is_found_among_any_number(
    build: Build, before: int, after: int, domain: str | None
) -> None:
    site = build(**settings("proof", domain))
    ann = await Browser(site.send).log_in()
    site.clock.advance(60)
    assert (await beside(site, ann, before, after, proof=True)).json() == "ann"


async def test_the_right_one_is_found_in_each_framework(anywhere: Build) -> None:
    site = anywhere(**settings("proof"))
    ann = await Browser(site.send).log_in()
    site.clock.advance(60)
    assert (await beside(site, ann, 20, 20, proof=True)).json() == "ann"
    assert (await beside(site, ann, 20, 20, proof=False)).json() is None
    assert [event.reason for event in site.seen(events.DeviceUnproven)] == ["foreign"]


@pytest.mark.parametrize("planted", [1, 9, 40])
async def test_without_the_right_one_the_page_is_loaded_again(build: Build, planted: int) -> None:
    """The browser is asked for a proof, however many cookies make it seem that it has given one."""
    site = build(**settings("proof"))
    ann = await Browser(site.send).log_in()
    site.clock.advance(60)
    reply = await beside(site, ann, planted, 0, proof=False, page=True)
    assert "http-equiv=refresh" in reply.text
    assert any(line.startswith("proof=; Max-Age=0") for line in reply.all("set-cookie"))
    assert [event.reason for event in site.seen(events.DeviceUnproven)] == ["foreign"]


async def test_an_old_proof_is_told_from_a_foreign_one(build: Build) -> None:
    """Whichever comes first."""
    site = build(**settings("proof"))
    ann = await Browser(site.send).log_in()
    old = ann.cookies["proof"]
    site.clock.advance(700)
    for line in (f"proof={old}; proof=x", f"proof=x; proof={old}"):
        rest = "; ".join(f"{name}={value}" for name, value in ann.cookies.items() if name != "proof")
        assert (await site.send("GET", "/me", [("cookie", f"{line}; {rest}")])).json() is None
    assert [event.reason for event in site.seen(events.DeviceUnproven)] == ["expired", "expired"]


async def test_planted_cookies_are_no_proof_of_the_session_before(build: Build) -> None:
    """Beside a new session they are deleted, as far as they can be, until it is bound; beside the right one nothing."""
    site = build(**settings("proof"))
    ann = Browser(site.send)
    await ann.get("/login/ann")
    await ann.register()
    reply = await beside(site, ann, 30, 0, proof=False)
    assert [line.partition(";")[0] for line in reply.all("set-cookie")] == ["proof="]
    assert (await ann.refresh()).status == 200
    reply = await beside(site, ann, 30, 0, proof=True)
    assert reply.all("set-cookie") == []


async def test_no_neighbour_can_set_one_where_the_attributes_allow_that(anywhere: Build) -> None:
    """By default the name has the prefix that browsers keep for one host, whatever the session's cookie is called."""
    site = anywhere()
    ann = await Browser(site.send).log_in()
    assert site.manager.guard is not None
    assert site.manager.guard.cookie_name.startswith("__Host-")
    assert site.manager.guard.cookie_name in ann.cookies
    site.clock.advance(60)
    there = {name.replace("-", "_"): value for name, value in PAGE.items()}
    del ann.cookies[site.manager.guard.cookie_name]
    reply = await ann.get("/me", **{**there, "sec_fetch_site": "cross-site"})
    [again] = [line for line in reply.all("set-cookie") if "-again=1" in line]
    assert again.lstrip().startswith(f"{site.manager.guard.cookie_name}-again=1")


@pytest.mark.parametrize("planted", [1, 9, 40])
async def test_a_page_is_not_loaded_again_for_ever(anywhere: Build, planted: int) -> None:
    """Where a neighbour can set the cookie that says that it was, however many it sets."""
    site = anywhere(**settings("proof", "shop.test"))
    ann = await Browser(site.send).log_in()
    site.clock.advance(700)
    del ann.cookies["proof"]
    elsewhere = {**PAGE, "sec-fetch-site": "cross-site"}
    line = "; ".join(f"{name}={value}" for name, value in ann.cookies.items())
    first = await site.send("GET", "/me", [("cookie", line), *elsewhere.items()])
    assert "http-equiv=refresh" in first.text
    [again] = [each.partition("=")[0].strip() for each in first.all("set-cookie") if "-again=" in each]
    line += "".join(f"; {again}=x{number}" for number in range(planted))
    assert (await site.send("GET", "/me", [("cookie", line), *elsewhere.items()])).json() is None
