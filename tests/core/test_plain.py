"""The straight path of the usual commit comes to what the general one comes to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Session, SessionManager, SessionPolicy
from holdfast._core import plain
from holdfast.testing import FakeClock
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

    def __init__(self, store: str, policy: SessionPolicy, *, straight: bool = True) -> None:
        self.clock = FakeClock()
        self.manager = SessionManager(store, secret=SECRET, policy=policy, dev=False, clock=self.clock)
        self.manager.tracer = None if straight else Watching()
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
    update, reseal = plain.update, plain.reseal

    async def updating(engine: Any, session: Session) -> bool:
        done = await update(engine, session)
        taken.append(f"update {done}")
        return done

    def resealing(engine: Any, session: Session) -> bool:
        done = reseal(engine, session)
        taken.append(f"reseal {done}")
        return done

    monkeypatch.setattr(plain, "update", updating)
    monkeypatch.setattr(plain, "reseal", resealing)
    for store in ("memory:", "cookie:"):
        browser = Browser(store, SessionPolicy())
        for _ in range(2):
            await browser.request(["set"])
    assert taken == ["update False", "update True", "reseal False", "reseal True"]
