"""`decide`, row by row, and the deadlines that sessions live by."""

from __future__ import annotations

from itertools import product

import pytest

from limpet import SessionPolicy
from limpet._core.plan import (
    Plan,
    Situation,
    Step,
    absolute_deadline,
    cookie_deadline,
    deadline,
    decide,
    forget_at,
    idle_timeout,
)
from limpet._core.record import NEVER, Contents

HOUR = 3_600_000
DAY = 24 * HOUR

ROWS: dict[str, tuple[Situation, Plan]] = {
    "nothing was done": (Situation(), Plan(False, Step.NOTHING)),
    "nothing was done to a stored one": (Situation(stored=True), Plan(False, Step.NOTHING)),
    "an error drops a first write": (
        Situation(failed=True, changed=True, worth_saving=True),
        Plan(False, Step.NOTHING),
    ),
    "an error drops a change": (Situation(failed=True, stored=True, changed=True), Plan(False, Step.NOTHING)),
    "an error drops a new id": (Situation(failed=True, stored=True, new_id=True), Plan(False, Step.NOTHING)),
    "an error drops a renewal": (Situation(failed=True, stored=True, renewal_due=True), Plan(False, Step.NOTHING)),
    "an error drops a touch": (Situation(failed=True, stored=True, touch_due=True), Plan(False, Step.NOTHING)),
    "an error drops another's login": (Situation(failed=True, stored=True, displaced=True), Plan(False, Step.NOTHING)),
    "an error keeps a logout": (Situation(failed=True, stored=True, ended=True), Plan(True, Step.NOTHING)),
    "an error drops what comes after a logout": (
        Situation(failed=True, stored=True, ended=True, changed=True, worth_saving=True),
        Plan(True, Step.NOTHING),
    ),
    "a logout": (Situation(stored=True, ended=True), Plan(True, Step.NOTHING)),
    "a logout of nothing": (Situation(ended=True), Plan(False, Step.NOTHING)),
    "a write after a logout": (
        Situation(stored=True, ended=True, changed=True, worth_saving=True),
        Plan(True, Step.CREATE),
    ),
    "another's login": (
        Situation(stored=True, displaced=True, new_id=True, worth_saving=True),
        Plan(True, Step.CREATE),
    ),
    "a first write": (Situation(changed=True, worth_saving=True), Plan(False, Step.CREATE)),
    "a first write of nothing": (Situation(changed=True), Plan(False, Step.NOTHING)),
    "a new id for nothing": (Situation(new_id=True), Plan(False, Step.NOTHING)),
    "a new id": (Situation(stored=True, new_id=True), Plan(False, Step.MOVE)),
    "a new id goes before a renewal": (
        Situation(stored=True, new_id=True, renewal_due=True, changed=True),
        Plan(False, Step.MOVE),
    ),
    "a renewal takes a change along": (
        Situation(stored=True, renewal_due=True, changed=True, touch_due=True),
        Plan(False, Step.RENEW),
    ),
    "a change is a touch too": (Situation(stored=True, changed=True, touch_due=True), Plan(False, Step.UPDATE)),
    "a change to nothing is a change": (
        Situation(stored=True, changed=True, worth_saving=False),
        Plan(False, Step.UPDATE),
    ),
    "a touch": (Situation(stored=True, touch_due=True), Plan(False, Step.TOUCH)),
}


@pytest.mark.parametrize("row", ROWS)
def test_each_row(row: str) -> None:
    """Each situation leads to its one plan."""
    situation, plan = ROWS[row]
    assert decide(situation) == plan


SITUATIONS = [Situation(*values) for values in product((False, True), repeat=len(Situation._fields))]


def test_what_is_not_stored_is_not_ended_or_changed() -> None:
    """Without a stored record nothing is ended, updated, moved, renewed or touched."""
    for situation in SITUATIONS:
        if not situation.stored:
            end, step = decide(situation)
            assert not end
            assert step in (Step.NOTHING, Step.CREATE)


def test_a_failed_request_writes_nothing() -> None:
    """After an error there is no write but the end of a session."""
    assert {decide(situation).step for situation in SITUATIONS if situation.failed} == {Step.NOTHING}


def test_a_logout_always_ends() -> None:
    """A logout of a stored session ends it, whatever else happened."""
    assert all(decide(each).end for each in SITUATIONS if each.ended and each.stored)


