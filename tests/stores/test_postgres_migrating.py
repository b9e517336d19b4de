"""Migrations that the server ends because others change its catalogue at the same time."""

from __future__ import annotations

import pytest

from limpet.stores.postgres.clients import _again_after_deadlock


class Deadlock(Exception):
    """As the drivers raise it."""

    sqlstate = "40P01"


@pytest.mark.parametrize(("deadlocks", "tries"), [(0, 1), (1, 2), (2, 3)])
async def test_a_migration_that_met_a_deadlock_is_tried_again(deadlocks: int, tries: int) -> None:
    """Others have ended by then."""
    calls: list[int] = []

    async def migrate() -> None:
        calls.append(1)
        if len(calls) <= deadlocks:
            raise Deadlock

    await _again_after_deadlock(migrate)
    assert len(calls) == tries


async def test_it_is_not_tried_for_ever_nor_after_another_failure() -> None:
    """Three times at most, and once where it failed for another reason."""
    calls: list[int] = []

    async def migrate(error: Exception) -> None:
        calls.append(1)
        raise error

    with pytest.raises(Deadlock):
        await _again_after_deadlock(lambda: migrate(Deadlock()))
    assert len(calls) == 3
    with pytest.raises(ValueError, match="no"):
        await _again_after_deadlock(lambda: migrate(ValueError("no")))
    assert len(calls) == 4
