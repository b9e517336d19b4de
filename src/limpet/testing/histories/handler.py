"""What handlers do in a history, step by step, through the public methods of a session; and a note of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from limpet._core.session import Session
from limpet.errors import LimpetError, SessionBusy, SessionConflict, SessionEnded, SessionLimitReached
from limpet.testing.histories.facts import Group, Hold, Visit, atoms_of
from limpet.testing.histories.stage import Actor, Moments, Stage, never, pause

__all__ = ["DEADLINE", "IDLE", "Handler", "Numbers"]

_QUIET: Final = ("ask", "read", "live", "long")
_NEEDS_NOTHING: Final = ("logout", "restart", "revoke", "long")
_LONG: Final = 12  # pauses, in which the id of a session is changed and comes back
VOID: Final = frozenset({"SessionRevoked", "LimitReached"})
_LOST: Final = frozenset({"WriteAfterEnd", "WriteDropped"})
IDLE: Final = 36_000
"""The idle timeout in seconds."""
DEADLINE: Final = 600
"""The life in seconds that a handler gives a session with `expire_in`."""


class Numbers:
    """Hands out the numbers of what is written: each thing that a handler writes has one of its own."""

    def __init__(self) -> None:
        self.last = -1

    def next(self) -> int:
        """Return a number that was never used."""
        self.last += 1
        return self.last


async def _nothing() -> None:
    """Do nothing."""


class Handler:
    """The handler of one request.

    Args:
        names: The full names of the subjects, by short name, and ``tag``.
        constant: The application's constant.
        tick: Lets time pass, as long as an act of that name.
        load: Reads the session.
        revoke: Revokes the session that the request came with, by its public id.
    """

    def __init__(
        self,
        stage: Moments,
        numbers: Numbers,
        visit: Visit,
        session: Session,
        names: dict[str, str],
        constant: dict[str, Any],
        problems: list[str],
        tick: Callable[[str], None],
        load: Callable[[], Awaitable[None]] = _nothing,
        revoke: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self.stage, self.numbers, self.visit, self.session = stage, numbers, visit, session
        self.names, self.constant, self.problems, self.tick = names, constant, problems, tick
        self.load, self.revoke = load, revoke
        self.lost = self.ending = False
        self.held: Any = None
        self.unsure: Group | None = None
        self.pushed: list[int] = []  # what was added to that, wherever a merge has put it
        self.mine: set[str] = set()  # keys under which lie objects of this very handler
        self.fresh = self.unread = True
        self.stored = self.had = False
        if visit.seen is not None:
            self._meet()
        self.group = self._group()

    def _meet(self) -> None:
        """The session has been read."""
        self.unread = False
        self.fresh, self.had = not self.visit.alive, self.visit.alive
        self.stored = self.session.public_id is not None

    async def run(self) -> None:
        """Do all steps."""
        for step in self.visit.act.steps:
            await self._do(step)

    async def _do(self, step: str) -> None:
        name = step.partition(":")[0]
        if name not in _QUIET:
            self.visit.asked_only = False
        if self.unread and name not in _NEEDS_NOTHING:
            await self.load()
            self._meet()
            self.group.fresh = self.fresh
        match name:
            case "revoke":
                await self.revoke()
            case "save":
                await self.saving(self.session.save, self.group)
            case "refresh":
                await self.session.refresh()
                self._look()
            case "exclusive":
                await self._exclusive()
            case "guard":
                await self._exclusive(_LONG)
            case "both":
                await self._both()
            case "task":
                await self._beside(*step.split(":", 2)[1:])
            case "long":
                self.tick(name)
                await pause()
            case "live":
                await self.session.is_live()
            case _:
                self.act(step)

    def act(self, step: str) -> None:
        """Do one step that does not wait."""
        name, _, argument = step.partition(":")
        if name not in _QUIET:
            self.visit.asked_only = False
        if name in ("login", "tagged"):
            self._login(self.names[argument], tagged=name == "tagged")
        else:
            getattr(self, f"_{name}")()

    # -- saving

    def _group(self) -> Group:
        group = Group(begun=self.stage.tick(), fresh=self.fresh)
        self.visit.groups.append(group)
        return group

    def _look(self) -> None:
        """A handler can see that its session is gone, unless it has ended it itself and that is not saved yet."""
        if self.ending:
            return
        self._learn(self.stored and self.session.public_id is None)
        self.stored = self.session.public_id is not None
        self.had = self.had or self.stored

    async def saving(self, save: Any, group: Group, *, last: bool = False) -> None:
        """Save, and settle what became of what was written."""
        began = len(self.visit.events)
        self.bare(failed=False)
        emptied = not self.lost and group.removes and not self.session and self.session.subject is None
        try:
            await save()
        except BaseException as error:
            group.state = (
                "unknown" if not isinstance(error, (SessionLimitReached, SessionConflict, SessionEnded)) else "told"
            )
            group.ended = self.stage.tick()
            raise
        self.settle(group, began)
        if not last:
            over = emptied and self.session.public_id is None
            if over:
                self.fresh, self.stored = True, False
            self._look()
            self.group = self._group()
            self.group.anew = over

    def settle(self, group: Group, began: int, *, failed: bool = False) -> None:
        """Note what became of what was written, after a save that raised nothing."""
        names = {name for _, name in self.visit.events[began:]}
        gone = not self.unread and self.session.public_id is None
        told = self.lost or "WriteAfterEnd" in names or (gone and bool(names & VOID))
        group.state = "dropped" if failed else "told" if told else "saved"
        group.ended = self.stage.tick()
        if self.unsure is not None and group.state == "saved" and not group.anew:
            unsure, self.unsure = self.unsure, None
            unsure.state, unsure.moves, unsure.login = "saved", True, group.login or unsure.login
            unsure.either = True
        self.had = self.had or (group.state == "saved" and bool(group.atoms))
        self._learn(told)
        self.ending = False

    def _learn(self, lost: bool) -> None:
        """Note that the session is gone, and with it the objects that it had handed out."""
        self.lost = self.lost or lost
        self.held = None if self.lost else self.held

    def bare(self, *, failed: bool) -> None:
        """Note whether the handler has emptied a session that nobody is logged in to, which ends it."""
        session, visit = self.session, self.visit
        removed = not self.lost and not failed and visit.alive and not self.fresh and self.group.removes
        visit.emptied = removed and not session and session.subject is None

    async def _exclusive(self, pauses: int = 1) -> None:
        began = len(self.visit.events)
        group, had = self.group, self.session.public_id is not None
        try:
            async with self.session.exclusive("job", wait=1):
                self._look()
                begun = self.stage.tick()
                hold = Hold("job", begun, None)
                self._append()
                for _ in range(pauses):
                    await pause()
                if self.session.public_id is not None and not self.fresh:
                    self.visit.holds.append(Hold(hold.name, begun, self.stage.tick()))
        except SessionBusy:
            return
        except LimpetError:
            group.state, group.ended = "unknown", self.stage.tick()
            raise
        void = any(name in VOID for _, name in self.visit.events[began:])
        if self.session.public_id is None and not had and not void:
            return  # a session without an id needs no lock, and is saved at the end
        self.settle(group, began)
        self._look()
        self.group = self._group()

    async def _both(self) -> None:
        self.visit.both = True
        await self.saving(self.session.save, self.group)

        async def task() -> None:
            for _ in range(2):
                group = self._group()
                for write in (self._append, self._count):
                    self.group = group
                    write()
                    await pause()
                began = len(self.visit.events)
                try:
                    await self.session.save()
                except BaseException:
                    group.state, group.ended = "unknown", self.stage.tick()
                    raise
                self.settle(group, began)

        await self._wait_for([self._task(letter, task()) for letter in "ab"])
        self._look()
        self.group = self._group()

    async def _beside(self, waits: str, step: str) -> None:
        """Let a task of the request save or refresh, and do a step meanwhile."""
        if waits == "save":
            task, self.group = self._task("a", self._save(self.group)), self._group()
        else:
            task = self._task("a", self.session.refresh())
        await pause()
        self.act(step)
        await self._wait_for([task])
        self._look()

    async def _save(self, group: Group) -> None:
        """Save in a task; what its request then was about to do may have been carried out with it, or before."""
        await self.saving(self.session.save, group, last=True)
        if group.state == "saved" and (self.group.moves or self.group.anew):
            group.state, self.unsure = "unknown", None if self.group.anew else group

    def _task(self, letter: str, steps: Coroutine[Any, Any, None]) -> Actor:
        assert isinstance(self.stage, Stage)
        return self.stage.add(f"{self.visit.number}{letter}", steps)

    async def _wait_for(self, tasks: Sequence[Actor]) -> None:
        await pause(lambda: all(task.done for task in tasks) or self.visit.died)
        while self.visit.died:
            await pause(never)
        for task in tasks:
            if task.error is not None:
                raise task.error

    # -- writing

    def _note(self) -> int:
        number = self.numbers.next()
        self.group.atoms.append(number)
        return number

    def _set(self) -> None:
        number = self._note()
        self.session[f"k{number}"] = number

    def _append(self) -> None:
        self.session.setdefault("log", []).append(self._note())

    def _count(self) -> None:
        self.session.increment("n", 4 ** self._note())

    def _nest(self) -> None:
        self.session.setdefault("tree", {}).setdefault("recent", []).append(self._note())

    def _recent(self) -> None:
        if "prefs" not in self.mine:
            prefs = self.session.setdefault("prefs", {"lang": "en", "recent": []})
            prefs["recent"].append(self._note())

    def _constant(self) -> None:
        if "prefs" not in self.session:
            self.mine.add("prefs")
            self.session["prefs"] = self.constant

    def _twin(self) -> None:
        """Put one object under two keys; what others add to one of them is not to appear in the other."""
        if "twin1" not in self.session and "twin2" not in self.session:
            self.mine.add("twins")
            self.session["twin1"] = self.session["twin2"] = []

    def _single(self) -> None:
        if "twins" not in self.mine:
            self.session.setdefault("twin1", []).append(self._note())

    def _hold(self) -> None:
        self.session.setdefault("held", {"recent": []})
        self.held = self.session["held"]["recent"]

    def _push(self) -> None:
        if self.held is None:
            self._hold()
        held: Any = self.held
        held.append(self._note())
        self.pushed.append(self.group.atoms[-1])

    def _unset(self) -> None:
        keys = sorted(key for key in self.session if key.startswith("k"))
        if keys:
            self.group.removes = True
            self.group.removed.append(self.session.pop(keys[0]))

    def _empty(self) -> None:
        self.group.removed.extend([*atoms_of(dict(self.session)), *self.pushed])
        for key in list(self.session):
            self.group.removes = True
            self.session.pop(key)
        self.held = None

    def _expire(self) -> None:
        self.session.expire_in(DEADLINE)
        self.visit.sets_deadline = True
        self.group.sets = self.group.limits = True

    # -- asking

    def _ask(self) -> None:
        first, second = self._answers(), self._answers()
        if first != second:
            self.problems.append(f"a question changed its answer: {first} became {second}")

    def _answers(self) -> tuple[Any, ...]:
        session = self.session
        known = session.is_new, session.modified, session.subject, session.expires_at, session.public_id
        return *known, dict(session), len(session), "log" in session, bool(session)

    def _read(self) -> None:
        self.session.get("log")

    # -- beginning and ending

    def _begin_again(self) -> None:
        self.group.state, self.group.ended = "gone", self.stage.tick()
        moves = self.group.moves
        self.fresh, self.held = True, None
        self.mine.clear()
        self.group = self._group()
        self.group.moves, self.group.anew = moves, True
        self.stored = False

    def _logout(self) -> None:
        self.session.logout()
        self.unread = False
        self._begin_again()
        self.ending = True
        self.group.moves = False
        self.group.ends = True
        self.visit.subject, self.visit.tagged = None, False

    def _restart(self) -> None:
        self._logout()
        self._set()

    def _login(self, subject: str, *, tagged: bool) -> None:
        before = self.session.subject
        for group in self.visit.groups:
            group.limits = False
        self.session.login(subject, tags={"sid": self.names["tag"]} if tagged else None)
        left = self.lost and self.had
        told = any(name in _LOST for at, name in self.visit.events if at >= self.group.begun)
        if left and not told and (dropped := set(self.group.atoms).difference(self.group.removed)):
            self.problems.append(f"{sorted(dropped)} were dropped by a login, and nothing tells it")
        if before not in (None, subject) or left:
            self._begin_again()
        self.visit.subject, self.visit.tagged = subject, tagged
        self.group.moves = True
        self.group.login = subject
        self.lost = False

    def _regenerate(self) -> None:
        self.session.regenerate()
        self.group.moves = True
