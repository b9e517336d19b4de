"""A session is bound at its login and stays on its device, in every framework."""

from __future__ import annotations

from limpet import SessionPolicy, events
from tests.bound.conftest import Build
from tests.bound.device import Browser, Device

PAGE = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document", "sec_fetch_site": "same-origin"}


async def test_a_login_is_bound_and_a_copied_cookie_opens_nothing(anywhere: Build) -> None:
    site = anywhere()
    ann = await Browser(site.send).log_in()
    site.clock.advance(60)
    assert await ann.whose() == "ann"
    assert (await ann.get("/bound")).json() is True
    thief = ann.thief()
    assert await thief.whose() == "ann", "with both cookies, until the proof runs out"
    site.clock.advance(661)
    assert await thief.whose() is None
    assert await ann.whose() is None
    assert (await ann.refresh()).status == 200
    assert await ann.whose() == "ann"
    assert await thief.whose() is None
    assert [event.algorithm for event in site.seen(events.DeviceRegistered)] == ["ES256"]
    assert len(site.seen(events.DeviceBound)) == 1
    assert len(site.seen(events.DeviceProven)) == 1
    assert [event.reason for event in site.seen(events.DeviceUnproven)] == ["expired", "expired", "missing"]


async def test_the_session_cookie_alone_opens_nothing(anywhere: Build) -> None:
    site = anywhere()
    ann = await Browser(site.send).log_in()
    site.clock.advance(60)
    thief = ann.thief()
    thief.cookies = {name: value for name, value in thief.cookies.items() if not name.endswith("-bound")}
    before = dict(thief.cookies)
    assert await thief.whose() is None
    assert (await thief.get("/write/x")).json() == ["x"]
    assert thief.cookies == before, "and what it writes goes nowhere, in no new session"
    assert (await ann.get("/write/y")).json() == ["y"]
    assert {event.reason for event in site.seen(events.DeviceUnproven)} == {"missing"}
    assert len(site.seen(events.WriteDropped)) == 1


async def test_a_logout_ends_it_in_the_browser_too(anywhere: Build) -> None:
    site = anywhere()
    ann = await Browser(site.send).log_in()
    reply = await ann.get("/logout")
    assert reply.status == 200
    assert not [name for name in ann.cookies if "session" in name]
    reply = await ann.refresh()
    assert (reply.status, reply.json()["continue"]) == (200, False)


async def test_a_logout_needs_no_proof(anywhere: Build) -> None:
    site = anywhere()
    ann = await Browser(site.send).log_in()
    site.clock.advance(700)
    assert (await ann.thief().get("/logout")).status == 200
    assert (await ann.refresh()).json()["continue"] is False
    assert await ann.whose() is None


async def test_a_login_without_a_proof_begins_a_session_and_ends_the_other(anywhere: Build) -> None:
    site = anywhere()
    ann = await Browser(site.send).log_in()
    site.clock.advance(700)
    again = ann.thief()
    again.device = Device()
    await again.log_in("eve")
    assert await again.whose() == "eve"
    assert (await ann.refresh()).json()["continue"] is False
    assert await ann.whose() is None


async def test_the_binding_follows_a_change_of_id(anywhere: Build) -> None:
    site = anywhere()
    ann = await Browser(site.send).log_in()
    before = dict(ann.cookies)
    assert (await ann.get("/regenerate")).json() == "ann"
    assert before != ann.cookies
    site.clock.advance(700)
    assert await ann.whose() is None
    assert (await ann.refresh()).status == 200
    assert await ann.whose() == "ann"


async def test_the_same_person_logs_in_again_and_stays_bound(anywhere: Build) -> None:
    site = anywhere()
    ann = await Browser(site.send).log_in()
    ann.offer = None
    assert (await ann.get("/login/ann")).status == 200
    assert ann.offer is None
    assert (await ann.get("/bound")).json() is True
    site.clock.advance(700)
    assert (await ann.refresh()).status == 200
    assert await ann.whose() == "ann"


async def test_somebody_else_logs_in_and_is_bound_anew(anywhere: Build) -> None:
    site = anywhere()
    ann = await Browser(site.send).log_in()
    first = ann.identifier
    await ann.log_in("bob")
    assert ann.identifier != first
    assert await ann.whose() == "bob"
    before = dict(ann.cookies)
    ann.identifier = first
    assert (await ann.refresh()).json()["continue"] is False, "the browser forgets the first"
    assert ann.cookies == before, "and keeps the proof of the second"
    site.clock.advance(60)
    assert await ann.whose() == "bob"


async def test_a_session_that_is_registered_takes_the_place_of_one_before(anywhere: Build) -> None:
    """The browser loses the old proof, and so gives the first one of the new session before its next request."""
    site = anywhere()
    ann = await Browser(site.send).log_in()
    await ann.get("/login/bob")
    assert any(name.endswith("-bound") for name in ann.cookies)
    assert (await ann.register()).status == 200
    assert not any(name.endswith("-bound") for name in ann.cookies)
    assert await ann.whose() == "bob"


