"""What every store promises, as tests that anybody can run over a store of their own.

::

    class TestMyStore(StoreSuite):
        @pytest.fixture
        def store(self, tmp_path: Path) -> MyStore:
            return MyStore(tmp_path / "sessions")

That is all. The tests are coroutines: they need pytest-asyncio, in any mode, or anyio's plugin with
``pytestmark = pytest.mark.anyio`` in the class and asyncio as its backend. The storage must be the suite's own: a sweep
is told of times to come. ``store`` may be an asynchronous fixture of either too. A store is closed after each test.

Two hooks add tests for stores that can do more: `StoreSuite.reopen` for storage that outlives the object,
`StoreSuite.outage` for a service that can be made to fail.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from limpet.contract import ABSENT, DONE, NEVER, Finds, Record, Store, supports
from limpet.errors import StoreUnavailable
from limpet.testing.suite_store_paging import PagingSuite
from limpet.testing.suite_store_powers import PowersSuite
from limpet.testing.suite_store_replacing import ReplacingSuite
from limpet.testing.suite_store_steps import CROWD, HOUR, new_key, new_version, same, short, together

__all__ = ["StoreSuite"]

SMALLEST: Final = -(2**63)
LARGEST: Final = 2**63 - 1
NO_UPSERT: Final = (
    "it must never create, or a request under way revives a session that was logged out; is it an upsert?"
)
ONE_STEP: Final = "comparing and writing must be one atomic step"


class StoreSuite(PowersSuite, PagingSuite, ReplacingSuite):
    """The conformance suite of `limpet.stores.Store`. Subclass it and override the fixture ``store``."""

    # --- load ---------------------------------------------------------------------------------

    async def test_absent_is_none(self, store: Store) -> None:
        """Loading a key that was never written gives None: absence is an answer, not an error."""
        found = await store.load(new_key())
        assert found is None, f"load of an absent key returned {found!r} instead of None"

    async def test_what_is_created_is_loaded(self, store: Store) -> None:
        """Loading a record gives every field as it was created."""
        key, record = await self.stored(store, self.record(subject="ada"))
        same(await store.load(key), record, "load after create")

    async def test_payload_bytes_come_back(self, store: Store) -> None:
        """Any payload comes back byte for byte: empty, every byte value, what is no UTF-8, 1 MiB."""
        payloads = [
            b"",
            b"\x00",
            bytes(range(256)),
            b"\xff\xfe\x80",
            b"\r\n\x1a",
            b"caf\xe9 \xed\xa0\x80",
            b'{"a":"\\"}',
        ]
        for payload in [*payloads, secrets.token_bytes(2**20)]:
            key, record = await self.stored(store, self.record(payload))
            same(await store.load(key), record, f"load after create with {len(payload)} bytes")
            longer = record._replace(version=new_version(), payload=payload + b"\x00")
            await store.update(key, longer, record.version, now=self.now())
            same(await store.load(key), longer, f"load after update with {len(payload) + 1} bytes")

    async def test_versions_of_64_bits(self, store: Store) -> None:
        """Every signed 64-bit integer is a version, also zero, negative ones and those no float can hold."""
        for version in (0, -1, 2**53 + 1, SMALLEST, LARGEST):
            key, record = await self.stored(store, self.record(version=version))
            same(await store.load(key), record, f"load of version {version}")
            outcome = await store.update(key, self.record(version=version ^ 1), version, now=self.now())
            assert outcome is DONE, f"update of version {version} returned {outcome!r} instead of DONE"
            outcome = await store.delete(key, version ^ 1)
            assert outcome is DONE, f"delete of version {version ^ 1} returned {outcome!r} instead of DONE"

    async def test_a_record_may_never_expire(self, store: Store) -> None:
        """A deadline of NEVER comes back as NEVER, also when it was set by update or by touch."""
        key, record = await self.stored(store, self.record()._replace(expires=NEVER))
        same(await store.load(key), record, "load of a record that never expires")
        for write in (self.update, self.touch):
            key, record = await self.stored(store)
            await write(store, key, record, record.accessed, NEVER)
            found = await store.load(key)
            assert found is not None, f"{write.__name__} to NEVER lost the record"
            assert found.expires == NEVER, f"expires is {found.expires} after {write.__name__} to NEVER"

    async def test_subjects_are_any_text_or_none(self, store: Store) -> None:
        """A subject comes back as it was given, None and the empty text included, and the two differ."""
        for subject in (None, "", "ada", "Zoë ✓ 用户 😀", "a:b/c*d{e}'; --\\", "x" * 1000, "\x00\n"):
            key, record = await self.stored(store, self.record(subject=subject))
            same(await store.load(key), record, f"load of subject {short(subject)}")

    async def test_keys_are_independent(self, store: Store) -> None:
        """A write to one key leaves every other key alone, also one that differs in a single digit."""
        key = new_key()
        others = [key[:-1] + digit for digit in "0123456789abcdef"]
        records = {name: self.record(name.encode()) for name in others}
        for name, record in records.items():
            assert await store.create(name, record, now=self.now()) is DONE, "create under a new key was not DONE"
        assert await store.delete(others[0]) is DONE, "delete of a stored key was not DONE"
        await store.touch(others[1], self.now() + 1, NEVER, now=self.now())
        await store.update(others[2], self.record(), records[others[2]].version, now=self.now())
        for name in others[3:]:
            same(await store.load(name), records[name], "a key that nobody wrote to")

    # --- create -------------------------------------------------------------------------------

    async def test_create_never_overwrites(self, store: Store) -> None:
        """Creating where there is a record returns that record and leaves it as it is."""
        key, record = await self.stored(store, self.record(subject="ada"))
        outcome = await store.create(key, self.record(b"intruder", subject="eve"), now=self.now())
        same(outcome, record, "create over a record must return the record that is there")
        same(await store.load(key), record, "create overwrote a record")

    async def test_one_of_many_creates(self, store: Store) -> None:
        """Of fifty creates of one key at once exactly one is done, and all others get its record."""
        key = new_key()
        records = [self.record(b"%d" % number) for number in range(CROWD)]
        outcomes = await together(store.create(key, record, now=self.now()) for record in records)
        winners = [record for record, outcome in zip(records, outcomes, strict=True) if outcome is DONE]
        problem = f"{len(winners)} of {CROWD} concurrent creates of one key returned DONE, not 1: {ONE_STEP}"
        assert len(winners) == 1, problem
        for outcome in outcomes:
            if outcome is not DONE:
                same(outcome, winners[0], "a create that lost must return the record of the one that won")
        same(await store.load(key), winners[0], "load after concurrent creates")

    # --- update -------------------------------------------------------------------------------

    async def test_update_replaces_the_version_that_was_read(self, store: Store) -> None:
        """Updating the current version replaces version, payload, both times and subject."""
        key, record = await self.stored(store, self.record(subject="ada"))
        new = Record(new_version(), b"new", record.accessed + 1, record.expires + 1, "grace")
        outcome = await store.update(key, new, record.version, now=self.now())
        assert outcome is DONE, f"update of the current version returned {outcome!r} instead of DONE"
        same(await store.load(key), new, "load after update")

    async def test_update_needs_the_current_version(self, store: Store) -> None:
        """Updating from another version changes nothing and returns the record that is there now."""
        key, record = await self.stored(store)
        current = self.record(b"somebody was faster")
        await store.update(key, current, record.version, now=self.now())
        current = current._replace(
            accessed=max(current.accessed, record.accessed), expires=max(current.expires, record.expires)
        )
        outcome = await store.update(key, self.record(b"late"), record.version, now=self.now())
        assert outcome is not DONE, "update from a version that is no longer current returned DONE: an update was lost"
        same(outcome, current, "update from a wrong version must return the record that is there now")
        same(await store.load(key), current, "update from a wrong version changed the record")

    async def test_update_recognises_a_repeated_write(self, store: Store) -> None:
        """Repeating an update whose answer was lost returns the record with the writer's own version."""
        key, record = await self.stored(store)
        new = self.record(b"landed")
        await store.update(key, new, record.version, now=self.now())
        outcome = await store.update(key, new, record.version, now=self.now())
        assert isinstance(outcome, Record), f"a repeated update returned {outcome!r} instead of the record"
        assert outcome.version == new.version, "a repeated update did not return the version that it had written"

    async def test_update_never_creates(self, store: Store) -> None:
        """Updating an absent key returns ABSENT and leaves it absent: what was ended stays ended."""
        key = new_key()
        outcome = await store.update(key, self.record(), new_version(), now=self.now())
        assert outcome is ABSENT, f"update of an absent key returned {outcome!r} instead of ABSENT: {NO_UPSERT}"
        assert await store.load(key) is None, f"update of an absent key created a record: {NO_UPSERT}"

    async def test_update_never_moves_time_back(self, store: Store) -> None:
        """Updating with earlier times keeps the later ones, each for itself."""
        key, record = await self.stored(store)
        early = Record(new_version(), b"early", record.accessed - 1000, record.expires - 1000)
        assert await store.update(key, early, record.version, now=self.now()) is DONE, "update was not DONE"
        wanted = early._replace(accessed=record.accessed, expires=record.expires)
        same(await store.load(key), wanted, "update moved a time back")
        mixed = Record(new_version(), b"mixed", record.accessed + 1000, record.expires - 1000)
        assert await store.update(key, mixed, early.version, now=self.now()) is DONE, "update was not DONE"
        same(await store.load(key), mixed._replace(expires=record.expires), "update with one earlier time")

    async def test_one_of_many_updates(self, store: Store) -> None:
        """Of fifty updates of one version at once exactly one is done, and all others get its record."""
        key, record = await self.stored(store)
        records = [record._replace(version=new_version(), payload=b"%d" % number) for number in range(CROWD)]
        outcomes = await together(store.update(key, new, record.version, now=self.now()) for new in records)
        winners = [new for new, outcome in zip(records, outcomes, strict=True) if outcome is DONE]
        problem = f"{len(winners)} of {CROWD} concurrent updates of one version returned DONE, not 1: {ONE_STEP}"
        assert len(winners) == 1, problem
        for outcome in outcomes:
            if outcome is not DONE:
                same(outcome, winners[0], "an update that lost must return the record of the one that won")
        same(await store.load(key), winners[0], "load after concurrent updates")

    async def test_every_writer_that_tries_again_counts(self, store: Store) -> None:
        """Fifty writers that try again from the returned record are all kept: no update is lost."""
        key, record = await self.stored(store, self.record(b""))

        async def write(mark: bytes) -> None:
            current: Record = record
            while True:
                new = current._replace(version=new_version(), payload=current.payload + mark)
                outcome = await store.update(key, new, current.version, now=self.now())
                if outcome is DONE:
                    return
                assert isinstance(outcome, Record), f"update of a stored key returned {outcome!r}"
                current = outcome

        await together(write(bytes([mark])) for mark in range(CROWD))
        found = await store.load(key)
        assert found is not None, "the record is gone after concurrent updates"
        kept = len(set(found.payload))
        assert sorted(found.payload) == list(range(CROWD)), (
            f"{kept} of {CROWD} concurrent writers were kept: {ONE_STEP}"
        )

    # --- touch --------------------------------------------------------------------------------

    async def test_touch_moves_time_forward(self, store: Store) -> None:
        """Touching moves both times forward and leaves version, payload and subject as they are."""
        key, record = await self.stored(store, self.record(subject="ada"))
        moved = record._replace(accessed=record.accessed + 1000, expires=record.expires + 2000)
        outcome = await store.touch(key, moved.accessed, moved.expires, now=self.now())
        assert outcome is DONE, f"touch of a stored key returned {outcome!r} instead of DONE"
        same(await store.load(key), moved, "load after touch")

    async def test_touch_never_moves_time_back(self, store: Store) -> None:
        """Touching with earlier times keeps the later ones, each for itself."""
        key, record = await self.stored(store)
        await store.touch(key, record.accessed - 1000, record.expires - 1000, now=self.now())
        same(await store.load(key), record, "touch moved a time back")
        await store.touch(key, record.accessed - 1000, record.expires + 1000, now=self.now())
        same(await store.load(key), record._replace(expires=record.expires + 1000), "touch with one earlier time")
        await store.touch(key, record.accessed + 1000, record.expires, now=self.now())
        wanted = record._replace(accessed=record.accessed + 1000, expires=record.expires + 1000)
        same(await store.load(key), wanted, "touch with the other one earlier")

    async def test_touch_never_creates(self, store: Store) -> None:
        """Touching an absent key returns ABSENT and leaves it absent."""
        key = new_key()
        outcome = await store.touch(key, self.now(), self.now() + HOUR, now=self.now())
        assert outcome is ABSENT, f"touch of an absent key returned {outcome!r} instead of ABSENT"
        assert await store.load(key) is None, "touch of an absent key created a record"

    async def test_touch_does_not_stand_in_the_way_of_an_update(self, store: Store) -> None:
        """Touching between load and update is no conflict, and the update keeps the later times."""
        key, record = await self.stored(store)
        await store.touch(key, record.accessed + 1000, record.expires + 1000, now=self.now())
        new = record._replace(version=new_version(), payload=b"new")
        outcome = await store.update(key, new, record.version, now=self.now())
        assert outcome is DONE, f"update after a touch returned {outcome!r} instead of DONE: touch changed the version"
        wanted = new._replace(accessed=record.accessed + 1000, expires=record.expires + 1000)
        same(await store.load(key), wanted, "update after a touch moved a time back")

    # --- delete -------------------------------------------------------------------------------

    async def test_delete_removes(self, store: Store) -> None:
        """Deleting without a version removes whatever is there."""
        key, _ = await self.stored(store)
        outcome = await store.delete(key)
        assert outcome is DONE, f"delete of a stored key returned {outcome!r} instead of DONE"
        assert await store.load(key) is None, "delete returned DONE and the record is still there"

    async def test_delete_of_an_absent_key_is_fine(self, store: Store) -> None:
        """Deleting what is not there returns ABSENT, with and without a version, and never raises."""
        for version in (None, new_version()):
            outcome = await store.delete(new_key(), version)
            assert outcome is ABSENT, f"delete of an absent key returned {outcome!r} instead of ABSENT"

    async def test_delete_by_version(self, store: Store) -> None:
        """Deleting the current version removes it."""
        key, record = await self.stored(store)
        outcome = await store.delete(key, record.version)
        assert outcome is DONE, f"delete of the current version returned {outcome!r} instead of DONE"
        assert await store.load(key) is None, "delete by version returned DONE and the record is still there"

    async def test_delete_of_another_version_keeps_the_record(self, store: Store) -> None:
        """Deleting a version that is not current keeps the record and returns it."""
        key, record = await self.stored(store)
        outcome = await store.delete(key, record.version ^ 1)
        assert outcome is not DONE, "delete of a version that is not current returned DONE: it ignores the version"
        same(outcome, record, "delete of another version must return the record that was kept")
        same(await store.load(key), record, "delete of another version removed or changed the record")

    async def test_nothing_is_revived(self, store: Store) -> None:
        """After a delete no update and no touch, in any order and from any version, brings the record back."""
        key, record = await self.stored(store, self.record(subject="ada"))
        new = self.record(b"second", subject="ada")
        await store.update(key, new, record.version, now=self.now())
        await store.delete(key)
        for version in (record.version, new.version, 0):
            outcome = await store.touch(key, self.now(), NEVER, now=self.now())
            assert outcome is ABSENT, f"touch after delete returned {outcome!r} instead of ABSENT: {NO_UPSERT}"
            outcome = await store.update(key, self.record(b"zombie", subject="ada"), version, now=self.now())
            assert outcome is ABSENT, f"update after delete returned {outcome!r} instead of ABSENT: {NO_UPSERT}"
            assert await store.load(key) is None, "a deleted record came back"
        assert await store.delete(key) is ABSENT, "a deleted record came back"
        if supports(store, Finds):
            assert await store.find("ada") == [], "a deleted record is still found by its subject"

    async def test_delete_wins_over_writers_at_work(self, store: Store) -> None:
        """A delete among many updates and touches at once leaves nothing behind."""
        key, record = await self.stored(store)

        async def write(number: int) -> None:
            version = record.version
            for _ in range(5):
                outcome = await store.update(key, self.record(b"%d" % number), version, now=self.now())
                if outcome is ABSENT:
                    return
                version = outcome.version if isinstance(outcome, Record) else version
                await store.touch(key, self.now(), NEVER, now=self.now())

        writers = [write(number) for number in range(8)]
        await together([*writers[:4], store.delete(key), *writers[4:]])
        assert await store.load(key) is None, f"a record that was deleted while others wrote it came back: {ONE_STEP}"

    async def test_a_deleted_key_can_be_created_again(self, store: Store) -> None:
        """Creating after a delete starts from nothing: earlier times and subject do not shine through."""
        key, record = await self.stored(store, self.record(subject="ada")._replace(expires=NEVER))
        await store.delete(key)
        new = record._replace(
            version=new_version(), payload=b"", accessed=record.accessed - 1, expires=self.now() + HOUR
        )
        new = new._replace(subject=None)
        outcome = await store.create(key, new, now=self.now())
        assert outcome is DONE, f"create after delete returned {outcome!r} instead of DONE"
        same(await store.load(key), new, "create after delete")

    # --- life cycle ---------------------------------------------------------------------------

    async def test_open_and_close_as_often_as_you_like(self, store: Store) -> None:
        """Opening an open store and closing a closed one do nothing."""
        await store.close()
        await store.open()
        await store.open()
        key, record = await self.stored(store)
        await store.open()
        same(await store.load(key), record, "load after a second open")
        await store.close()
        await store.close()

    async def test_a_closed_store_opens_when_it_is_used(self, store: Store) -> None:
        """A call on a closed store opens it again."""
        await self.stored(store)
        await store.close()
        key, record = await self.stored(store)
        await store.close()
        found = await store.load(key)
        if self.reopen(store) is not None:
            same(found, record, "load after close")

    async def test_another_store_sees_what_was_written(self, store: Store) -> None:
        """Where storage outlives the store, a second one sees what the first one wrote, at once and after it closed."""
        other = self.reopen(store)
        if other is None:
            return
        try:
            key, record = await self.stored(store)
            same(await other.load(key), record, "load in a second store")
            outcome = await other.update(key, self.record(b"other"), record.version ^ 1, now=self.now())
            same(outcome, record, "a conflict in a second store")
            await store.close()
            new = record._replace(version=new_version(), payload=b"other")
            assert await other.update(key, new, record.version, now=self.now()) is DONE, "update was not DONE"
            same(await store.load(key), new, "load of what a second store wrote")
        finally:
            await other.close()

    async def test_an_outage_is_told(self, store: Store) -> None:
        """While the service is down every call raises StoreUnavailable, and afterwards all is as it was."""
        key, record = await self.stored(store)
        outage = self.outage(store)
        if outage is None:
            return
        now = self.now()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "load": lambda: store.load(key),
            "create": lambda: store.create(new_key(), self.record(), now=now),
            "update": lambda: store.update(key, self.record(), record.version, now=now),
            "touch": lambda: store.touch(key, now, NEVER, now=now),
            "delete": lambda: store.delete(key),
        }
        async with outage:
            for name, call in calls.items():
                try:
                    outcome = await call()
                except StoreUnavailable:
                    continue
                except Exception as error:
                    raise AssertionError(f"{name} during an outage raised {error!r}, not StoreUnavailable") from error
                raise AssertionError(
                    f"{name} during an outage returned {outcome!r} instead of raising StoreUnavailable"
                )
        same(await store.load(key), record, "load after an outage")
