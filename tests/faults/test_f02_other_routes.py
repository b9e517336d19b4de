"""F02: routes that do not use the session keep working while the store is down."""

from __future__ import annotations

import pytest

from limpet import Session
from limpet.asgi import SessionMiddleware
from tests.faults.service import Service, add, answered, read, refused, unrelated


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
async def test_f02_untouched_routes_stay_up(service: Service, lazy: bool) -> None:
    """With a cookie: 200 and no cookie back, after one read that is kept for who asks, or none at all when lazy."""
    site = await service.site()
    token = await site.session(user="ada")
    site.app = SessionMiddleware(site.app.app, site.manager, lazy=lazy)
    service.crash()
    try:
        site.take()
        reply = await site.ask(unrelated, token)
        assert (reply.status, reply.result, reply.token) == (200, "fine", None)
        assert "set-cookie" not in dict(reply.headers)
        assert "vary" not in dict(reply.headers)
        assert site.take() == ({} if lazy else {"load": 1})
        assert (await site.ask(unrelated)).status == 200
        assert site.take() == {}, "who brings no cookie costs no call"
        if not lazy:
            assert refused(await site.ask(read, token))
    finally:
        service.revive()

    async def load(session: Session) -> object:
        await session.load()
        return read(session)

    assert (await answered(lambda: site.ask(load, token))).result == {"user": "ada"}


async def test_f02_a_first_visit_is_anonymous(service: Service) -> None:
    """Who has no session yet can look at pages that read it; what would begin one is a 503."""
    site = await service.site()
    await service.proxy.refuse()
    assert (await site.ask(read)).result == {}
    assert refused(await site.ask(add))
    assert refused(await site.ask(lambda session: session.login("ada")))
