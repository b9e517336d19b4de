"""What the judge of histories excuses, and the fault beside each excuse that it still finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from limpet import SessionManager, SessionPolicy
from limpet._core.session import Session
from limpet._wire.marks import tombstone
from limpet.contract import ABSENT, DONE, Outcome, Record
from limpet.protocols import Header
from limpet.stores.memory import MemoryStore
from limpet.testing.histories import Act, Finding, Plan, Rules, examine
from tests.properties.acts import Fault, by, operator
from tests.properties.broken_managers import BROKEN_MANAGERS, KnowsNoDeadline, with_sessions
from tests.properties.broken_sessions import (
    ForgetsAtLogin,
    ForgetsItsLog,
    ForgetsWhenItLooks,
    HandsOutCopies,
    Leaves,
    MergesNoLists,
    SavesAtTheEnd,
)
from tests.properties.known_endings import lazily

ORDERS: Final = 20


class _JobsAreUses(MemoryStore):
    """Each update counts as a use, also that of a job."""

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        later = record.expires + now - record.accessed
        return await super().update(key, record._replace(accessed=now, expires=later), expected, now=now)


class _AlwaysAbsent(MemoryStore):
    """Says of every update that there is no record, as if the session had been ended."""

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        return ABSENT


class _TakesAllForTaken(MemoryStore):
    """Says of what is not there that it was logged out just now, once anything was kept."""

    async def load(self, key: str) -> Record | None:
        there = await super().load(key)
        if there is None and self._records:
            (one, *_) = self._records.values()
            return tombstone("logout", one.accessed, None)
        return there


class _SavesWhatItRefuses(MemoryStore):
    """Says that there is no record, and updates it; nothing revokes one."""

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        await super().update(key, record, expected, now=now)
        return ABSENT

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        return DONE


class _ListsNothing(MemoryStore):
    """Finds no sessions of anybody."""

    async def find_page(
        self, subject: str, cursor: str | None, limit: int
    ) -> tuple[Sequence[tuple[str, Record]], str | None]:
        return [], None


class _KeepsNoNotes(MemoryStore):
    """Acknowledges what is new, and keeps nothing of it."""

    async def create(self, key: str, record: Record, *, now: int) -> Outcome:
        return DONE


class _KeepsNoChanges(MemoryStore):
    """Acknowledges what changes, and leaves it as it is."""

    async def update(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        return DONE


class _KeepsNoTombstones(MemoryStore):
    """Acknowledges that something takes the place of a record, and leaves that as it is."""

    async def replace(self, key: str, record: Record, expected: int, *, now: int) -> Outcome:
        return DONE


class _TouchesNothing(MemoryStore):
    """Acknowledges that a session was used, and notes nothing of it."""

    async def touch(self, key: str, accessed: int, expires: int, *, now: int) -> Outcome:
        return DONE


class _TakesEveryCookieBack(with_sessions(Leaves)):  # type: ignore[misc] # a class that a function makes
    """Answers each logout with the deletion of the cookie, whoever ended the session."""

    def header(self, session: Session) -> Header | None:
        deletion = (b"set-cookie", f"{self.cookie_name}=; Path=/; Max-Age=0".encode())
        return super().header(session) or (deletion if isinstance(session, Leaves) and session.left else None)


def _never_idle(*settings: Any, policy: SessionPolicy, **more: Any) -> SessionManager:
    return SessionManager(*settings, policy=replace(policy, idle_timeout=None), **more)


def _one_session_more(*settings: Any, policy: SessionPolicy, **more: Any) -> SessionManager:
    assert isinstance(policy.max_sessions, int)
    return SessionManager(*settings, policy=replace(policy, max_sessions=policy.max_sessions + 1), **more)


def _one_session_less(*settings: Any, policy: SessionPolicy, **more: Any) -> SessionManager:
    assert isinstance(policy.max_sessions, int)
    less = policy.max_sessions - 1
    return SessionManager(*settings, policy=replace(policy, max_sessions=lambda subject: less), **more)


def _no_room_after_a_tick(
    *settings: Any, policy: SessionPolicy, clock: Callable[[], int], **more: Any
) -> SessionManager:
    began, most = clock(), policy.max_sessions
    assert isinstance(most, int)
    less = replace(policy, max_sessions=lambda subject: most if clock() == began else 0)
    return SessionManager(*settings, policy=less, clock=clock, **more)


LIMIT: Final = Rules(max_sessions=2)
OLD: Final = Rules(imports=True)

FAULTS: Final[Mapping[str, Fault]] = {
    "a job is no use: a session that one keeps alive": Fault(
        "opens a session that nobody has used",
        (by(1, "nest"), operator("half"), operator("open", 1), operator("half"), operator("wait")),
        store=_JobsAreUses,
    ),
    "a session can be lost in a request: what it saved is lost without a word": Fault(
        "does not find", (by(0, "both", "login:ann"),), make=with_sessions(ForgetsAtLogin)
    ),
    "an id that was revoked says nothing: a browser counts twice": Fault(
        "nobody ended it", (by(0, "login:ann"), by(1, "nest"), by(1, "login:ann")), LIMIT, make=_one_session_less
    ),
    "an id is known for a minute: a browser counts twice at once": Fault(
        "nobody ended it",
        (by(0, "login:ann"), by(1, "nest"), by(1, "login:ann"), by(1, "tagged:ann", stale=1)),
        LIMIT,
        make=_one_session_less,
    ),
    "what was removed needs no cookie: something is left": Fault(
        "was given no cookie", (by(0, "set", "append", "unset"),), make=BROKEN_MANAGERS["sends no cookies"]
    ),
    "a session can expire in a request: no time has passed": Fault(
        "logged in, which is void", (by(0, "login:bob", "both"),), store=_AlwaysAbsent
    ),
    "a login as another that fails leaves what was saved: it is lost": Fault(
        "does not find",
        (by(0, "login:bob"), by(0, "regenerate", "append", "save", "login:ann", ends="raises"), by(0, "append")),
        make=with_sessions(SavesAtTheEnd),
    ),
    "what is carried back is there at the end: it is not": Fault(
        "does not find",
        (by(0, "nest"), by(0, "regenerate", "append", "save", ends="answers 500"), by(0, "append")),
        make=with_sessions(SavesAtTheEnd),
    ),
    "a lock needs an id to save: there is one": Fault(
        "does not find",
        (by(0, "nest"), by(0, "exclusive", ends="raises"), by(0, "append")),
        make=BROKEN_MANAGERS["shares its locks"],
    ),
    "what was added to an object is removed with its key: it is not removed": Fault(
        "does not find",
        (by(0, "login:ann"), by(0, "hold"), by(0, "hold", "push", "set")),
        make=with_sessions(HandsOutCopies),
    ),
    "an id that has ended says nothing beside another: there is room": Fault(
        "there is room",
        (by(0, "nest"), by(1, "nest"), by(1, "login:ann", also=0)),
        Rules(max_sessions=1, refuses=True),
        make=_one_session_less,
    ),
    "a cookie goes out with an error: an old one opens again": Fault(
        "had ended",
        (by(0, "nest"), by(0, "regenerate"), by(0, "tagged:ann", "save", ends="answers 500")),
        Rules(mode="denylist"),
        store=_KeepsNoNotes,
    ),
    "a process can die after it moved an old session: one that died before that has moved nothing": Fault(
        "nobody ended it",
        (Act(steps=("set",), alone=True, faults={5: "cut before"}, last_write=5), by(0, "read")),
        OLD,
        store=_TakesAllForTaken,
    ),
    "an old session that is saved in a request that fails is lost with it: the request does not fail": Fault(
        "does not find", (by(0, "both", "login:ann"),), OLD, make=with_sessions(ForgetsAtLogin)
    ),
    "what ended long ago can be swept in a login: the login was over": Fault(
        "2 sessions, and 1 are allowed",
        (by(0, "login:ann"), by(1, "login:ann"), operator("half"), operator("sweep")),
        Rules(max_sessions=1),
        make=_one_session_more,
    ),
    "what an id had led to is forgotten after a minute: a logout beside a new id": Fault(
        "had ended",
        (by(0, "login:ann"), by(0, "regenerate"), Act(steps=("logout",))),
        make=BROKEN_MANAGERS["logs nobody out"],
    ),
    "a list that is removed is not merged: it is not removed": Fault(
        "does not find",
        (by(0, "append"), Act(steps=("append", "save")), Act(steps=("append", "save"))),
        make=with_sessions(MergesNoLists),
    ),
    "a login with a tag is void once its tag is revoked: it has no tag": Fault(
        "logged in, which is void",
        (by(0, "login:bob", "both"), operator("revoke_tag")),
        store=_AlwaysAbsent,
    ),
    "a record can be there for a moment beside a revocation: nothing was revoked": Fault(
        "there is room",
        (by(0, "login:ann"), Act(steps=("regenerate",)), Act(actor=1, steps=("login:ann",))),
        Rules(max_sessions=2, refuses=True),
        make=_one_session_less,
    ),
    "a session can reach a deadline in a login, which takes half of it along: no time has passed": Fault(
        "does not find",
        (by(0, "append", "expire", "recent"), by(0, "login:bob"), by(0, "append", "recent"), by(0, "login:bob")),
        make=with_sessions(ForgetsItsLog),
    ),
    "all cookies of a subject can have one name: one that has expired opens alone": Fault(
        "nobody has used",
        (by(0, "login:ann"), operator("expiry"), by(0, "read")),
        Rules(mode="epoch"),
        make=_never_idle,
    ),
    "a renewed id says nothing after its grace: within it there is room": Fault(
        "there is room",
        (by(0, "nest"), operator("tick"), by(0, "read"), by(0, "login:ann", stale=1)),
        Rules(max_sessions=1, refuses=True, renews=True),
        make=_one_session_less,
    ),
    "a failing request that dies can have carried back what it saved: one that did not fail": Fault(
        "no browser has",
        (by(0, "nest"), Act(steps=("single", "regenerate", "save"), alone=True, faults={1: "cut after"})),
        make=BROKEN_MANAGERS["keeps its id"],
    ),
    "an old session that is saved counts as a login, which a revocation ends: what was saved is lost otherwise": Fault(
        "does not find",
        (Act(), Act(steps=("both", "refresh")), Act("spare:ann")),
        OLD,
        make=with_sessions(ForgetsWhenItLooks),
    ),
    "an old token is known for a minute: within it there is room": Fault(
        "there is room",
        (by(0), operator("tick"), Act(steps=("login:ann",), old=True, alone=True)),
        Rules(max_sessions=1, refuses=True, imports=True),
        make=_no_room_after_a_tick,
    ),
    "an old session says nothing of others: it is of who logs in": Fault(
        "there is room",
        (by(0), operator("tick"), by(0, "login:ann")),
        Rules(max_sessions=1, refuses=True, imports=True),
        make=_no_room_after_a_tick,
    ),
    "a login counts until its request has logged out: another one after that": Fault(
        "there is room",
        (by(0, "login:ann", "both", "logout"), operator("tick"), by(1, "login:ann")),
        Rules(max_sessions=1, refuses=True),
        make=_no_room_after_a_tick,
    ),
    "what a failing request saved goes back unless a login was quicker: there was none": Fault(
        "does not find",
        (by(0, "nest"), by(0, "regenerate", "exclusive", ends="raises")),
        store=_AlwaysAbsent,
    ),
    "a use that the store failed to note is none: the store did not fail": Fault(
        "nobody ended it", (by(0, "nest"), by(0, "long"), by(0, "long")), store=_TouchesNothing
    ),
    "a login that takes long counts alone beside others of its browser: there are none": Fault(
        "nobody ended it",
        (by(0, "login:ann"), by(1, "login:ann"), by(1, "long", "login:ann")),
        LIMIT,
        make=_one_session_less,
    ),
    "a renewal can have a record for a moment beside a logout: nobody logged out": Fault(
        "there is room",
        (by(0, "login:ann"), operator("tick"), Act(steps=("read",)), Act(actor=1, steps=("login:ann",))),
        Rules(max_sessions=2, refuses=True, renews=True),
        make=_one_session_less,
    ),
    "a host that is ahead can take a session for expired: none has a deadline so near": Fault(
        "2 sessions, and 1 are allowed",
        (by(0, "login:ann"), by(1, "login:ann", worker=1)),
        Rules(max_sessions=1, skew=(0, 20_000)),
        make=_one_session_more,
    ),
    "who ended a session takes its cookie back: another tab ended it": Fault(
        "who ended the same session",
        (by(0, "login:ann"), Act(steps=("logout",)), Act(steps=("append", "logout"))),
        make=_TakesEveryCookieBack,
    ),
    "an id leads nowhere after its grace: within it a logout that reads nothing ends the session": Fault(
        "had ended",
        (by(0, "login:ann"), operator("tick"), by(0), lazily(by(0, "logout", stale=1))),
        Rules(renews=True),
        store=_KeepsNoTombstones,
    ),
    "who comes with a new id ends the old one, if the store was gone before: it does not end": Fault(
        "had ended",
        (by(0, "nest"), Act(steps=("regenerate",), alone=True, faults={2: "is gone"}), by(0), by(0, stale=1)),
        store=_KeepsNoTombstones,
    ),
    "an old id can live on where the store was gone before it ended: it was gone after that": Fault(
        "had ended",
        (by(0, "nest"), Act(steps=("regenerate",), alone=True, faults={2: "is gone after"}), by(0, stale=1)),
        store=_KeepsNoTombstones,
    ),
    "a login lifts a deadline: there was none": Fault(
        "own deadline has passed",
        (by(0, "login:ann", "expire"), operator("wait"), by(0)),
        make=with_sessions(KnowsNoDeadline),
    ),
    "a job logs out: the session is over": Fault(
        "had ended", (by(0, "login:ann"), Act("open", steps=("logout",), alone=True)), store=_KeepsNoTombstones
    ),
    "what a lost session had handed out is lost with it: it is not lost": Fault(
        "does not find",
        (by(0, "nest"), by(0, "hold", "save", "push", "login:bob")),
        make=with_sessions(HandsOutCopies),
    ),
    "a session that was emptied has ended what it was carried over to: one with a subject has not": Fault(
        "with the cookie of #2, and nobody ended it",
        (by(0, "login:ann", "nest"), by(0, "empty"), Act(steps=("regenerate",)), by(1, "login:ann")),
        LIMIT,
        make=_one_session_less,
    ),
    "what a login could not end can end later: it had been carried over": Fault(
        "does not find",
        (
            by(0, "nest"),
            by(0, "append"),
            Act(steps=("login:ann",), faults={3: "is gone"}),
            by(0),
            by(0, "logout", stale=1),
        ),
        make=with_sessions(ForgetsItsLog),
    ),
    "what the store does not take back is lost: what it does not delete then was taken back": Fault(
        "does not find",
        (
            by(0, "nest"),
            replace(by(0, "regenerate", "append", "save", ends="answers 500"), faults={3: "fails twice"}),
            by(0),
        ),
        store=_KeepsNoChanges,
    ),
    "what is told as lost can have been read before it was ended: it is read after that": Fault(
        "which is told",
        (by(0, "login:ann"), replace(by(0, "set"), faults={1: "loses the reply"}), Act("revoke"), by(0)),
        store=_SavesWhatItRefuses,
    ),
    "who comes with a new id ends what an old one was renewed to: without a new id nothing ends": Fault(
        "can be opened and are not listed",
        (by(0, "login:ann"), operator("tick"), by(0), by(0)),
        Rules(renews=True),
        store=_ListsNothing,
    ),
    "a record can be left where the store was gone: it was not gone": Fault(
        "there is room",
        (by(0, "login:bob"), by(0, "regenerate"), lazily(by(0, "logout")), by(0, "login:bob")),
        Rules(max_sessions=1, refuses=True),
        store=_KeepsNoTombstones,
    ),
}


def _findings(fault: Fault, *, whole: bool) -> Iterator[Finding]:
    for order in range(ORDERS):
        plan = Plan(fault.rules, fault.acts, width=2, seed=order)
        yield examine(plan, MemoryStore()) if whole else examine(plan, fault.store(), fault.make)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_beside_an_excuse_is_found(name: str) -> None:
    """The same acts are in order where nothing is broken."""
    fault = FAULTS[name]
    assert any(fault.says in str(problem) for found in _findings(fault, whole=False) for problem in found.problems)
    for found in _findings(fault, whole=True):
        assert not found.problems, str(found)
