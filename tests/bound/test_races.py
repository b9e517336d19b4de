"""A session is bound while others write, end or change it: both count, on every store."""

from __future__ import annotations

import asyncio
from typing import Any

from limpet import SessionManager, SessionPolicy, events
from tests.bound.device import Browser, Device, asgi
from tests.bound.sites import Site, plain
from tests.counts import count
from tests.security.site import SECRET

REQUESTS = 50
TIMES = count(2, 30)


def site_over(store: Any) -> Site:
    """Return an application over a store."""
    manager = SessionManager(store, secret=SECRET, bound=True)
    return Site(asgi(plain(manager)), manager)


async def test_a_registration_and_fifty_requests(store: Any) -> None:
    """Each of them saves a key; the binding stays, and so do all keys."""
    site = site_over(store)
    ann = Browser(site.send)
    await ann.get("/login/ann")
    early = dict(ann.cookies)
    writers = [Browser(site.send, cookies=dict(early)) for _ in range(REQUESTS)]
    replies = await asyncio.gather(
        *(writer.get(f"/write/key-{number}") for number, writer in enumerate(writers[: REQUESTS // 2])),
        ann.register(),
        *(writer.get(f"/write/key-{number + REQUESTS // 2}") for number, writer in enumerate(writers[REQUESTS // 2 :])),
    )
    assert {reply.status for reply in replies} == {200}
    assert (await ann.refresh()).status == 200
    site.clock.advance(60)
    assert (await ann.get("/write/last")).json() == sorted(["last", *(f"key-{each}" for each in range(REQUESTS))])
    assert (await ann.get("/bound")).json() is True
    assert await Browser(site.send, cookies=early).whose() is None
    assert (await ann.refresh()).status == 200
    assert len(site.seen(events.DeviceBound)) == 1


async def test_two_devices_register_at_once(store: Any) -> None:
    """One of them has it, and the other is told that it has not."""
    site = site_over(store)
    ann = Browser(site.send)
    await ann.get("/login/ann")
    rivals = [Browser(site.send, Device(), cookies=dict(ann.cookies), offer=ann.offer) for _ in range(5)]
    replies = await asyncio.gather(*(rival.register() for rival in rivals))
    assert sorted(reply.status for reply in replies) == [200, 403, 403, 403, 403]
    again = [await rival.refresh() for rival in rivals if rival.identifier is not None]
    assert [reply.status for reply in again] == [200]


async def test_a_proof_is_sent_five_times_at_once(store: Any) -> None:
    site = site_over(store)
    ann = await Browser(site.send).log_in()
    assert ann.challenge is not None
    proof = ann.device.prove(ann.challenge, registers=False)
    copies = [Browser(site.send, cookies=dict(ann.cookies), identifier=ann.identifier, told=ann.told) for _ in range(5)]
    replies = await asyncio.gather(*(each.refresh(proof, tries=1) for each in copies))
    assert sorted(reply.status for reply in replies) == [200, 403, 403, 403, 403]


async def test_the_id_changes_while_it_is_bound(store: Any) -> None:
    """Whichever is first: the session with the new id is bound."""
    site = site_over(store)
    for _ in range(TIMES):
        ann = Browser(site.send)
        await ann.get("/login/ann")
        page = Browser(site.send, cookies=dict(ann.cookies))
        changed, registered = await asyncio.gather(page.get("/regenerate"), ann.register())
        assert (changed.status, registered.status) == (200, 200)
        ann.cookies.update(page.cookies)
        assert (await ann.refresh()).status == 200
        site.clock.advance(700)
        assert await Browser(site.send, cookies=dict(page.cookies)).whose() is None
        assert (await ann.refresh()).status == 200
        assert await ann.whose() == "ann"


async def test_the_same_person_logs_in_again_while_it_is_bound(store: Any) -> None:
    """A key that is registered meanwhile follows the login, or the browser is told that it does not."""
    site = site_over(store)
    for _ in range(TIMES):
        ann = Browser(site.send)
        await ann.get("/login/ann")
        page = Browser(site.send, cookies=dict(ann.cookies))
        _, registered = await asyncio.gather(page.get("/login/ann"), ann.register())
        ann.cookies.update(page.cookies)
        kept = registered.status == 200 and (await ann.refresh()).json().get("continue", True)
        assert kept or page.offer is not None, "either it stays, or the browser is asked for another"
        assert (await ann.get("/bound")).json() is kept


async def test_a_login_that_was_under_way_while_it_was_bound(store: Any) -> None:
    """The binding follows it: else the session would be without one, and nobody would know."""
    site = site_over(store)
    ann = Browser(site.send)
    await ann.get("/login/ann")
    line = "; ".join(f"{name}={value}" for name, value in ann.cookies.items())
    session = site.manager.begin([(b"cookie", line.encode())])
    await site.manager.load(session)
    await ann.register()
    assert (await ann.refresh()).status == 200
    session.login("ann")
    await site.manager.commit(session)
    assert session.is_bound
    (header,) = site.manager.headers(session)
    ann.cookies["__Host-Http-session"] = header[1].decode().partition(";")[0].partition("=")[2]
    site.clock.advance(700)
    assert (await ann.refresh()).status == 200
    assert await ann.whose() == "ann"


async def test_a_logout_wins(store: Any) -> None:
    """A session that ends while it is bound has ended."""
    site = site_over(store)
    for _ in range(TIMES):
        ann = Browser(site.send)
        await ann.get("/login/ann")
        before = dict(ann.cookies)
        page = Browser(site.send, cookies=dict(before))
        gone, _ = await asyncio.gather(page.get("/logout"), ann.register())
        assert gone.status == 200
        assert await Browser(site.send, cookies={**before, **ann.cookies}).whose() is None
        if ann.identifier is not None:
            assert (await ann.refresh()).json()["continue"] is False


async def test_a_revocation_wins(store: Any) -> None:
    site = site_over(store)
    ann = await Browser(site.send).log_in()
    assert await site.manager.revoke_all("ann") == 1
    assert await ann.whose() is None
    assert (await ann.refresh()).json()["continue"] is False


async def test_a_renewed_id_leads_to_the_binding(store: Any) -> None:
    manager = SessionManager(store, secret=SECRET, bound=True, policy=SessionPolicy(renewal_interval=300))
    site = Site(asgi(plain(manager)), manager)
    ann = await Browser(site.send).log_in()
    before = dict(ann.cookies)
    site.clock.advance(400)
    assert await ann.whose() == "ann"
    assert ann.cookies != before
    late = Browser(site.send, ann.device, cookies=before, identifier=ann.identifier, told=ann.told)
    late.challenge = ann.challenge
    assert (await late.refresh()).status == 200, "a proof that was under way with the old id"
    assert await ann.whose() == "ann"
