"""What a store promises that reads several records at once, or one subject's by pages: a part of `StoreSuite`."""

from __future__ import annotations

from typing import Final

from limpet.contract import LoadsMany, Pages, Record, Store, supports
from limpet.testing.suite_store_steps import StoreSteps, new_key, same, together

__all__ = ["PagingSuite"]

MANY: Final = 300
"""Sessions of one subject: more than any store of ours puts into one page."""
PAGE: Final = 10
LARGEST: Final = 150
"""Records of a page at most: about as many as asked for, or what a server keeps together as a small list."""


class PagingSuite(StoreSteps):
    """Each test asks with `supports` whether the store has the power; without it there is nothing to promise."""

    async def test_load_many_gives_what_load_gives(self, store: Store) -> None:
        """Loading several keys gives their records in the order of the keys, None for each that is absent."""
        if not supports(store, LoadsMany):
            return
        made = [await self.stored(store, self.record(payload)) for payload in (b"", b"one", bytes(range(256)) * 300)]
        absent = new_key()
        keys = [made[2][0], absent, made[0][0], made[1][0], made[2][0]]
        wanted = [made[2][1], None, made[0][1], made[1][1], made[2][1]]
        found = await store.load_many(keys)
        assert len(found) == len(keys), f"load_many of {len(keys)} keys gave {len(found)} answers"
        for got, want in zip(found, wanted, strict=True):
            if want is None:
                assert got is None, f"load_many gave {got!r} for an absent key instead of None"
            else:
                same(got, want, "load_many")
        assert len(await store.load_many([])) == 0, "load_many of no keys gave something"

    async def test_load_many_of_many(self, store: Store) -> None:
        """Loading hundreds of keys gives hundreds of records."""
        if not supports(store, LoadsMany):
            return
        made = await together(self.stored(store, self.record(b"%d" % number)) for number in range(MANY))
        found = await store.load_many([key for key, _ in made])
        assert len(found) == MANY, f"load_many of {MANY} keys gave {len(found)} answers"
        for got, (_, want) in zip(found, made, strict=True):
            same(got, want, f"load_many of {MANY} keys")

    async def test_pages_give_all_of_a_subject(self, store: Store) -> None:
        """Page by page comes each record of a subject and none of another, and no page grows with their number."""
        if not supports(store, Pages):
            return
        ada = f"ada ✓ {new_key()[:8]}"
        made = dict(await together(self.stored(store, self.record(subject=ada)) for _ in range(MANY)))
        await self.stored(store, self.record(subject=ada + "x"))
        await self.stored(store)
        found = await self._paged(store, ada)
        assert set(found) == set(made), f"find_page gave {len(found)} of {MANY} records, or others than were created"
        for key, record in made.items():
            same(found[key], record, "find_page")

    async def test_pages_go_on_while_records_come_and_go(self, store: Store) -> None:
        """Records that are deleted or created meanwhile keep no other record from being given."""
        if not supports(store, Pages):
            return
        ada = new_key()
        made = dict(await together(self.stored(store, self.record(subject=ada)) for _ in range(MANY)))
        page, cursor = await store.find_page(ada, None, PAGE)
        found = {key for key, _ in page}
        while cursor is not None:
            gone = page[-1][0] if page else ""
            if gone in made:
                del made[gone]
                await store.delete(gone)
            await self.stored(store, self.record(subject=ada))
            await store.touch(next(iter(made)), self.now() + 5000, self.now() + 10_000_000, now=self.now())
            page, cursor = await store.find_page(ada, cursor, PAGE)
            found.update(key for key, _ in page)
            assert len(found) < 5 * MANY, "find_page comes to no end"
        missed = set(made) - found
        assert not missed, (
            f"find_page passed over {len(missed)} records that were there from the first page to the last"
        )

    async def test_pages_of_nobody(self, store: Store) -> None:
        """A subject without sessions has one empty page."""
        if supports(store, Pages):
            page, cursor = await store.find_page(new_key(), None, PAGE)
            assert (list(page), cursor) == ([], None), f"find_page of nothing gave {page!r} and {cursor!r}"

    async def _paged(self, store: Pages, subject: str) -> dict[str, Record]:
        found: dict[str, Record] = {}
        cursor: str | None = None
        for _ in range(2 * MANY):
            page, cursor = await store.find_page(subject, cursor, PAGE)
            assert len(page) <= LARGEST, f"a page of about {PAGE} records has {len(page)}"
            found.update(page)
            if cursor is None:
                return found
        raise AssertionError(f"find_page did not come to an end after {2 * MANY} pages of {MANY} records")
