"""Who registers a key, and when: the browser of the login, which was asked to, and nobody else at any later time."""

from __future__ import annotations

from limpet import events
from tests.bound.conftest import Build
from tests.bound.device import Browser
from tests.bound.sites import Site


async def left_alone(site: Site) -> Browser:
    """Return a browser that has registered and never come back, later than a proof lasts."""
    ann = Browser(site.send)
    await ann.get("/login/ann")
    assert (await ann.register()).status == 200
    site.clock.advance(660)
    return ann


async def test_a_challenge_for_a_proof_registers_no_key(build: Build) -> None:
    """Somebody who has copied the cookie is asked for a proof, and cannot answer with a key of their own."""
    site = build()
    ann = await left_alone(site)
    thief = ann.thief()
    assert await thief.whose() is None
    assert thief.challenge is not None
    assert ann.offer is not None
    thief.offer = ann.offer[0], thief.challenge
    assert (await thief.register()).status == 403
    assert [event.reason for event in site.seen(events.DeviceProofRefused)] == ["challenge"]
    assert await thief.whose() is None
    assert (await ann.refresh()).status == 200
    assert await ann.whose() == "ann"


async def test_a_challenge_for_a_registration_proves_nothing(build: Build) -> None:
    site = build()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    assert (await ann.register()).status == 200
    page = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document", "sec_fetch_site": "same-origin"}
    await ann.get("/me", **page)
    assert ann.offer is not None
    proof = ann.device.prove(ann.offer[1], registers=False)
    assert (await ann.refresh(proof, tries=1)).status == 403
    assert [event.reason for event in site.seen(events.DeviceProofRefused)] == ["challenge"]
    assert (await ann.refresh()).status == 200


async def test_requests_without_a_proof_do_not_make_it_needless(build: Build) -> None:
    """They are no use of the session, which would tell that its browser goes on without proofs."""
    site = build()
    thief = (await left_alone(site)).thief()
    for _ in range(3):
        assert await thief.whose() is None
        site.clock.advance(90)
