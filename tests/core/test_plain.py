"""The straight path of the usual commit comes to what the general one comes to."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limpet import Session, SessionManager, SessionPolicy
from limpet._core import plain
from limpet._core.record import Record
from limpet.stores import MemoryStore, Store
from limpet.testing import FakeClock
from tests.security.site import SECRET


class Watching:
    """A tracer: what is traced is never taken for a plain save."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """Watch nothing."""
        return nullcontext()


def _append(session: Session) -> None:
    session.setdefault("list", []).append(1)


STEPS: dict[str, Callable[[Session], object]] = {
    "read": lambda session: session.get("a"),
    "look": lambda session: session.get("list"),
    "set": lambda session: session.update(a=session.get("a", 0) + 1),
    "set again": lambda session: session.update(a=session.get("a", 0)),
    "large": lambda session: session.update(b="x" * 5_000),
    "append": _append,
    "pop": lambda session: session.pop("b", None),
    "increment": lambda session: session.increment("n", 2),
    "user": lambda session: session.update(user_id=["ann"]),
    "user in place": lambda session: session.get("user_id", []).append("eve"),
    "login": lambda session: session.login("ann", remember=True),
    "regenerate": lambda session: session.regenerate(),
    "expire in": lambda session: session.expire_in(900),
    "expire": lambda session: session.expire_in(None),
    "logout": lambda session: session.logout(),
}
REQUESTS = st.lists(
    st.tuples(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=3), st.sampled_from([0, 30, 70, 4_000])),
    min_size=1,
    max_size=8,
)


class Browser:
    """One visitor of one manager."""

    def __init__(self, store: str | Store, policy: SessionPolicy, *, straight: bool = True) -> None:
        self.clock = FakeClock()
        self.manager = SessionManager(store, secret=SECRET, policy=policy, dev=False, clock=self.clock)
        if not straight:
            self.manager.tracer, self.manager.reader = Watching(), None
        self.cookie: bytes | None = None

    async def request(self, steps: list[str]) -> tuple[Any, ...]:
        """Send a request; return all that can be seen of it from outside, but what is random."""
        headers = [] if self.cookie is None else [(b"cookie", self.cookie)]
        session = self.manager.begin(headers)
        await self.manager.load(session)
        raised = ""
        try:
            for step in steps:
                STEPS[step](session)
            if not self.manager.is_idle(session) and not self.manager.reseal(session):
                await self.manager.commit(session)
        except Exception as error:  # noqa: BLE001  # whatever it is, both are to raise it
            raised = f"{type(error).__name__}: {error}"
        header = self.manager.header(session)
        attributes = b""
        if header is not None:
            pair, _, attributes = header[1].partition(b"; ")
            self.cookie = pair if pair.partition(b"=")[2] else None
        again = self.manager.begin([] if self.cookie is None else [(b"cookie", self.cookie)])
        await self.manager.load(again)
        kept = dict(again), again.subject, again.created_at, again.expires_at, again.authenticated_at
        return raised, attributes, kept, again._record and (again._record.accessed, again._record.payload)


@pytest.mark.parametrize("store", ["memory:", "cookie:signed", "cookie:"])
@pytest.mark.parametrize(
    "policy", [SessionPolicy(), SessionPolicy(touch_interval=60, rolling=False)], ids=["", "fixed"]
)
@given(requests=REQUESTS)
@settings(max_examples=60, deadline=None)
async def test_both_paths_come_to_the_same(
    store: str, policy: SessionPolicy, requests: list[tuple[list[str], int]]
) -> None:
    """Whatever a series of requests does, answers and what is kept are the same with and without the straight path."""
    browsers = [Browser(store, policy, straight=straight) for straight in (True, False)]
    for steps, seconds in requests:
        straight, general = [await browser.request(steps) for browser in browsers]
        assert straight == general, steps
        for browser in browsers:
            browser.clock.advance(seconds)


async def test_the_straight_path_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above means something: a plain change is saved by it, on both kinds of store."""
    taken: list[str] = []
    update, reseal, stand_on = plain.update, plain.reseal, plain._stand_on

    async def updating(engine: Any, session: Session) -> bool:
        done = await update(engine, session)
        taken.append(f"update {done}")
        return done

    def resealing(engine: Any, session: Session) -> bool:
        done = reseal(engine, session)
        if not engine.is_server_side:
            taken.append(f"reseal {done}")
        return done

    def standing(engine: Any, session: Session, record: Record, *, sealed: bool) -> bool:
        done = stand_on(engine, session, record, sealed=sealed)
        taken.append(f"read {done}")
        return done

    monkeypatch.setattr(plain, "update", updating)
    monkeypatch.setattr(SessionManager, "reseal", resealing)
    monkeypatch.setattr(plain, "_stand_on", standing)
    for store, save in (("memory:", "update"), ("cookie:", "reseal")):
        taken.clear()
        browser = Browser(store, SessionPolicy())
        for _ in range(2):
            await browser.request(["set"])
        assert taken == [f"{save} False", "read True", "read True", f"{save} True", "read True"]


PIECES = (
    *("{name}={token}", "{name}={other}", "{name}={damaged}", "{name}=junk", "{name} = {token}", '{name}="{token}"'),
    *("{name}x={token}", "x{name}={token}", "{name}", "{name}=", "{name}={token}=", "a={token}", "a={name}", "b=c", ""),
)


@pytest.mark.parametrize("store", ["memory:", "cookie:signed", "cookie:"])
@given(
    lines=st.lists(st.lists(st.sampled_from(PIECES), max_size=4).map(tuple), max_size=3),
    joint=st.sampled_from(["; ", ";", " ; ", ";;"]),
    age=st.sampled_from([0, 90_000, 3_600, -30, -90]),
    damage=st.tuples(st.integers(0, 400), st.sampled_from('AB_-=+/ "')),
)
@example(lines=[("{name}={token}",), ("{name}={other}",)], joint="; ", age=0, damage=(0, "A"))
@example(lines=[("{name}={token}", "{name}={other}")], joint="; ", age=0, damage=(0, "A"))
@example(lines=[("b=c", "x{name}={token}")], joint="; ", age=0, damage=(0, "A"))
@settings(max_examples=2_000 if os.environ.get("LIMPET_LONG") else 150, deadline=None)
async def test_whatever_cookies_come_the_straight_way_in_reads_the_same(
    store: str, lines: list[tuple[str, ...]], joint: str, age: int, damage: tuple[int, str]
) -> None:
    """Two cookies, damaged ones, names that only look like ours, times past and to come: with and without it."""
    seen: list[object] = []
    kept = MemoryStore() if store == "memory:" else store
    tokens: list[bytes] = []
    for steps in (["set", "append"], ["set"]):
        browser = Browser(kept, SessionPolicy())
        await browser.request(steps)
        tokens.append((browser.cookie or b"").partition(b"=")[2])
    for straight in (True, False):
        browser = Browser(kept, SessionPolicy(), straight=straight)
        token, other = (each.decode() for each in tokens)
        at, character = damage
        words = {
            "name": browser.manager.cookie_name,
            "token": token,
            "other": other,
            "damaged": token[:at] + character + token[at + 1 :],
        }
        headers = [(b"cookie", joint.join(piece.format(**words) for piece in line).encode()) for line in lines]
        browser.clock.advance(age)
        session = browser.manager.begin([(b"host", b"example.org"), *headers])
        await browser.manager.load(session)
        record = session._record
        seen.append((dict(session), session.subject, session._key, record, session._base, session._reissue))
    assert seen[0] == seen[1]
