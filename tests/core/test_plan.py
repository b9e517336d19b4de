"""`decide`, row by row, and the deadlines that sessions live by."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from limpet import SessionPolicy
from limpet._core.plan import (
    Plan,
    Rules,
    Step,
    absolute_deadline,
    deadline,
    decide,
    forget_at,
    idle_timeout,
    is_quiet,
    max_age,
    rotation_of,
)
from limpet._core.state import (
    ACCESSED,
    DISPLACED,
    EAGER,
    ENDED,
    EXPOSED,
    FORWARDED,
    LOGIN,
    OVER,
    PASSIVE,
    REGENERATE,
    WATCHED,
    WRITTEN,
    SessionState,
    Stored,
)
from limpet._wire.record import Contents, pack, same, unpack
from limpet.contract import NEVER, Record
from limpet.serializers.msgpack import MsgpackSerializer

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1_000 * DAY
SERIALIZER = MsgpackSerializer()
POLICY = SessionPolicy(renewal_interval=3600)

NAMES = [name for name in dir(SessionState) if not name.startswith("_")]


def state(
    flags: int = 0, *, stored: Any = None, has: Any = None, age: int = 0, subject: str | None = None, phase: int = 0
) -> SessionState:
    """Return the state of a session.

    Args:
        stored: What the store has; None: nothing.
        has: What the handler has; None: the same.
        age: Milliseconds since it began and was used last.
    """
    made = SessionState()
    made.flags, made.subject, made.phase = flags, subject, phase
    if stored is not None:
        payload = pack(Contents(NOW - age, dict(stored)), SERIALIZER)
        made.stored = Stored(b"raw", "key", Record(1, payload, NOW - age, NOW + DAY, subject))
        made.draft = Contents(NOW - age, dict(stored if has is None else has))
    elif has is not None:
        made.draft = Contents(NOW, dict(has))
    made.data = made.draft.data if made.draft is not None else {}
    return made


def planned(of: SessionState, *, failed: bool = False, policy: SessionPolicy = POLICY) -> Plan:
    """Return what is to be done with a session, asked twice: a question changes nothing."""
    rules = Rules(policy, is_server_side=True, persistent=True)

    def ask() -> Plan:
        return decide(
            of,
            rules,
            NOW,
            lambda each: pack(each.draft or Contents(0), SERIALIZER),
            lambda payload, base: same(payload, base, SERIALIZER),
            lambda each: {} if each.stored is None else unpack(each.stored.record.payload, SERIALIZER).data,
            failed=failed,
        )

    before = {name: getattr(of, name) for name in NAMES}
    first, second = ask(), ask()
    assert first == second
    assert {name: getattr(of, name) for name in NAMES} == before
    if is_quiet(of, rules, lambda: NOW):
        assert (first.end, first.step) == (False, Step.NOTHING)
    return first


ONE, TWO = {"a": 1}, {"a": 2}
ROWS: dict[str, tuple[SessionState, tuple[bool, Step]]] = {
    "nothing was done": (state(), (False, Step.NOTHING)),
    "nothing was done to a stored one": (state(ACCESSED, stored=ONE), (False, Step.NOTHING)),
    "a logout": (state(ENDED | WRITTEN, stored=ONE, has={}), (True, Step.NOTHING)),
    "a write after a logout": (state(ENDED | WRITTEN, stored=ONE), (True, Step.CREATE)),
    "another's login": (state(DISPLACED | LOGIN | WRITTEN, stored=ONE, has={}, subject="b"), (False, Step.MOVE)),
    "a first write": (state(WRITTEN, has=ONE), (False, Step.CREATE)),
    "a first write of nothing": (state(WRITTEN, has={}), (False, Step.NOTHING)),
    "a login of a new session": (state(LOGIN | WRITTEN, has={}, subject="a"), (False, Step.CREATE)),
    "a new id for nothing": (state(REGENERATE | WRITTEN, has={}), (False, Step.NOTHING)),
    "a new id": (state(REGENERATE | WRITTEN, stored=ONE), (False, Step.MOVE)),
    "a new id goes before a renewal": (state(REGENERATE | WRITTEN, stored=ONE, age=HOUR), (False, Step.MOVE)),
    "a renewal": (state(ACCESSED, stored=ONE, age=HOUR), (False, Step.RENEW)),
    "a renewal takes a change along": (
        state(ACCESSED | WRITTEN, stored=ONE, has=TWO, age=HOUR),
        (False, Step.RENEW),
    ),
    "no renewal of what was not used": (state(stored=ONE, age=HOUR), (False, Step.TOUCH)),
    "no renewal of what another request renewed": (
        state(ACCESSED | FORWARDED, stored=ONE, age=HOUR),
        (False, Step.TOUCH),
    ),
    "no renewal once the response has started": (
        state(ACCESSED, stored=ONE, age=HOUR, phase=1),
        (False, Step.TOUCH),
    ),
    "a change": (state(WRITTEN, stored=ONE, has=TWO), (False, Step.UPDATE)),
    "a change is a touch too": (state(WRITTEN, stored=ONE, has=TWO, age=61_000), (False, Step.UPDATE)),
    "a change inside of a container": (state(EXPOSED, stored=ONE, has=TWO), (False, Step.UPDATE)),
    "another order is no change": (
        state(WRITTEN, stored={"a": 1, "b": 2}, has={"b": 2, "a": 1}),
        (False, Step.NOTHING),
    ),
    "the last key is gone": (state(WRITTEN, stored=ONE, has={}), (False, Step.EMPTY)),
    "the last key of somebody is gone": (state(WRITTEN, stored=ONE, has={}, subject="a"), (False, Step.UPDATE)),
    "an empty session that the application asked for": (state(EAGER | WRITTEN, has={}), (False, Step.CREATE)),
    "the last key is gone, and the session stays": (state(EAGER | WRITTEN, stored=ONE, has={}), (False, Step.UPDATE)),
    "a login under the id that is there": (
        state(EAGER | LOGIN | WRITTEN, stored=ONE, subject="a"),
        (False, Step.UPDATE),
    ),
    "a login and a new id": (
        state(EAGER | LOGIN | REGENERATE | WRITTEN, stored=ONE, subject="a"),
        (False, Step.MOVE),
    ),
    "a touch": (state(ACCESSED, stored=ONE, age=61_000), (False, Step.TOUCH)),
    "no touch for what is no activity": (state(ACCESSED | PASSIVE, stored=ONE, age=61_000), (False, Step.NOTHING)),
    "a key of a login appears": (
        state(WRITTEN | WATCHED, stored=ONE, has={"user_id": 7}),
        (False, Step.MOVE),
    ),
    "a key of a login goes": (
        state(WRITTEN | WATCHED, stored={"user_id": 7, "a": 1}, has=ONE),
        (False, Step.MOVE),
    ),
    "what is written after somebody else's logout": (state(OVER | WRITTEN, has=ONE), (False, Step.DROP)),
    "nothing after somebody else's logout": (state(OVER | ACCESSED), (False, Step.NOTHING)),
}


@pytest.mark.parametrize("row", ROWS)
def test_each_row(row: str) -> None:
    """Each situation leads to its one plan."""
    situation, expected = ROWS[row]
    plan = planned(situation)
    assert (plan.end, plan.step) == expected


FLAGS = (ACCESSED, WRITTEN, EXPOSED, LOGIN, REGENERATE, ENDED, DISPLACED, OVER, FORWARDED, WATCHED, PASSIVE)
SITUATIONS = [
    (sum(flags), stored, has)
    for count in range(4)
    for flags in combinations(FLAGS, count)
    for stored in (None, ONE)
    for has in (None, {}, ONE, TWO)
]


def test_what_is_not_stored_is_not_updated() -> None:
    """Without a stored record nothing is updated, moved, renewed or touched."""
    for flags, stored, has in SITUATIONS:
        if stored is None:
            assert planned(state(flags, has=has)).step in (Step.NOTHING, Step.CREATE, Step.DROP)


def test_a_failed_request_writes_nothing() -> None:
    """After an error there is no write but the end of a session, and a logout always ends."""
    for flags, stored, has in SITUATIONS:
        plan = planned(state(flags, stored=stored, has=has), failed=True)
        assert (plan.end, plan.step) == (bool(flags & ENDED), Step.NOTHING)


def test_a_logout_always_ends() -> None:
    """A logout of a stored session ends it, whatever else happened."""
    assert all(planned(state(flags, stored=ONE, has=has)).end for flags, _, has in SITUATIONS if flags & ENDED)


def test_an_empty_session_is_never_created() -> None:
    """No record comes into being that holds nothing."""
    for flags, _, _ in SITUATIONS:
        assert planned(state(flags, has={})).step is not Step.CREATE


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({}, {"user": 1}, "appeared"),
        ({"user": 1}, {}, "gone"),
        ({"user": 1}, {"user": None}, "gone"),
        ({"user": 1}, {"user": 2}, "changed"),
        ({"user": 1}, {"user": True}, "changed"),
        ({"user": 1}, {"user": 1}, None),
        ({"user": {"name": "ann", "token": 1}}, {"user": {"name": "ann", "token": 2}}, None),
        ({"user": {"id": 7, "token": 1}}, {"user": {"id": 8, "token": 1}}, "changed"),
        ({"user": {"id": 7}}, {"user": 7}, "changed"),
        ({"x": 1}, {"x": 2}, None),
    ],
)
def test_an_identity_changes(before: dict[str, Any], after: dict[str, Any], change: str | None) -> None:
    """A key appears or goes, or a scalar differs; inside of a dict only what names a person counts."""
    assert rotation_of(frozenset({"user"}), before, after) == change


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
    for policy, ends in ((SessionPolicy(), 14 * DAY), (SessionPolicy(absolute_timeout=None), HOUR + DAY)):
        rules = Rules(policy, is_server_side=True, persistent=True)
        assert max_age(contents, HOUR, 2 * HOUR, rules) == (ends - 2 * HOUR) // 1000


@pytest.mark.parametrize(("idle", "slack"), [(DAY, 60_000), (300_000, 30_000), (1_000, 100)])
def test_a_store_keeps_a_record_for_the_slack(idle: int, slack: int) -> None:
    """A store is given the deadline plus 60 s or a tenth of the idle timeout."""
    policy = SessionPolicy(idle_timeout=idle / 1000, anonymous_timeout=None)
    assert forget_at(Contents(0), HOUR, policy) == HOUR + idle + slack


def test_what_never_ends_is_never_forgotten() -> None:
    """Without any deadline a store is told to keep the record for ever."""
    policy = SessionPolicy(idle_timeout=None, anonymous_timeout=None, absolute_timeout=None)
    assert forget_at(Contents(0), HOUR, policy) == NEVER
