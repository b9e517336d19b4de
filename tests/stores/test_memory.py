"""The memory store: the suite, its bound, its sweep, and what a session costs."""

from __future__ import annotations

import logging
import threading
import tracemalloc

import pytest

from limpet.errors import ConfigurationError
from limpet.stores import ABSENT, DONE, Checks, Finds, Immediate, MemoryStore, Record, Scans, Store, Sweeps
from limpet.testing.suite_store import StoreSuite
from tests.stores.blocking import NOW, done, key, record


class TestMemoryStore(StoreSuite):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


def test_powers() -> None:
    """A memory store has every power, and its calls never wait."""
    store = MemoryStore()
    for power in (Store, Sweeps, Finds, Scans, Checks, Immediate):
        assert isinstance(store, power)


def test_bound_evicts_what_expires_first() -> None:
    """A full store drops the record that expires first, judged by where touches have moved it."""
    store = MemoryStore(max_records=3)
    for number, life in enumerate((1000, 2000, 3000)):
        done(store.create(key(number), record(expires=NOW + life), now=NOW))
    done(store.touch(key(0), NOW, NOW + 9000, now=NOW))
    assert done(store.create(key(3), record(expires=NOW + 500), now=NOW)) is DONE
    assert [done(store.load(key(number))) is not None for number in range(4)] == [True, False, True, True]


