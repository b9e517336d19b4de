"""F03: the store goes down between the handler and the save."""

from __future__ import annotations

import pytest

from limpet import Session
from tests.faults.service import Service, add, answered, read, refused
from tests.site import Handler


def log_in(session: Session) -> None:
    session.login("ada")


@pytest.mark.parametrize("handler", [add, log_in, Session.logout, Session.regenerate])
async def test_f03_killed_while_the_handler_runs(service: Service, handler: Handler) -> None:
    """A save that fails is an error before any byte: no 200, no cookie, and the session is as it was."""
    site = await service.site()
    token = await site.session(n=1)
    try:
        async with site.held(handler, token) as held, site.held(add) as beginning:
            service.crash()
    finally:
        service.revive()
    assert refused(held)
    assert refused(beginning)
    assert (await answered(lambda: site.ask(read, token))).result == {"n": 1}
    assert (await site.ask(add, token)).status == 200
    assert await site.read(token) == {"n": 2}
