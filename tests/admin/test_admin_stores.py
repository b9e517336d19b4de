"""The page over each kind of store, and over stores that can do less or do not answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from limpet import StoreUnavailable
from limpet.contract import Outcome, Record
from limpet.stores.memory import MemoryStore
from tests.admin.operator import Operator, Site


@pytest.mark.parametrize("url", ["memory:", "sqlite:///s.db", "file:./sessions"])
async def test_every_store_on_the_server_can_be_looked_into(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting, listing, searching and ending."""
    monkeypatch.chdir(tmp_path)
    site = Site(url)
    operator = Operator(site)
    ann = await site.visitor("ann")
    for name in ("bob", None):
        await site.visitor(name)
    await operator.look()
    assert (operator.part("live-sessions"), operator.part("subjects"), len(operator.rows())) == ("3", "2", 3)
    await operator.look("/sessions/", q="ann")
    await operator.look(operator.end_all())
    await operator.confirm()
    assert (await ann.get("/whoami")).text == "nobody"
    site.clock.advance(10)
    await operator.look()
    assert operator.part("live-sessions") == "2"
    await site.manager.shutdown()


@pytest.mark.parametrize("url", ["cookie:", "cookie:signed"])
async def test_cookie_sessions_cannot_be_looked_into(url: str) -> None:
    """The page says so in words, shows what the process has seen, and offers nothing that it cannot do."""
    site = Site(url)
    operator = Operator(site)
    await site.visitor("ann")
    answer = await operator.look("/sessions/", q="ann")
    assert answer.status_code == 200
    assert "These sessions live in their cookies" in operator.text
    assert "cannot count them, list them, look into one or end one" in operator.text
    assert operator.part("total-logins") == "1"
    assert "<form" not in operator.page
    for path in (f"/sessions/id/{'0' * 64}", f"/sessions/id/{'0' * 64}/end", "/sessions/end-all?subject=ann"):
        assert (await operator.look(path)).status_code == 404


async def test_cookie_sessions_whose_end_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the manager keeps a note of what was ended, all sessions of somebody can be ended, unseen."""
    monkeypatch.chdir(tmp_path)
    site = Site("cookie:?revocation=epoch&store=sqlite:///ended.db")
    operator = Operator(site)
    ann, bob = await site.visitor("ann"), await site.visitor("bob")
    site.clock.advance(1)
    await operator.look()
    assert "End all sessions of" in operator.text
    await operator.look("/sessions/end-all", subject="ann")
    assert "How many there are is not known" in operator.text
    await operator.confirm()
    assert operator.part("told") == "Every session of ann that began before now has ended."
    assert [(await browser.get("/whoami")).text for browser in (ann, bob)] == ["nobody", "bob"]
    await site.manager.shutdown()


class Outer:
    """A store of somebody else's with nothing but what every store has."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.fails = False
        self.asked = 0

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def load(self, key: str) -> Record | None:
        self.check()
        return await self.inner.load(key)

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        return await self.inner.create(key, record, now=now)

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        return await self.inner.update(key, record, expected, now=now)

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        return await self.inner.touch(key, accessed, expires, now=now)

    async def delete(self, key: str, version: int | None = None) -> Outcome:
        return await self.inner.delete(key, version)

    def check(self) -> None:
        self.asked += 1
        if self.fails:
            raise StoreUnavailable("the disk is on fire")


class Searchable(Outer):
    """One that knows whose its records are, and can be walked through."""

    async def find(self, subject: str) -> Sequence[tuple[str, Record]]:
        self.check()
        return await self.inner.find(subject)

    async def scan(self, cursor: str | None, limit: int) -> tuple[Sequence[tuple[str, Record]], str | None]:
        self.check()
        return await self.inner.scan(cursor, limit)


async def test_a_store_that_can_only_load_and_save() -> None:
    """Nothing is counted or listed, and the page says why; a session can be looked at by its public id, and ended."""
    site = Site(Outer())
    operator = Operator(site)
    ann = await site.visitor("ann")
    public_id = (await ann.get("/public-id")).text
    await operator.look()
    assert "This store cannot walk through its sessions" in operator.text
    await operator.look("/sessions/", q="ann")
    assert "this store cannot search by subject" in operator.text
    await operator.look("/sessions/", q=public_id)
    assert "End this session …" in operator.text
    await operator.look(f"/sessions/id/{public_id}/end")
    await operator.confirm()
    assert (await ann.get("/whoami")).text == "nobody"


async def test_a_store_that_does_not_answer() -> None:
    """The overview still shows what the process has seen; other pages say 503 and when to come again."""
    store = Searchable()
    site = Site(store)
    operator = Operator(site)
    await site.visitor("ann")
    [public_id] = await site.ids("ann")
    await operator.look(f"/sessions/id/{public_id}/end")
    store.fails = True
    refused = await operator.send()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    store.asked = 0
    overview = await operator.look()
    assert (overview.status_code, store.asked) == (503, 1), "one that hangs costs the page one time limit"
    assert "The session store does not answer" in operator.text
    assert operator.part("total-logins") == "1"
    assert operator.part("total-failures") != "0"
    store.fails = False
    assert (await operator.look()).status_code == 200
    assert operator.part("live-sessions") == "1"


async def test_a_page_among_expired_records_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many records are past their deadline, a page looks at a bounded number of them and offers to go on."""
    site = Site()
    operator = Operator(site)
    for _ in range(60):
        await site.visitor("old")
    site.clock.advance(90_000)
    await site.visitor("new")
    rows: list[str] = []
    await operator.look()
    rows += operator.rows()
    while "Next page" in operator.page:
        await operator.look(operator.link("Next page"))
        rows += operator.rows()
    assert len(rows) == 1
    assert operator.part("main").count("old") == 0
