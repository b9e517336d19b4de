"""F01: the store is down when a session is loaded."""

from __future__ import annotations

from limpet import Session
from tests.faults.service import Service, add, answered, read, refused, timed
from tests.races.counted import CountedSite


async def test_f01_a_killed_server_is_a_503_at_once(service: Service) -> None:
    """After kill -9 a session's routes answer 503 in under 100 ms and touch no cookie; afterwards nobody is out."""
    site = await service.site()
    token = await site.session(user="ada")
    service.crash()
    try:
        answers = [await timed(site, handler, token) for handler in (read, add, Session.logout) for _ in range(3)]
        assert all(refused(reply) for _, reply in answers)
        # The machine may be busy; an outage that is noticed late is late every time.
        assert min(seconds for seconds, _ in answers) < 0.1
    finally:
        service.revive()
    assert (await answered(lambda: site.ask(read, token))).result == {"user": "ada"}
    assert (await site.ask(Session.logout, token)).token == ""
    assert await site.read(token) is None


async def test_f01_down_when_the_application_starts(service: Service) -> None:
    """A worker that starts during an outage answers 503, and serves sessions as soon as the store is there."""
    token = await (await service.site()).session(user="ada")
    await service.proxy.refuse()
    site = CountedSite(service.store())
    assert refused(await site.ask(read, token))
    await service.proxy.start()
    assert (await answered(lambda: site.ask(read, token))).result == {"user": "ada"}


async def test_f01_anonymous_where_the_application_chose_it(service: Service) -> None:
    """``on_load_error="anonymous"``: pages are served without a session and without Set-Cookie; writing is a 503."""
    site = await service.site(on_load_error="anonymous")
    token = await site.session(user="ada")
    await service.proxy.refuse()
    reply = await site.ask(read, token)
    assert (reply.status, reply.result) == (200, {})
    assert "set-cookie" not in dict(reply.headers)
    for handler in (add, lambda session: session.login("eve"), Session.logout):
        assert refused(await site.ask(handler, token)), "nobody is logged in, or told a logout that was not done"
    await service.proxy.start()
    assert (await answered(lambda: site.ask(read, token))).result == {"user": "ada"}