async def test_a_late_answer_to_a_proof_of_the_session_before_is_put_aside(anywhere: Build) -> None:
    """The browser would take its cookie for that of the new session, and prove nothing until it runs out."""
    site = anywhere()
    ann = await Browser(site.send).log_in()
    late = Browser(site.send, ann.device, True, dict(ann.cookies), None, ann.identifier, ann.challenge, ann.told)
    assert (await late.refresh()).status == 200
    [name] = [each for each in late.cookies if each.endswith("-bound")]
    await ann.get("/login/bob")
    assert (await ann.register()).status == 200
    for step in ("before the first proof", "after it"):
        ann.cookies[name] = late.cookies[name]
        assert await ann.whose() == "bob", step
        assert name not in ann.cookies, step
        assert (await ann.refresh()).status == 200, step
        assert (await ann.get("/me")).all("set-cookie") == [], "and its own proof stays"
    assert (await ann.get("/bound")).json() is True


async def test_a_late_proof_of_a_session_that_nobody_knows_deletes_nothing(anywhere: Build) -> None:
    site = anywhere()
    ann = await Browser(site.send).log_in()
    reply = await ann.get("/device-bound-session/refresh", "POST", sec_secure_session_id='"never-there"')
    assert reply.json() == {"session_identifier": "never-there", "continue": False}
    assert reply.all("set-cookie") == []


async def test_a_browser_that_cannot_has_a_session_like_any_other(anywhere: Build) -> None:
    site = anywhere()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    for _ in range(3):
        site.clock.advance(3600)
        assert await ann.whose() == "ann"
    assert (await ann.get("/bound")).json() is False


async def test_an_anonymous_session_is_not_bound(anywhere: Build) -> None:
    site = anywhere()
    visitor = Browser(site.send)
    assert (await visitor.get("/write/x")).json() == ["x"]
    assert visitor.offer is None


async def test_it_asks_for_a_while_after_the_login(anywhere: Build) -> None:
    site = anywhere()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    assert (await ann.get("/me")).all("secure-session-registration") == [], "not with each script and image"
    assert len((await ann.get("/me", **PAGE)).all("secure-session-registration")) == 1
    site.clock.advance(61)
    assert (await ann.get("/me", **PAGE)).all("secure-session-registration") == []


async def test_a_browser_that_did_not_hear_the_answer_to_its_registration_is_not_locked_out(anywhere: Build) -> None:
    site = anywhere()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    lost = Browser(site.send, cookies=dict(ann.cookies), offer=ann.offer)
    assert (await lost.register()).status == 200
    site.clock.advance(30)
    assert await ann.whose() == "ann"
    assert len((await ann.get("/me", **PAGE)).all("secure-session-registration")) == 1
    assert (await ann.register()).status == 200, "and it may try again"
    assert (await ann.refresh()).status == 200
    lost.cookies = dict(ann.cookies)
    assert (await lost.refresh()).status == 400, "which the key that was lost does not outlive"
    site.clock.advance(100_000)
    assert await ann.whose() is None


async def test_a_browser_that_registers_and_cannot_follow_goes_on(anywhere: Build) -> None:
    site = anywhere()
    ann = Browser(site.send)
    await ann.get("/login/ann")
    await ann.register()
    for _ in range(3):
        site.clock.advance(500)
        assert await ann.whose() == "ann"
    assert (await ann.get("/bound")).json() is False


async def test_a_session_that_is_left_alone_after_its_registration_needs_a_proof(anywhere: Build) -> None:
    """Where uses are noted; by Django's own settings, only saves are."""
    site = anywhere()
    assert site.manager.guard is not None
    if not site.manager.guard.notes_use:
        return
    ann = Browser(site.send)
    await ann.get("/login/ann")
    await ann.register()
    site.clock.advance(600)
    thief = ann.thief()
    assert await thief.whose() is None
    assert await thief.whose() is None
    assert (await ann.refresh()).status == 200
    assert await ann.whose() == "ann"


async def test_rsa_and_headers_without_quotes(anywhere: Build) -> None:
    site = anywhere()
    ann = await Browser(site.send, Device("RS256"), quotes=False).log_in()
    site.clock.advance(700)
    assert (await ann.refresh()).status == 200
    assert await ann.whose() == "ann"


async def test_a_proof_lengthens_no_session(build: Build) -> None:
    """Both timeouts hold, though the device is proven all the time (NIST SP 800-63B-4, section 5.1)."""
    site = build(policy=SessionPolicy(idle_timeout=1_000, absolute_timeout=3_000))
    ann, bob = await Browser(site.send).log_in(), await Browser(site.send).log_in("bob")
    for _ in range(2):
        site.clock.advance(499)
        assert (await ann.refresh()).json().get("continue", True), "which is no use of the session"
        assert (await bob.refresh()).status == 200
        assert await bob.whose() == "bob"
    site.clock.advance(499)
    assert (await ann.refresh()).json()["continue"] is False
    assert await ann.whose() is None
    for _ in range(3):
        assert (await bob.refresh()).json().get("continue", True)
        assert await bob.whose() == "bob"
        site.clock.advance(499)
    site.clock.advance(499)
    assert (await bob.refresh()).json()["continue"] is False
    assert await bob.whose() is None
