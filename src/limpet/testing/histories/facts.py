"""What happened in a history, as far as a browser, a handler and an operator can see it. No engine, no store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from limpet.errors import SessionConflict, SessionLimitReached, StoreUnavailable
from limpet.testing.histories.plans import Act, Rules
from limpet.testing.histories.watched import LASTING, WRITES, Kind

__all__ = ["CONSTANT", "Group", "History", "Hold", "Seen", "State", "Visit", "atoms_of", "cookie_of"]

State: TypeAlias = Literal["open", "saved", "told", "unknown", "dropped", "gone"]
"""Of what a handler wrote: not saved yet; acknowledged; the request was told that it is lost; there was an error, so
that either may be; it had to be dropped, as the handler failed; the same handler then ended the session."""

CONSTANT: Final = {"lang": "en", "recent": []}
"""A constant of an application, which handlers put into sessions. Nobody may change it."""

SLOW: Final = 60_000
"""Milliseconds after which a call of the store that notes a use may come too late."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a handler found when its request began.

    Attributes:
        alive: There was a session.
        data: A deep copy; None: it did not look.
    """

    alive: bool
    public_id: str | None
    subject: str | None
    data: Mapping[str, Any] | None


@dataclass(slots=True)
class Group:
    """What a handler wrote between two saves.

    Attributes:
        atoms: Numbers of what was written.
        removed: Numbers of what was deleted.
        removes: Something was deleted.
        fresh: It belongs to a session that this request began.
        moves: The id was to change.
        login: Who logged in.
        sets: The session was given a deadline of its own.
        limits: No login of the same request has lifted that.
        ends: The session was to end.
        either: It was saved under the old id or under the new one, which cannot be told.
        anew: The one before it ended, or is of another subject: nothing of that comes along.
        begun: When.
        ended: When its fate was known.
    """

    atoms: list[int] = field(default_factory=list[int])
    removed: list[int] = field(default_factory=list[int])
    removes: bool = False
    fresh: bool = False
    moves: bool = False
    login: str | None = None
    ends: bool = False
    either: bool = False
    anew: bool = False
    sets: bool = False
    limits: bool = False
    state: State = "open"
    begun: int = 0
    ended: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """A lock that was held: its name, and from when to when (None: its holder died)."""

    name: str
    begun: int
    ended: int | None


@dataclass(eq=False, slots=True)
class Visit:
    """One request, or one act of an operator, and what came of it.

    Attributes:
        tokens: The ids that were presented.
        sent: When it began.
        loaded: When its session had been read.
        answered: When its answer was there, or None: its process died.
        seen: What it found; None: it could not be read, or it is not a request.
        subject: Whom it logged in, or whom an operator meant.
        out: The id in its answer; "": the cookie was deleted; None: neither.
        sends: Its answer's headers reach the browser.
        elapsed: The true time when it began, in milliseconds.
        read: The true time when its session had been read.
        until: The true time when it was over.
        settled: It is one of those that look at the end.
        pid: The public id after its commit, or what an operator meant.
        result: What an operator was told.
        tagged: Its login carries the tag.
    """

    number: int
    act: Act
    tokens: tuple[str, ...] = ()
    sent: int = 0
    loaded: int = 0
    answered: int | None = None
    seen: Seen | None = None
    groups: list[Group] = field(default_factory=list[Group])
    subject: str | None = None
    out: str | None = None
    sends: bool = True
    error: Exception | None = None
    failed: bool = False
    died: bool = False
    cut_late: bool = True
    elapsed: int = 0
    read: int = 0
    until: int = 0
    settled: bool = False
    pid: str | None = None
    result: Any = None
    tagged: bool = False
    sets_deadline: bool = False
    asked_only: bool = True
    both: bool = False
    emptied: bool = False
    spared: str | None = None
    made: tuple[str | None, Mapping[str, Any]] | None = None
    events: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    calls: list[str] = field(default_factory=list[str])
    holds: list[Hold] = field(default_factory=list[Hold])
    faults: dict[int, Kind] = field(default_factory=dict[int, Kind])
    on_cut: Callable[[], None] | None = None

    def cut(self) -> None:
        """Its process dies now."""
        if self.on_cut is not None:
            self.on_cut()

    @property
    def ok(self) -> bool:
        """It was answered, and not with an error of ours."""
        return self.answered is not None and self.error is None

    @property
    def end(self) -> int:
        """When it was over; far in the future if it never was."""
        return self.answered if self.answered is not None else 1 << 60

    @property
    def alive(self) -> bool:
        """It found a session."""
        return self.seen is not None and self.seen.alive

    @property
    def moved(self) -> bool:
        """Its change of id was acknowledged, and so the browser has the new id."""
        saved = any(group.moves and group.state == "saved" for group in self.groups)
        return self.ok and self.sends and not self.failed and saved

    @property
    def over(self) -> bool:
        """Its logout was acknowledged."""
        return self.ok and any(group.ends for group in self.groups)

    @property
    def tries(self) -> tuple[bool, bool]:
        """Whether it meant to change the id, and whether it meant to end the session."""
        return any(group.moves for group in self.groups), any(group.ends for group in self.groups)

    @property
    def imports(self) -> bool:
        """It moved the session of another library here."""
        return any(name == "SessionImported" for _, name in self.events)

    @property
    def leaves_its_id(self) -> bool:
        """It may have ended the id that it came with: changed it, logged out, or moved an old session here."""
        return any(self.tries) or self.imports

    @property
    def told_too_late(self) -> bool:
        """It failed, and what it had saved under an id that did not go out could not be carried back any more."""
        return self.failed and any(name == "WriteAfterEnd" for _, name in self.events)

    @property
    def learns(self) -> list[Group]:
        """What it was told is lost, and with it what it had saved under an id that does not go out.

        After a conflict at the end that is carried back.
        """
        conflict = isinstance(self.error, SessionConflict)
        return [] if conflict else [group for group in self.groups if group.state == "told"]

    @property
    def fails_at_its_last_call(self) -> bool:
        """Its store did not take what it wrote last; after that, only an id that nobody has is deleted."""
        last = max((at for at, call in enumerate(self.calls) if call != "delete"), default=-1)
        there = any(at <= last and (last <= at + 1 or kind in LASTING) for at, kind in self.faults.items())
        return isinstance(self.error, StoreUnavailable) and there

    @property
    def loses_its_store(self) -> bool:
        """It failed because its store was gone from one of its calls on."""
        return isinstance(self.error, StoreUnavailable) and any(kind in LASTING for kind in self.faults.values())

    @property
    def may_leave_its_old_id(self) -> bool:
        """It has a new id, and its store was gone before the end of the old one was written, or a look at that.

        After a store that hangs it does not look.
        """
        gone = [at + (kind == "is gone after") for at, kind in self.faults.items() if kind in LASTING]
        return self.moved and any(set(self.calls[at:]) & (WRITES | {"load"}) for at in gone)

    @property
    def noted_its_use(self) -> bool:
        """Its use of the session is written down: its store worked, and no hours passed while it was asked."""
        wrote = any(group.atoms and group.state == "saved" for group in self.groups)
        at_once = self.read - self.elapsed < SLOW and not any(name == "StoreFailed" for _, name in self.events)
        return wrote or at_once

    @property
    def takes_effect(self) -> bool:
        """Its change of id can have cost the browser its old session: only if it has the new one."""
        if self.died:
            return self.cut_late
        moved = any(group.moves and group.state in ("saved", "told") for group in self.groups)
        return self.answered is None or (self.ok and self.sends and moved)

    def counted_at_once(self, other: Visit, subject: str | None) -> bool:
        """Tell whether it wrote a login beside another request, so that it counted, which did not stay."""
        meet = self.sent < other.end and other.sent < self.end
        void = self.error is None and any(group.login == subject and group.state == "told" for group in self.groups)
        saved = [at for at, group in enumerate(self.groups) if group.login == subject and group.state == "saved"]
        ends = [at for at, group in enumerate(self.groups) if (group.ends or group.anew) and saved and at > saved[0]]
        return meet and (void or bool(ends) or (self.failed and bool(saved)))  # of one that fails it is taken back

    def refused_beside(self, other: Visit, subject: str | None) -> bool:
        """Tell whether its login of a subject was refused while another request was under way."""
        meet = self.sent < other.end and other.sent < self.end
        logs_in = any(group.login == subject for group in self.groups)
        return meet and logs_in and isinstance(self.error, SessionLimitReached)

    def has_lost(self, subject: str | None) -> bool:
        """Tell whether its login of a subject may have left a session whose id was not answered."""
        refused = isinstance(self.error, SessionLimitReached)  # then it stands only if it was saved before another one
        logins = (group for group in self.groups if group.login == subject)
        return not self.sends and any(group.state == "saved" or not refused for group in logins)

    @property
    def moves_the_clock(self) -> bool:
        """Time passed during it."""
        return self.act.kind in ("tick", "wait", "half", "expiry") or "long" in self.act.steps

    @property
    def imported_again(self) -> bool:
        """It took an old session over, which counts once."""
        return self.imports and self.out is not None

    def __str__(self) -> str:
        parts = [f"#{self.number} [{self.sent}-{self.answered or ''}]", "looks" if self.settled else str(self.act)]
        if self.tokens:
            parts.append(f"with {'+'.join(token[-5:] for token in self.tokens)}")
        if self.seen is not None:
            parts.append(f"saw {self.seen.subject} {self.seen.data or ''}" if self.alive else "saw nothing")
        parts += [f"{group.state}{group.atoms}" for group in self.groups if group.atoms or group.moves or group.ends]
        if self.out is not None:
            parts.append(f"-> {'cookie deleted' if not self.out else self.out[-5:]}")
        if self.error is not None or self.died:
            parts.append(f"raised {self.error!r}" if self.error is not None else "died")
        if self.result is not None:
            parts.append(f"= {self.result!r}")
        parts += [name for _, name in self.events]
        return " ".join([*parts, *self.calls])


@dataclass(slots=True)
class History:
    """All that happened.

    Attributes:
        listed: At the end, the public ids that are listed, by subject.
        faulty: Something failed on purpose.
    """

    rules: Rules
    visits: list[Visit]
    listed: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    revoked: dict[str, int] = field(default_factory=dict[str, int])
    constant: Any = None
    faulty: bool = False
    imported: str | None = None
    problems: list[str] = field(default_factory=list[str])
    names: Mapping[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        return "\n".join(f"  {visit}" for visit in self.visits)


def atoms_of(data: Mapping[str, Any]) -> dict[int, int]:
    """Return what of all that handlers wrote is in a session, and how often."""
    found: dict[int, int] = {}

    def add(number: object, times: int = 1) -> None:
        if isinstance(number, int):
            found[number] = found.get(number, 0) + times

    for key, value in data.items():
        if key.startswith("k"):
            add(value)
        elif key == "n":
            number, digits = 0, value
            while digits:
                if digits % 4:
                    add(number, digits % 4)
                number, digits = number + 1, digits // 4
        elif key in ("log", "twin1", "twin2"):
            for item in value:
                add(item)
        elif key in ("tree", "held", "prefs"):
            for item in value.get("recent", ()):
                add(item)
    return found


def cookie_of(header: tuple[bytes, bytes] | None, name: str) -> str | None:
    """Return what a response header does to the cookie of a name: its new value, "" if it is deleted, None: nothing.

    Raises:
        ValueError: It is no such header.
    """
    if header is None:
        return None
    kind, line = header
    pair, *attributes = line.decode("latin-1").split(";")
    given, _, value = pair.strip().partition("=")
    if kind != b"set-cookie" or given != name:
        raise ValueError(f"{kind!r}: {pair!r} is no Set-Cookie of {name}")
    ages = [part.strip().partition("=")[2] for part in attributes if part.strip().lower().startswith("max-age=")]
    return "" if ages and int(ages[0]) <= 0 else value


def fresh_constant() -> dict[str, Any]:
    """Return an object like `CONSTANT`, for one history."""
    return deepcopy(CONSTANT)
