"""What a store promises that sweeps, finds by subject, scans or checks: a part of `limpet.testing.StoreSuite`."""

from __future__ import annotations

from limpet.contract import NEVER, Checks, Counts, Finds, Record, Scans, Store, Sweeps, supports
from limpet.testing.suite_store_steps import CROWD, HOUR, StoreSteps, new_key, new_version, same, short, together

__all__ = ["PowersSuite"]


class PowersSuite(StoreSteps):
    """Each test asks with `supports` whether the store has the power; without it there is nothing to promise."""

    async def test_sweep_deletes_what_has_expired(self, store: Store) -> None:
        """Sweeping deletes expired records, at most as many as allowed, and says how many."""
        if not supports(store, Sweeps):
            return
        keys = [(await self.stored(store))[0] for _ in range(7)]
        later = self.now() + 2 * HOUR
        swept = 0
        for _ in range(20):
            count = await store.sweep(later, 3)
            assert count <= 3, f"sweep with a limit of 3 deleted {count}"
            swept += count
        left = sum([await store.load(key) is not None for key in keys])
        assert left == 0, f"{left} of 7 expired records are still there after 20 sweeps of 3"
        assert swept == 7, f"sweep says that it deleted {swept} records, and there were 7"

    async def test_sweep_spares_the_living(self, store: Store) -> None:
        """Sweeping never deletes a record whose deadline is still to come, also one that was moved or has none."""
        if not supports(store, Sweeps):
            return
        living = {(await self.stored(store))[0]: "not yet expired"}
        later = self.now() + 2 * HOUR
        for write in (self.update, self.touch):
            key, record = await self.stored(store)
            await write(store, key, record, record.accessed, later + HOUR)
            living[key] = f"moved by {write.__name__}"
        key, _ = await self.stored(store, self.record()._replace(expires=NEVER))
        living[key] = "one that never expires"
        assert await store.sweep(self.now(), 100) == 0, "sweep deleted a record that has not expired"
        await store.sweep(later, 100)
        await store.sweep(later, 100)
        gone = [why for key, why in living.items() if await store.load(key) is None]
        assert gone == ["not yet expired"], f"sweep two hours later deleted these: {gone}"

    async def test_sweep_returns_nothing_from_nothing(self, store: Store) -> None:
        """Sweeping an empty store deletes nothing and says so."""
        if supports(store, Sweeps):
            assert await store.sweep(self.now(), 10) == 0, "sweep of an empty store says that it deleted something"

    async def test_find_follows_every_write(self, store: Store) -> None:
        """Finding by subject follows create, update of the subject, and delete."""
        if not supports(store, Finds):
            return
        ada, grace = f"ada {new_key()[:8]}", f"grace ✓ {new_key()[:8]}"
        assert list(await store.find(ada)) == [], "find of an unknown subject is not empty"
        key, record = await self.stored(store, self.record(subject=ada))
        await self._finds(store, ada, {key: record}, "create")
        second, other = await self.stored(store, self.record(subject=ada))
        await self._finds(store, ada, {key: record, second: other}, "a second create")
        moved = record._replace(version=new_version(), subject=grace)
        await store.update(key, moved, record.version, now=self.now())
        await self._finds(store, ada, {second: other}, "the subject changed")
        await self._finds(store, grace, {key: moved}, "the subject changed")
        back = moved._replace(version=new_version(), subject=ada)
        await store.update(key, back, moved.version, now=self.now())
        await self._finds(store, ada, {key: back, second: other}, "the subject changed back")
        await store.update(key, back._replace(version=new_version(), subject=None), back.version, now=self.now())
        await self._finds(store, ada, {second: other}, "the subject was removed")
        await store.update(
            second, other._replace(version=new_version(), subject=grace), other.version ^ 1, now=self.now()
        )
        await self._finds(store, grace, {}, "an update that failed")
        await store.delete(second, other.version)
        await self._finds(store, ada, {}, "delete")

    async def test_find_takes_subjects_as_they_are(self, store: Store) -> None:
        """Subjects that look alike are different ones, however long, and what is no text is nobody's."""
        if not supports(store, Finds):
            return
        long = "x" * 10_000
        alike = (
            "ada",
            "Ada",
            "ada ",
            "é",
            "e\u0301",
            "ß",
            "ss",
            "1",
            "01",
            "😀",
            "%",
            "_",
            "a\x00b",
            "a\x00c",
            long,
            long + "x",
        )
        made = {subject: await self.stored(store, self.record(subject=subject)) for subject in alike}
        for subject, (key, record) in made.items():
            await self._finds(store, subject, {key: record}, f"create for {short(subject)}")
        for nobody in ("\ud800", "ada\udcff"):
            assert list(await store.find(nobody)) == [], f"find gave sessions of {nobody!r}, which is no text"

    async def test_find_gives_all(self, store: Store) -> None:
        """Finding gives all sessions of a subject, fifty made at once, and none of anybody else."""
        if not supports(store, Finds):
            return
        ada, eve = new_key(), new_key()
        made = await together(self.stored(store, self.record(subject=ada)) for _ in range(CROWD))
        await self.stored(store, self.record(subject=eve))
        await self.stored(store, self.record(subject=ada + "x"))
        await self._finds(store, ada, dict(made), f"{CROWD} creates at once")
        await together(store.delete(key) for key, _ in made)
        await self._finds(store, ada, {}, f"{CROWD} deletes at once")

    async def test_find_follows_a_sweep(self, store: Store) -> None:
        """Finding does not give records that a sweep has deleted."""
        if not supports(store, Finds) or not supports(store, Sweeps):
            return
        await self.stored(store, self.record(subject="ada"))
        key, record = await self.stored(store, self.record(subject="ada")._replace(expires=NEVER))
        await store.sweep(self.now() + 2 * HOUR, 10)
        await self._finds(store, "ada", {key: record}, "sweep")

    async def test_scan_walks_through_everything(self, store: Store) -> None:
        """Scanning page by page gives each record exactly once, and pages are about as small as asked."""
        if not supports(store, Scans):
            return
        made = dict(await together(self.stored(store, self.record(b"%d" % number)) for number in range(25)))
        found: dict[str, Record] = {}
        cursor: str | None = None
        for _ in range(1000):
            page, cursor = await store.scan(cursor, 4)
            assert len(page) <= 40, f"a page of about 4 records has {len(page)}"
            for key, record in page:
                assert key not in found, f"scan gave the key {key[:8]}... twice"
                found[key] = record
            if cursor is None:
                break
        assert cursor is None, "scan did not come to an end after 1000 pages of 25 records"
        assert set(found) == set(made), f"scan gave {len(found)} of {len(made)} records, or others than were created"
        for key, record in made.items():
            same(found[key], record, "scan")

    async def test_scan_of_nothing(self, store: Store) -> None:
        """Scanning an empty store gives an empty page and no cursor."""
        if supports(store, Scans):
            page, cursor = await store.scan(None, 10)
            assert (list(page), cursor) == ([], None), f"scan of an empty store gave {page!r} and {cursor!r}"

    async def test_count_is_about_right(self, store: Store) -> None:
        """Counting finds at least what was created, unless more is there than a count would look at."""
        if not supports(store, Counts):
            return
        for _ in range(7):
            await self.stored(store)
        count = await store.count()
        assert count >= 7, f"count gave {count}, and there are 7 records at least"

    async def test_check_answers_in_sentences(self, store: Store) -> None:
        """Checking a store that works returns a sequence of sentences, perhaps none."""
        if supports(store, Checks):
            for sentence in await store.check():
                assert isinstance(sentence, str), f"check returned {sentence!r} instead of a sentence"
                assert " " in sentence.strip(), f"check returned {sentence!r} instead of a sentence"

    async def _finds(self, store: Finds, subject: str, wanted: dict[str, Record], after: str) -> None:
        found = list(await store.find(subject))
        assert len(found) == len(wanted), f"find after {after} gave {len(found)} records, not {len(wanted)}"
        assert {key for key, _ in found} == set(wanted), f"find after {after} gave other keys than were stored"
        for key, record in found:
            same(record, wanted[key], f"find after {after}")
