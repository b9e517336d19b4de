"""F15: the connection is cut after a command was forwarded, so that the write happens and its reply is lost."""

from __future__ import annotations

import pytest

from limpet import Session
from tests.faults.service import Service, add, answered, read
from tests.site import Handler


class Cut:
    """Cuts the first connections that carry a write, and counts them."""

    def __init__(self, kind: str, times: int) -> None:
        self._kind = kind
        self.left = times

    def __call__(self, data: bytes) -> bool:
        # Redis: a script. PostgreSQL: Bind, and Execute and Sync with it; psycopg first sends Parse along.
        with_parse = data[:1] == b"P" and b"WITH g" in data
        writes = b"EVAL" in data if self._kind == "redis" else data[:1] == b"B" or with_parse
        if writes and self.left:
            self.left -= 1
            return True
        return False


async def test_f15_an_increment_counts_once(service: Service) -> None:
    """Ten requests lose the reply to their first attempt: each is a 200, and the count is ten."""
    site = await service.site()
    token = await site.session(n=0)
    for _ in range(10):
        async with site.held(add, token):
            service.proxy.cut = cut = Cut(service.kind, 1)
        assert not cut.left, "no connection was cut, and this shows nothing"
    service.proxy.cut = None
    assert await site.read(token) == {"n": 10}


@pytest.mark.parametrize("handler", [lambda session: session.login("ada"), Session.regenerate])
async def test_f15_a_new_id(service: Service, handler: Handler) -> None:
    """The reply to creating the new record, or to deleting the old one, is lost: one session, under the new id."""
    site = await service.site()
    for _ in range(5):
        token = await site.session(n=1)
        async with site.held(handler, token) as held:
            service.proxy.cut = Cut(service.kind, 1)
        assert held.status == 200
        assert held.token not in (None, "", token)
        assert await site.read(token) is None
        assert await site.read(held.token) == {"n": 1}


async def test_f15_a_logout(service: Service) -> None:
    """The reply to a logout is lost: it is done, and said to be done."""
    site = await service.site()
    token = await site.session(n=1)
    async with site.held(Session.logout, token) as held:
        service.proxy.cut = Cut(service.kind, 1)
    assert (held.status, held.token) == (200, "")
    assert await site.read(token) is None


async def test_f15_both_replies_are_lost(service: Service) -> None:
    """When the second attempt's reply is lost too, it is a 503; the client's own second try is another request."""
    site = await service.site()
    token = await site.session(n=0)
    async with site.held(add, token) as held:
        service.proxy.cut = Cut(service.kind, 2)
    assert held.status == 503
    service.proxy.cut = None
    assert (await answered(lambda: site.ask(read, token))).result == {"n": 1}, "it happened once"
