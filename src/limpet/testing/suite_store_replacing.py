"""What a store promises that takes the ends of sessions in ways of their own: a part of `StoreSuite`."""

from __future__ import annotations

from limpet.contract import ABSENT, DONE, NEVER, Finds, Pages, Record, Replaces, Store, Sweeps, Urgent, supports
from limpet.testing.suite_store_steps import CROWD, StoreSteps, new_key, new_version, same, together

__all__ = ["ReplacingSuite"]

MINUTE = 60_000


class ReplacingSuite(StoreSteps):
    """Each test asks with `supports` whether the store has the power; without it there is nothing to promise."""

    async def test_create_urgently_is_create(self, store: Store) -> None:
        """Creating urgently writes a record where there is none, once, and returns the one that is there."""
        if not supports(store, Urgent):
            return
        for record in (self.record(subject="ada"), self.record()._replace(expires=NEVER)):
            key = new_key()
            outcome = await store.create_urgently(key, record, now=self.now())
            assert outcome is DONE, f"create_urgently of an absent key returned {outcome!r} instead of DONE"
            same(await store.load(key), record, "load after create_urgently")
            again = await store.create_urgently(key, self.record(), now=self.now())
            same(again, record, "create_urgently where there is a record must return it")
            same(await store.load(key), record, "create_urgently changed a record that was there")

    async def test_replace_takes_times_as_given(self, store: Store) -> None:
        """Replacing the current version takes every field as given, also times that are earlier."""
        if not supports(store, Replaces):
            return
        for record in (self.record(subject="ada"), self.record()._replace(expires=NEVER)):
            key, _ = await self.stored(store, record)
            new = Record(new_version(), b"ended", record.accessed - 1000, self.now() + MINUTE, record.subject)
            outcome = await store.replace(key, new, record.version, now=self.now())
            assert outcome is DONE, f"replace of the current version returned {outcome!r} instead of DONE"
            same(await store.load(key), new, "load after replace")
            later = new._replace(version=new_version(), expires=NEVER, accessed=record.accessed + 1)
            assert await store.replace(key, later, new.version, now=self.now()) is DONE, "replace was not DONE"
            same(await store.load(key), later, "load after replace with later times")

    async def test_replace_needs_the_current_version(self, store: Store) -> None:
        """Replacing from another version changes nothing and returns the record that is there now."""
        if not supports(store, Replaces):
            return
        key, record = await self.stored(store, self.record(subject="ada"))
        early = Record(new_version(), b"late", 0, self.now() + MINUTE)
        outcome = await store.replace(key, early, record.version ^ 1, now=self.now())
        assert outcome is not DONE, "replace from a version that is no longer current returned DONE: an update was lost"
        same(outcome, record, "replace from a wrong version must return the record that is there now")
        same(await store.load(key), record, "replace from a wrong version changed the record")
        assert await store.replace(key, early, record.version, now=self.now()) is DONE, "replace was not DONE"
        same(await store.replace(key, early, record.version, now=self.now()), early, "a repeated replace")

    async def test_replace_never_creates(self, store: Store) -> None:
        """Replacing an absent key returns ABSENT and leaves it absent."""
        if not supports(store, Replaces):
            return
        key = new_key()
        outcome = await store.replace(key, self.record(), new_version(), now=self.now())
        assert outcome is ABSENT, f"replace of an absent key returned {outcome!r} instead of ABSENT"
        assert await store.load(key) is None, "replace of an absent key created a record"

    async def test_one_of_many_replaces(self, store: Store) -> None:
        """Of fifty replaces and updates of one version at once exactly one is done."""
        if not supports(store, Replaces):
            return
        key, record = await self.stored(store)
        early = record.accessed - 1000
        records = [Record(new_version(), b"%d" % number, early, record.expires - 1000) for number in range(CROWD)]
        outcomes = await together(
            (store.update if number % 2 else store.replace)(key, new, record.version, now=self.now())
            for number, new in enumerate(records)
        )
        done = [new for new, outcome in zip(records, outcomes, strict=True) if outcome is DONE]
        assert len(done) == 1, f"{len(done)} of {CROWD} concurrent writers of one version were told DONE, not 1"
        found = await store.load(key)
        assert found is not None, "the record is gone after concurrent writers"
        assert found.version == done[0].version, "the record that is there is of a writer that was not told DONE"

    async def test_replace_moves_a_subject(self, store: Store) -> None:
        """After replacing, a record is found by its new subject and no longer by the old one, also by pages."""
        if not supports(store, Replaces) or not supports(store, Finds):
            return
        ada, eve = new_key(), new_key()
        key, record = await self.stored(store, self.record(subject=ada))
        ended = Record(new_version(), b"ended", record.accessed, self.now() + MINUTE)
        for subject in (eve, None, ada):
            following = ended._replace(version=new_version(), subject=subject)
            assert await store.replace(key, following, record.version, now=self.now()) is DONE, "replace was not DONE"
            record = following
            for whose in (ada, eve):
                found = [name for name, _ in await store.find(whose)]
                if supports(store, Pages):
                    found += [name for name, _ in (await store.find_page(whose, None, 10))[0]]
                wrong = f"after replace with subject {short_name(subject, ada)}, find gave {len(found)} records"
                assert set(found) == ({key} if whose == subject else set()), wrong

    async def test_sweep_follows_a_replace(self, store: Store) -> None:
        """A record whose life was shortened is swept when the shorter one is over, and not before."""
        if not supports(store, Replaces) or not supports(store, Sweeps):
            return
        key, record = await self.stored(store)
        short = record._replace(version=new_version(), expires=self.now() + MINUTE)
        await store.replace(key, short, record.version, now=self.now())
        assert await store.sweep(self.now(), 10) == 0, "sweep deleted a record that has not expired"
        assert await store.sweep(self.now() + 2 * MINUTE, 10) == 1, (
            "sweep did not delete a record that replace shortened"
        )
        assert await store.load(key) is None, "sweep says that it deleted a record, and it is still there"


def short_name(subject: str | None, ada: str) -> str:
    return "None" if subject is None else "ada" if subject == ada else "eve"
