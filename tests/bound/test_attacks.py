"""What somebody tries who has copied the cookies, seen a proof, or can leave out headers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from limpet import CookiePolicy, events
from limpet.bound import BoundPolicy
from tests.bound.conftest import Build
from tests.bound.device import Browser, Device
from tests.bound.sites import Site

SESSION, PROOF = "__Host-Http-session", "__Host-session-bound"
PAGE = {"sec_fetch_site": "same-origin", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
Open = Callable[..., Site]


@pytest.fixture(params=["memory", "sqlite"])
def open_site(request: pytest.FixtureRequest, tmp_path: Path, build: Build) -> Open:
    """Return what runs an application over each of two stores."""
    store = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'sessions.db'}"
    return lambda **settings: build(store=store, **settings)


async def settled(site: Site, who: str = "ann") -> Browser:
    """Return a browser whose session was bound a while ago."""
    browser = await Browser(site.send).log_in(who)
    site.clock.advance(60)
    return browser


def refusals(site: Site) -> list[str]:
    """Return why proofs were refused."""
    return [event.reason for event in site.seen(events.DeviceProofRefused)]


async def test_a_proof_is_good_once(open_site: Open) -> None:
    site = open_site()
    ann = await settled(site)
    assert ann.challenge is not None
    proof = ann.device.prove(ann.challenge, registers=False)
    assert (await ann.refresh(proof)).status == 200
    thief = ann.thief()
    thief.identifier, thief.told = ann.identifier, ann.told
    assert (await thief.refresh(proof, tries=1)).status == 403
    assert refusals(site) == ["used"]
    thief.challenge = None
    assert (await thief.refresh()).status == 400, "and with a key of its own it gets no further"
    assert refusals(site) == ["used", "signature"]
    assert (await ann.refresh()).status == 200


async def test_a_proof_that_was_signed_in_advance_runs_out(open_site: Open) -> None:
    site = open_site(bound=BoundPolicy(challenge_lasts=100))
    ann = await settled(site)
    site.clock.advance(100)
    assert (await ann.refresh(tries=1)).status == 403
    assert refusals(site) == ["stale"]
    assert (await ann.refresh()).status == 200


async def test_no_header_no_proof(open_site: Open) -> None:
    site = open_site()
    ann = await settled(site)
    reply = await ann.get(ann.told["refresh_url"], "POST")
    assert (reply.status, reply.all("set-cookie")) == (400, [])
    assert refusals(site) == ["no-session-id"]
    reply = await ann.get(ann.told["refresh_url"], "POST", sec_secure_session_id=ann.identifier or "")
    assert reply.status == 403
    assert ann.challenge_in(reply)[0] == ann.identifier
    assert reply.all("set-cookie") == []
    assert (await ann.get(ann.told["refresh_url"])).status == 405


async def test_what_the_browser_says_it_has_skipped_opens_nothing(open_site: Open) -> None:
    site = open_site()
    ann = await settled(site)
    del ann.cookies[PROOF]
    said = f'quota_exceeded;session_identifier="{ann.identifier}"'
    assert (await ann.get("/me", secure_session_skipped=said)).json() is None
    assert [event.reason for event in site.seen(events.DeviceUnproven)] == ["quota_exceeded"]


async def test_what_it_has_skipped_can_be_borne_for_a_while(open_site: Open) -> None:
    site = open_site(bound=BoundPolicy(skipped_grace=120))
    ann = await settled(site)
    thief = ann.thief()
    del thief.cookies[PROOF]
    said = f'quota_exceeded;session_identifier="{ann.identifier}"'
    assert (await thief.get("/me")).json() is None, "only for those who say so"
    assert (await thief.get("/me", secure_session_skipped='quota_exceeded;session_identifier="x"')).json() is None
    assert (await thief.get("/me", secure_session_skipped=said)).json() == "ann"
    site.clock.advance(600 + 120 - 60)
    assert (await thief.get("/me", secure_session_skipped=said)).json() is None, "and not for ever"


async def test_nobody_registers_a_second_device(open_site: Open) -> None:
    site = open_site()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    offer = ann.offer
    assert (await ann.register()).status == 200
    thief = ann.thief()
    thief.offer = offer
    assert (await thief.register()).status == 403
    assert (await ann.refresh()).status == 200
    assert (await thief.register()).status == 403
    assert refusals(site) == ["used", "bound-already"]
    assert (await thief.get("/me")).all("secure-session-registration") == []


async def test_a_registration_takes_the_cookie_of_its_session(open_site: Open) -> None:
    """A challenge and a proof without the session's own cookie, or with another's, bind nothing."""
    site = open_site()
    ann, eve = Browser(site.send), Browser(site.send)
    await ann.get("/login/ann")
    await eve.get("/login/eve")
    eve.offer, ann.offer = ann.offer, eve.offer
    assert (await eve.register()).status == 403
    nobody = Browser(site.send, offer=eve.offer)
    assert (await nobody.register()).status == 403
    assert refusals(site) == ["no-session", "no-session"]


async def test_a_registration_is_for_now(open_site: Open) -> None:
    site = open_site()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    site.clock.advance(301)
    assert (await ann.register()).status == 403
    assert refusals(site) == ["stale"]


@pytest.mark.parametrize("proof", ["", "junk", "a.b.c"])
async def test_a_registration_without_a_proof(build: Build, proof: str) -> None:
    site = build()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    assert (await ann.get(ann.offer[0] if ann.offer else "", "POST", secure_session_response=proof)).status == 403
    assert refusals(site) == ["no-proof" if not proof else "unreadable"]


async def test_a_challenge_of_a_registration_renews_nothing(open_site: Open) -> None:
    site = open_site()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    assert ann.offer is not None
    first = ann.offer[1]
    await ann.register()
    assert (await ann.refresh(ann.device.prove(first, registers=False), tries=1)).status == 403
    assert refusals(site) == ["challenge"]


async def test_a_proof_for_another_session(open_site: Open) -> None:
    """Of the same person on the same device, even: each session has a name, and a challenge is for one."""
    site = open_site()
    device = Device()
    one, two = Browser(site.send, device), Browser(site.send, device)
    await one.log_in()
    await two.log_in()
    assert one.challenge is not None
    assert (await two.refresh(device.prove(one.challenge, registers=False), tries=1)).status == 403
    assert refusals(site) == ["another-session"]
    two.cookies[PROOF] = one.cookies[PROOF]
    site.clock.advance(60)
    assert (await two.get("/me")).json() is None
    assert [event.reason for event in site.seen(events.DeviceUnproven)] == ["foreign"]


async def test_the_proof_of_one_session_beside_the_cookie_of_another(open_site: Open) -> None:
    site = open_site()
    ann, eve = await settled(site), await settled(site, "eve")
    site.clock.advance(60)
    eve.cookies[SESSION] = ann.cookies[SESSION]
    assert await eve.whose() is None
    eve.identifier = ann.identifier
    eve.challenge = None
    assert (await eve.refresh()).status == 400


@pytest.mark.parametrize("value", ["", "x", "x" * 118, "AVM" + "A" * 115])
async def test_a_forged_proof(build: Build, value: str) -> None:
    site = build()
    ann = await settled(site)
    ann.cookies[PROOF] = value
    assert await ann.whose() is None


async def test_two_proofs_of_which_one_is_good(build: Build) -> None:
    """Another host can plant a cookie beside it, and gains nothing; nor does it lock anybody out."""
    site = build()
    ann = await settled(site)
    line = f"{PROOF}=planted; {PROOF}={ann.cookies[PROOF]}; {SESSION}={ann.cookies[SESSION]}"
    assert (await site.send("GET", "/me", [("cookie", line)])).json() == "ann"


async def test_a_challenge_is_no_proof_and_a_proof_no_challenge(build: Build) -> None:
    site = build()
    ann = await settled(site)
    proof, challenge = ann.cookies[PROOF], ann.challenge
    assert challenge is not None
    ann.cookies[PROOF] = challenge
    assert await ann.whose() is None
    assert (await ann.refresh(ann.device.prove(proof, registers=False), tries=1)).status == 403
    assert refusals(site) == ["challenge"]


async def test_what_needs_a_proof_is_refused(build: Build) -> None:
    site = build(bound=BoundPolicy(refuse=("/me",)))
    ann = await settled(site)
    thief = ann.thief()
    del thief.cookies[PROOF]
    reply = await thief.get("/me")
    assert (reply.status, reply.one("cache-control")) == (403, "no-store")
    assert thief.challenge_in(reply)[0] == ann.identifier
    assert (await thief.get("/bound")).json() is False, "elsewhere it is anonymous"
    assert await ann.whose() == "ann"
    assert (await Browser(site.send).get("/me")).status == 200, "who has no session is not refused"


async def test_a_login_that_no_browser_binds(build: Build) -> None:
    site = build(bound=BoundPolicy(required=True))
    ann = Browser(site.send)
    await ann.get("/login/ann")
    assert await ann.whose() == "ann"
    site.clock.advance(91)
    assert await ann.whose() is None
    assert [event.reason for event in site.seen(events.DeviceUnproven)] == ["unbound"]
    await ann.log_in()
    site.clock.advance(91)
    assert await ann.whose() == "ann"


async def test_only_some_logins_are_bound(build: Build) -> None:
    site = build(bound=BoundPolicy(logins="remembered", required=True))
    ann, bob = Browser(site.send), Browser(site.send)
    await ann.get("/login/ann")
    assert ann.offer is None
    site.clock.advance(100)
    assert await ann.whose() == "ann"
    await bob.get("/login/bob/remember")
    assert bob.offer is not None
    site = build(bound=BoundPolicy(logins=lambda login: login.subject == "eve"))
    ann, eve = Browser(site.send), Browser(site.send)
    await ann.get("/login/ann")
    await eve.get("/login/eve")
    assert (ann.offer is None, eve.offer is None) == (True, False)


async def test_requests_under_way_while_it_is_bound_are_served(build: Build) -> None:
    site = build()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    early = dict(ann.cookies)
    await ann.register()
    assert (await ann.refresh()).status == 200
    late = Browser(site.send, cookies=early)
    site.clock.advance(29)
    assert await late.whose() == "ann"
    site.clock.advance(1)
    assert await late.whose() is None


async def test_a_clock_that_was_set_back_makes_no_proof_needless(build: Build) -> None:
    """Nor is a browser asked to register anew: somebody else may have the cookie by now."""
    site = build()
    ann, bob = await settled(site), Browser(site.send)
    await bob.get("/login/bob")
    thief = ann.thief()
    del thief.cookies[PROOF]
    site.clock.advance(-3600)
    assert await thief.whose() is None
    assert (await bob.get("/me", **PAGE)).all("secure-session-registration") == []
    site.clock.advance(3600 - 70)
    assert await ann.whose() == "ann", "the proof counts for as long as before"


async def test_a_page_reached_from_elsewhere_gets_a_second_try(build: Build) -> None:
    """The browser proves its device only for what its own pages ask for."""
    site = build()
    ann = await settled(site)
    del ann.cookies[PROOF]
    there = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    reply = await ann.get("/me", sec_fetch_site="cross-site", **there)
    assert "http-equiv=refresh" in reply.text
    assert (reply.status, reply.one("cache-control")) == (200, "no-store")
    reply = await ann.get("/me", sec_fetch_site="same-origin", **there)
    assert reply.json() is None, "but not for ever"
    reply = await ann.get("/me", sec_fetch_site="cross-site", sec_fetch_mode="no-cors", sec_fetch_dest="image")
    assert reply.json() is None
    assert (await ann.refresh()).status == 200
    assert (await ann.get("/me", sec_fetch_site="cross-site", **there)).json() == "ann"


@pytest.mark.parametrize("site_said", ["same-origin", "cross-site"])
async def test_a_page_is_loaded_again_once(anywhere: Build, site_said: str) -> None:
    """Also where a cookie of the proof's name stays that is another host's, or every answer seems to be another site's.

    Then it is the page of an anonymous visitor, who can log in.
    """
    site = anywhere()
    assert site.manager.guard is not None
    proof = site.manager.guard.cookie_name
    ann = await settled(site)
    there = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document", "sec_fetch_site": site_said}
    replies = []
    for _ in range(3):
        ann.cookies[proof] = "planted"
        replies.append(await ann.get("/me", **there))
    assert "http-equiv=refresh" in replies[0].text
    assert [reply.json() for reply in replies[1:]] == [None, None]
    lines = [sorted(line.strip().split("; ")) for line in replies[0].all("set-cookie") if "-again=" in line]
    assert lines == [["HttpOnly", "Max-Age=60", "Path=/", "SameSite=Lax", "Secure", f"{proof}-again=1"]]
    assert not any("-again" in line for reply in replies[1:] for line in reply.all("set-cookie"))
    assert all(any(f"{proof}=" in line for line in reply.all("set-cookie")) for reply in replies), "and deleted"
    del ann.cookies[f"{proof}-again"]
    ann.cookies[proof] = "planted"
    assert "http-equiv=refresh" in (await ann.get("/me", **there)).text, "when that minute is over"
    await ann.log_in()
    site.clock.advance(60)
    assert (await ann.get("/me", **there)).json() == "ann"


async def test_the_instructions(build: Build) -> None:
    site = build(bound=BoundPolicy(exclude=("/static",)))
    ann = await Browser(site.send).log_in()
    assert ann.told == {
        "session_identifier": ann.identifier,
        "refresh_url": "/device-bound-session/refresh",
        "scope": {
            "include_site": False,
            "scope_specification": [{"type": "exclude", "domain": "*", "path": "/static"}],
        },
        "credentials": [
            {"type": "cookie", "name": PROOF, "attributes": "Path=/; HttpOnly; Secure; SameSite=Lax"},
        ],
    }


async def test_pages_of_other_sites_that_may_lead_to_a_proof(build: Build) -> None:
    others = ("*.example.org", "pay.example.com")
    site = build(cookie=CookiePolicy(same_site="none"), bound=BoundPolicy(allowed_refresh_initiators=others))
    ann = await Browser(site.send).log_in()
    assert ann.told["allowed_refresh_initiators"] == list(others)


async def test_a_session_for_a_whole_site(build: Build) -> None:
    site = build(
        cookie=CookiePolicy(domain="shop.test"),
        bound=BoundPolicy(include_site=True, registering_origins=("https://login.shop.test",)),
    )
    ann = await Browser(site.send).log_in()
    assert ann.told["scope"] == {
        "include_site": True,
        "scope_specification": [],
        "origin": "https://shop.test",
    }
    assert ann.told["credentials"][0]["attributes"].startswith("Path=/; Domain=shop.test;")
    reply = await ann.get("/.well-known/device-bound-sessions")
    assert reply.json() == {"registering_origins": ["https://login.shop.test"]}
