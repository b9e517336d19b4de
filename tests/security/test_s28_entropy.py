"""S28: ids that can be guessed, or that come twice."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter

import pytest

from limpet._wire import tokens
from tests.counts import count
from tests.security.site import WatchedSite


def many(number: int) -> list[bytes]:
    """Return the ids that one process makes."""
    return [tokens.new_id() for _ in range(number)]


def test_a_great_many_ids_are_different_and_even() -> None:
    """No duplicate; every bit of 256 is set half the time, and every byte value comes equally often."""
    number = count(100_000, 1_000_000)
    ids = many(number)
    assert len(set(ids)) == number
    assert {len(each) * 8 for each in ids} == {256}
    ones = sum(int.from_bytes(each).bit_count() for each in ids)
    # monobit: six standard deviations of a fair coin
    assert abs(ones - number * 128) < 6 * (number * 256 / 4) ** 0.5
    seen = Counter(b"".join(ids))
    expected = number * 32 / 256
    chi = sum((seen[value] - expected) ** 2 / expected for value in range(256))
    # 255 degrees of freedom: mean 255, standard deviation 22.6
    assert 255 - 6 * 22.6 < chi < 255 + 6 * 22.6


async def test_without_randomness_there_is_no_session(site: WatchedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system has none to give: an error, nothing stored, and nothing weaker in its place."""

    def fails(size: int) -> bytes:
        raise NotImplementedError("no randomness")

    monkeypatch.setattr(os, "urandom", fails)
    answer = await site.ask("/write")
    assert answer.status == 500
    assert answer.cookies == []
    assert site.rows == {}


def test_forked_processes_do_not_repeat_each_other() -> None:
    """Eight children of one process, ten thousand ids each: no overlap."""
    with multiprocessing.get_context("fork").Pool(8) as pool:
        ids = [each for part in pool.map(many, [10_000] * 8, chunksize=1) for each in part]
    assert len(set(ids)) == 80_000
