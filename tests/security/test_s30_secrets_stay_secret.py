"""S30: ids, secrets or values in logs, representations, errors and events."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator, Sequence

import pytest

from limpet import LimpetError, Session, SessionPolicy, StoreUnavailable
from limpet.contract import Record
from tests.security.site import NAME, OLDER, SECRET, Watched, WatchedSite
from tests.site import Answer

VALUE = "4111-1111-1111-1111"


class Failing(Watched):
    """A store that fails when it is told to."""

    broken = False

    async def load(self, key: str) -> Record | None:
        if self.broken:
            raise StoreUnavailable("the store is away")
        return await super().load(key)

    async def load_many(self, keys: Sequence[str]) -> Sequence[Record | None]:
        if self.broken:
            raise StoreUnavailable("the store is away")
        return await super().load_many(keys)


def texts(site: WatchedSite, answers: list[Answer]) -> Iterator[str]:
    """Yield everything that could end up in a log, a metric or a report."""
    for error in (answer.error for answer in answers):
        if error is not None:
            yield from ("".join(traceback.format_exception(error)), repr(error), str(getattr(error, "__notes__", "")))
    manager = site.manager
    for thing in (manager, manager.store, manager.keyring, manager.cookie, manager.policy, manager.engine.id_sealer):
        yield from (repr(thing), str(thing), f"{thing}")
    yield repr(site.heard)
    for answer in answers:
        if answer.status >= 400:
            yield answer.text


@pytest.mark.parametrize("secret", [None, [SECRET, OLDER]], ids=["plain", "signed"])
async def test_no_error_tells_what_it_was_about(secret: list[str] | None, caplog: pytest.LogCaptureFixture) -> None:
    """Corrupt rows, outages, conflicts, bad values, late writes: no token, secret or value anywhere."""
    caplog.set_level(logging.DEBUG)
    store = Failing()
    policy = SessionPolicy(max_size=2_000, merge={"card": "strict"}, on_ended="raise")
    site = WatchedSite(store=store, secret=secret, policy=policy)
    shown: list[str] = []

    def show(session: Session) -> None:
        session["card"] = VALUE
        shown.extend((repr(session), str(session), f"{session}", repr([session])))

    meeting = asyncio.Barrier(2)

    async def clash(session: Session) -> None:
        session["card"] = f"{VALUE}-{id(session)}"
        await meeting.wait()

    site.pages |= {
        "/show": show,
        "/object": lambda session: session.update(card=VALUE, thing=object()),
        "/large": lambda session: session.update(card=VALUE * 200),
        "/key": lambda session: session.update({7: VALUE}),  # type: ignore[dict-item]
        "/clash": clash,
    }
    token = (await site.ask("/show")).given
    answers = [await site.ask(path, token) for path in ("/object", "/large", "/key", "/show")]
    answers += await asyncio.gather(*(site.ask("/clash", token) for _ in range(2)))
    store.broken = True
    answers += [await site.ask(path, token) for path in ("/read", "/show", "/logout")]
    store.broken = False
    for key, record in store.rows.items():
        store.rows[key] = record._replace(payload=record.payload[:-3])
    answers += [await site.ask("/read", token), await site.ask("/read", VALUE)]
    assert {answer.status for answer in answers} >= {200, 409, 500, 503}
    everything = "\n".join([*texts(site, answers), *shown, caplog.text])
    raw = site.manager.engine.ids.verify(token)
    assert raw is not None
    # the quoted name of a local variable is not its value: what must not appear are these
    for needle in (token, raw.hex(), repr(raw), SECRET, OLDER, VALUE, f"{NAME}={token[:8]}"):
        assert needle not in everything


async def test_sessions_are_told_apart_by_a_tag(site: WatchedSite) -> None:
    """Events carry the first eight digits of the store key, which cannot be sent as anything."""
    await site.ask("/login")
    (key,) = site.rows
    assert {event.tag for event in site.heard} == {key[:8]}


async def test_errors_still_say_something(site: WatchedSite) -> None:
    """What is hidden is the value; the key and the reason are there."""
    site.pages["/object"] = lambda session: session.update(thing=object())
    error = (await site.ask("/object")).error
    assert isinstance(error, LimpetError)
    assert "thing" in str(error)
    assert "object" in str(error)