def test_an_empty_session_is_never_created() -> None:
    """No record comes into being that holds nothing."""
    assert not any(decide(each).step is Step.CREATE for each in SITUATIONS if not each.worth_saving)


@pytest.mark.parametrize(
    ("policy", "contents", "idle"),
    [
        (SessionPolicy(), Contents(0, authenticated=1), DAY),
        (SessionPolicy(anonymous_timeout=600), Contents(0), 600_000),
        (SessionPolicy(anonymous_timeout=600), Contents(0, authenticated=1), DAY),
        (SessionPolicy(idle_timeout=60, anonymous_timeout=600), Contents(0), 60_000),
        (SessionPolicy(idle_timeout=None, anonymous_timeout=600), Contents(0), 600_000),
        (SessionPolicy(idle_timeout=None, anonymous_timeout=None), Contents(0), None),
        (SessionPolicy(), Contents(0, authenticated=1, remember=True), 30 * DAY),
        (SessionPolicy(remember=None), Contents(0, authenticated=1, remember=True), DAY),
    ],
)
def test_idle_timeout(policy: SessionPolicy, contents: Contents, idle: int | None) -> None:
    """Anonymous sessions have the shorter of two timeouts, remembered ones their own."""
    assert idle_timeout(contents, policy) == idle


@pytest.mark.parametrize(
    ("policy", "contents", "accessed", "ends"),
    [
        (SessionPolicy(), Contents(0, authenticated=1), HOUR, HOUR + DAY),
        (SessionPolicy(), Contents(0, authenticated=1), 14 * DAY - HOUR, 14 * DAY),
        (SessionPolicy(absolute_timeout=None), Contents(0, authenticated=1), 99 * DAY, 100 * DAY),
        (SessionPolicy(idle_timeout=None, anonymous_timeout=None), Contents(0), HOUR, 14 * DAY),
        (SessionPolicy(idle_timeout=None, anonymous_timeout=None, absolute_timeout=None), Contents(0), HOUR, NEVER),
        (SessionPolicy(), Contents(0, ends=2 * HOUR), HOUR, 2 * HOUR),
        (SessionPolicy(), Contents(0, ends=7 * DAY), HOUR, 7 * DAY),
        (SessionPolicy(), Contents(0, ends=99 * DAY), HOUR, 14 * DAY),
        (SessionPolicy(), Contents(0, authenticated=1, remember=True), HOUR, 30 * DAY),
    ],
)
def test_deadline(policy: SessionPolicy, contents: Contents, accessed: int, ends: int) -> None:
    """A session ends by its idle or its absolute deadline, or by its own, which takes the place of the idle one."""
    assert deadline(contents, accessed, policy) == ends


def test_a_deadline_of_its_own_is_absolute() -> None:
    """``expire_in`` shortens the absolute deadline and never lengthens it."""
    policy = SessionPolicy()
    assert absolute_deadline(Contents(0, ends=HOUR), policy) == HOUR
    assert absolute_deadline(Contents(0, ends=99 * DAY), policy) == 14 * DAY


def test_a_cookie_lasts_to_the_absolute_deadline() -> None:
    """A persistent cookie is for the absolute deadline, and for the idle one only where there is no absolute."""
    contents = Contents(0, authenticated=1)
    assert cookie_deadline(contents, HOUR, SessionPolicy()) == 14 * DAY
    assert cookie_deadline(contents, HOUR, SessionPolicy(absolute_timeout=None)) == HOUR + DAY


@pytest.mark.parametrize(("idle", "slack"), [(DAY, 60_000), (300_000, 30_000), (1_000, 100)])
def test_a_store_keeps_a_record_for_the_slack(idle: int, slack: int) -> None:
    """A store is given the deadline plus 60 s or a tenth of the idle timeout."""
    policy = SessionPolicy(idle_timeout=idle / 1000, anonymous_timeout=None)
    assert forget_at(Contents(0), HOUR, policy) == HOUR + idle + slack


def test_what_never_ends_is_never_forgotten() -> None:
    """Without any deadline a store is told to keep the record for ever."""
    policy = SessionPolicy(idle_timeout=None, anonymous_timeout=None, absolute_timeout=None)
    assert forget_at(Contents(0), HOUR, policy) == NEVER
