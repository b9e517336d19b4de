"""S06: two requests write at once and one of the writes is lost."""

from __future__ import annotations

import asyncio
import json
from functools import partial

from limpet import Session
from limpet.events import ValueOverwritten
from tests.security.site import WatchedSite
from tests.site import Handler


async def meet(site: WatchedSite, writers: list[Handler]) -> str:
    """Let the writers load one session, wait for each other, then write; return the session's token."""
    token = (await site.ask("/write")).given
    everybody = asyncio.Barrier(len(writers))

    async def together(session: Session, writer: Handler) -> None:
        await everybody.wait()
        writer(session)

    for number, writer in enumerate(writers):
        site.pages[f"/{number}"] = partial(together, writer=writer)
    answers = await asyncio.gather(*(site.ask(f"/{number}", token) for number in range(len(writers))))
    assert {answer.status for answer in answers} <= {200, 409}
    return token


def put(session: Session, key: str, value: object) -> None:
    session[key] = value


async def test_fifty_writers_of_fifty_keys_leave_fifty_keys(site: WatchedSite) -> None:
    """Everybody loaded before anybody saved, and every key is there afterwards."""
    token = await meet(site, [partial(put, key=f"k{number}", value=number) for number in range(50)])
    found = json.loads((await site.ask("/dump", token)).text)
    assert found == {"n": 1, **{f"k{number}": number for number in range(50)}}


async def test_fifty_increments_count_fifty(site: WatchedSite) -> None:
    """`increment` from fifty requests at once is exact."""
    token = await meet(site, [lambda session: session.increment("n")] * 50)
    assert (await site.ask("/read", token)).text == "51"


async def test_one_key_on_two_sides_is_never_silent(site: WatchedSite) -> None:
    """Two plain values for one key: the later stays, and an event names the key."""
    token = await meet(site, [partial(put, key="n", value=2), partial(put, key="n", value=3)])
    assert (await site.ask("/read", token)).text in ("2", "3")
    (event,) = (event for event in site.heard if isinstance(event, ValueOverwritten))
    assert event.keys == ("n",)


async def test_a_strict_key_is_an_error_for_one_of_the_two() -> None:
    """``merge={"n": "strict"}``: one is saved, the other is told with a 409."""
    site = WatchedSite(merge={"n": "strict"})
    token = await meet(site, [partial(put, key="n", value=2), partial(put, key="n", value=3)])
    assert (await site.ask("/read", token)).text in ("2", "3")
    assert site.said(ValueOverwritten) == 0