def test_bound_holds_whatever_comes() -> None:
    """A store never holds more than its bound, with deletes, touches and subjects among the creates."""
    store = MemoryStore(max_records=50)
    for number in range(2000):
        done(store.create(key(number), record(expires=NOW + number * 37 % 1000, subject=f"u{number % 7}"), now=NOW))
        done(store.touch(key(number // 2), NOW, NOW + number, now=NOW))
        if number % 3 == 0:
            done(store.delete(key(number - 5)))
    page, _ = done(store.scan(None, 1000))
    assert len(page) <= 50
    found = [pair for user in range(7) for pair in done(store.find(f"u{user}"))]
    assert sorted(found) == sorted(page)


def test_eviction_is_said_once_and_loudly(caplog: pytest.LogCaptureFixture) -> None:
    """The first live session that is dropped is worth a warning, the next ones are not, and `check` keeps saying it."""
    store = MemoryStore(max_records=2)
    assert done(store.check()) == []
    with caplog.at_level(logging.WARNING, logger="limpet"):
        for number in range(10):
            done(store.create(key(number), record(), now=NOW))
    assert [entry.levelname for entry in caplog.records] == ["WARNING"]
    assert "full at 2 sessions" in caplog.text
    assert "raise max_records" in done(store.check())[0]


def test_records_that_never_expire_are_evicted_too() -> None:
    """The bound holds also when no record has a deadline."""
    store = MemoryStore(max_records=5)
    for number in range(20):
        assert done(store.create(key(number), record(), now=NOW)) is DONE
    assert len(done(store.scan(None, 100))[0]) == 5


def test_left_over_queue_entries_are_bounded() -> None:
    """Sessions that come and go leave nothing behind, long before they would have expired."""
    store = MemoryStore()
    for number in range(20_000):
        done(store.create(key(number), record(expires=NOW + number), now=NOW))
        done(store.delete(key(number)))
        assert len(store._queue) + len(store._former) < 2000


def test_what_is_left_of_the_queue_still_counts() -> None:
    """While the queue is being cleared of deleted records, sweeps and evictions miss none of the others."""
    store = MemoryStore(max_records=3100)
    for number in range(3000):
        done(store.create(key(number), record(expires=NOW + number), now=NOW))
    number = 0
    while not store._former:
        done(store.delete(key(number)))
        number += 1
    assert len(store._former) > 1000
    done(store.create(key(9000), record(expires=NOW + 2), now=NOW))
    assert done(store.sweep(NOW + 2998, 5000)) == 3000 - number - 1 + 1
    left = done(store.scan(None, 10))[0]
    assert [found for found, _ in left] == [key(2999)]


def test_sweep_looks_at_a_bounded_number() -> None:
    """A sweep that meets many records whose deadline was moved files them again little by little."""
    store = MemoryStore()
    for number in range(1000):
        done(store.create(key(number), record(expires=NOW + number), now=NOW))
        done(store.touch(key(number), NOW, NOW + 100_000 + number, now=NOW))
    done(store.create(key(1000), record(expires=NOW + 5000), now=NOW))
    calls = 0
    while done(store.load(key(1000))) is not None:
        assert done(store.sweep(NOW + 6000, 10)) <= 1
        calls += 1
    assert 5 <= calls <= 15, "each call may look at 100 entries"
    assert len(done(store.scan(None, 2000))[0]) == 1000


def test_walks_miss_nothing_that_stays() -> None:
    """Two walks at once, a sweep and other records that come and go in between: each meets once what was there."""
    store = MemoryStore()
    stay = {key(number) for number in range(0, 100, 2)}
    for number in range(100):
        done(store.create(key(number), record(expires=NOW + 5 if number % 2 else NOW + 9000), now=NOW))
    walks: list[tuple[list[str], str | None]] = [([], None), ([], None)]
    for number in range(60):
        met, cursor = walks[number % 2]
        if number < 2 or cursor is not None:
            page, cursor = done(store.scan(cursor, 4))
            met += [found for found, _ in page]
            walks[number % 2] = met, cursor
        done(store.delete(key(number * 2 + 1)))
        done(store.create(key(1000 + number), record(expires=NOW + 9000), now=NOW))
        done(store.sweep(NOW + number, 3))
    for met, cursor in walks:
        assert cursor is None
        assert sorted(met) == met
        assert len(met) == len(set(met))
        assert stay <= set(met)


def test_memory_of_an_idle_session() -> None:
    """A session costs its payload and at most 600 bytes, index by subject included."""
    payload = b"x" * 150
    store = MemoryStore()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(20_000):
        version = int.from_bytes(number.to_bytes(8, "big"), "big") + 2**61
        fresh = Record(version, bytes(bytearray(payload)), NOW + number, NOW + number * 1000, f"user-{number}")
        done(store.create(key(number), fresh, now=NOW))
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used / 20_000 - len(payload) < 600


@pytest.mark.parametrize(("touched", "at_most"), [(False, 500), (True, 535)])
def test_memory_of_sessions_that_begin_at_once(touched: bool, at_most: int) -> None:
    """What `docs/performance.md` promises; the time of a last use of its own is one number more, and nothing else is
    left of the first deadline."""
    store, count = MemoryStore(), 50_000
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(count):
        fresh = Record(2**62 + number, bytes(bytearray(120)), NOW, NOW + number, f"u{number}")
        done(store.create(key(number), fresh, now=NOW))
    if touched:
        for number in range(count):
            done(store.touch(key(number), NOW + 1000 + number, NOW + 100_000 + number, now=NOW))
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used / count - 120 < at_most


@pytest.mark.parametrize("end", ["delete", "sweep", "evict"])
def test_sessions_that_come_and_go_take_no_more_memory(end: str) -> None:
    """However a session ends, the next one has the memory that it had, and the first to expire is still known."""
    store = MemoryStore(max_records=200)
    used = []
    tracemalloc.start()
    for number in range(40_000):
        expires = NOW + number + 1_000
        done(store.create(key(number), record(expires=expires), now=NOW))
        if end == "delete" and number >= 100:
            done(store.delete(key(number - 100)))
        elif end == "sweep" and number >= 100:
            assert done(store.sweep(NOW + number - 100 + 1_000, 10)) == 1
        if number in (20_000, 39_999):
            used.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert used[1] < used[0] + 20_000
    assert done(store.load(key(39_999 - 99))) is not None
    assert done(store.load(key(39_999 - 200))) is None


def test_threads_share_a_store() -> None:
    """Four threads update one record from the version that they read: nothing is lost."""
    store = MemoryStore()
    done(store.create(key(1), record(0, b""), now=NOW))

    def work(mark: bytes) -> None:
        for number in range(500):
            current = done(store.load(key(1)))
            while current is not None:
                new = record(int.from_bytes(mark) * 1000 + number + 1, current.payload + mark)
                outcome = done(store.update(key(1), new, current.version, now=NOW))
                current = outcome if isinstance(outcome, Record) else None
                assert outcome is not ABSENT

    threads = [threading.Thread(target=work, args=(bytes([mark]),)) for mark in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    final = done(store.load(key(1)))
    assert final is not None
    assert sorted(final.payload) == sorted(bytes([1, 2, 3, 4]) * 500)


def test_a_bound_of_nothing_is_refused() -> None:
    """A store that may keep nothing is a mistake, and the error says what to give."""
    with pytest.raises(ConfigurationError, match=r"max_records=0: give a whole number of sessions, 1 or more"):
        MemoryStore(max_records=0)
