"""Revocations in the order in which the store took them, and how a session is judged by them.

Every revocation (of a subject, of a tag, of everyone) has a number. The store gives it: the number is one more than the
last, in a record, the *journal*, that is written by version. A session notes in ``seen`` the last number that was
taken into account when it began. So what came first is decided by the store, never by the clocks of two hosts, and a
revocation holds from the moment at which the journal was written, whatever an index by subject knows or has lost. One
that spares a session writes its number into that session first, and reserves it in the journal before that.

A load reads the session and the journal in one round trip. If the numbers are equal, which is nearly always, nothing
was revoked since. Else the journal says whether everyone was, and for each of 256 groups of names (subjects and tags)
the last number in it; only a session with a name in a group that has moved on needs to look at the marks of its own
names, and each process remembers what it found there until the group moves again.

A login notes its time on the host's monotonic clock. When it is saved and a revocation of its names is found that this
process did not know of at the login, the two are compared on that clock, which all processes of one host share and
nobody sets. For a revocation by another host, wall clocks decide if they differ by more than hosts may disagree; in
between the login is refused with an error, and the next one is accepted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from limpet._wire import marks, tokens
from limpet._wire.journal import JOURNAL, Journal, group_of, moved_on
from limpet._wire.marks import Facts
from limpet._wire.record import Contents
from limpet.contract import NEVER, Record
from limpet.errors import SessionConflict

if TYPE_CHECKING:
    from limpet._core.state import SessionState
    from limpet._wire.records import Records
    from limpet.policy import SessionPolicy

__all__ = ["Positions", "names_of", "number_of", "subject_key"]

_KNOWN: Final = 20_000  # names whose marks a process remembers at most
_FRESH: Final = 1_000_000_000  # nanoseconds for which a process relies on the journal that it read last
_LIFE: Final = 400 * 86_400_000  # milliseconds that a mark is kept at least: no cookie lives longer


def subject_key(subject: str) -> str:
    """Return the store key of the mark that ends the sessions of a subject."""
    return marks.mark_key("subject", subject)


def names_of(subject: str | None, tags: Mapping[str, str]) -> list[str]:
    """Return the keys of the marks that can end a session: of its subject, and of each tag."""
    names = [] if subject is None else [subject_key(subject)]
    names.extend(marks.tag_key(name, value) for name, value in tags.items())
    return names


class Positions:
    """What one manager knows of the journal.

    Args:
        host: Names this host since it started, so that its monotonic clock can be compared; with ``~`` in front, only
            the host; "": it cannot.
        monotonic: Returns nanoseconds of that clock.

    Attributes:
        journal: What was read last.
        on_others: Called with the last number that was known when another process has revoked and says who acts.
    """

    def __init__(self, storage: Records, policy: SessionPolicy, host: str, monotonic: Callable[[], int]) -> None:
        self.journal: Journal = Journal(None, {}, -1, {})
        self._storage = storage
        self._policy = policy
        self._host = host
        self._monotonic = monotonic
        self._read_at = 0
        self._known: dict[str, tuple[int, int]] = {}
        self.on_others: Callable[[int], None] | None = None
        self._own = 0

    # -- what the journal says

    @property
    def seq(self) -> int:
        """The number of the last revocation that was read; -1: the journal was not read yet, or is damaged."""
        return self.journal.seq

    def take(self, record: Record | None) -> Journal:
        """Note the journal as it was just read, None for none yet; return it, for what was read along with it."""
        self._read_at = self._monotonic()
        version, known = None if record is None else record.version, self.journal
        if version == known.version and known.seq >= 0:
            return known
        facts: Facts | None = {} if record is None else marks.read(record.payload)
        if facts is None:  # a damaged mark ends what it is about; the next login writes it anew
            self.journal = journal = Journal(version, {"everyone": NEVER}, -1, {})
            return journal
        self.journal = journal = Journal(version, facts, facts.get("seq", 0), facts.get("names", {}))
        if self.on_others is not None and 0 <= known.seq < facts.get("acts", 0) != self._own:
            self.on_others(known.seq)
        return journal

    async def current(self, *, now: bool = False) -> int:
        """Return the number of the last revocation, as this process read it a moment ago or reads it now.

        Args:
            now: Read it now in any case: what begins with this number is not looked at again, as a login is.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        if not self._storage.has_marks:
            return 0
        if now or self.seq < 0 or self._monotonic() - self._read_at > _FRESH:
            self.take(await self._storage.load(JOURNAL))
        if self.journal.facts.get("everyone", 0) == NEVER:
            await self.advance(None)
        return self.seq

    async def read(self) -> None:
        """Read the journal now.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        self.take(await self._storage.load(JOURNAL))

    async def holds(self, contents: Contents, subject: str | None, journal: Journal | None = None) -> bool:
        """Tell whether a session stands after all revocations in a journal.

        Args:
            journal: As it was read with the session; None: as it was read last.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        journal, seen = journal or self.journal, contents.seen
        if seen == journal.seq:
            return True
        if journal.facts.get("everyone", 0) > seen:
            return False
        unsure = [
            name
            for name in names_of(subject, contents.tags)
            if journal.groups.get(group_of(name), 0) > seen or seen > journal.seq
        ]
        return not unsure or await self._stand(unsure, seen, journal)

    async def _stand(self, names: list[str], seen: int, journal: Journal) -> bool:
        """Look at the marks of these names, as far as they are not known: all of them are from before ``seen``."""
        asked: list[str] = []
        for name in names:
            known = self._known.get(name)
            if known is None or known[0] != journal.groups.get(group_of(name), 0):
                asked.append(name)
            elif known[1] > seen:
                return False
        if not asked:
            return True
        stands = True
        for name, record in zip(asked, await self._storage.load_many(asked), strict=True):
            at = number_of(record, journal.seq)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[name] = journal.groups.get(group_of(name), 0), at
            stands = stands and at <= seen
        return stands

    # -- a login

    def note_login(self, state: SessionState) -> None:
        """Note what is known of revocations now, and the time."""
        state.position, state.login_at = self.seq, self._monotonic()

    async def admit(
        self,
        state: SessionState,
        contents: Contents,
        subject: str | None,
        *,
        own: int = 0,
        before: Sequence[Facts] = (),
    ) -> bool | None:
        """Look, after a login was written, whether it stands.

        Args:
            own: The number of a revocation that the same request has written, which does not count ...
            before: ... and what its mark said before.

        Returns:
            True: it does. False: it was revoked after it was noted. None: it stands, and has to be written again with
            ``seen`` as it is now, because revocations from before it came to light.

        Raises:
            SessionConflict: A revocation by another host came so close that nobody can tell which was first.
            StoreUnavailable: The store does not answer.
        """
        if not self._storage.has_marks:
            return True
        names = names_of(subject, contents.tags)
        found = await self._storage.load_many([JOURNAL, *names])
        journal = self.take(found[0])
        for name, record in zip(names, found[1:], strict=True):
            at = 0 if record is None else (marks.read(record.payload) or {}).get("at", 0)
            if 0 <= journal.seq < at:
                await self._finish(name, at)
                journal = self.journal
        candidates = [marks.read(record.payload) or {"at": NEVER} for record in found[1:] if record is not None]
        everyone = journal.facts.get("everyone", 0)
        if everyone:
            candidates.append({**journal.facts.get("stamp", {}), "at": everyone})
        again = False
        for facts in (*candidates, *before):
            at = NEVER if facts.get("at") == NEVER else _number(facts, journal.seq)
            if own and at == own:
                continue
            if at > state.position and not self._is_before(facts, state.login_at, contents.authenticated or 0):
                return False
            again = again or at > contents.seen
        return None if again else True

    async def _finish(self, name: str, number: int) -> None:
        """Let a revocation take effect whose process may have died when it had written the mark.

        Else its number would go to another, and the mark would end a session that began after it.
        """
        while True:
            there = await self._storage.load(JOURNAL)
            self.take(there)
            facts = (marks.read(there.payload) or {}) if there is not None else {}
            if self.seq < 0 or self.seq >= number:
                return
            record = await self._write(there, moved_on(facts, number, name))
            if record is not None:
                self.take(record)
                return

    def _is_before(self, stamp: Facts, login_at: int, login_wall: int) -> bool:
        """Tell whether a revocation that this process did not know of at a login came before it."""
        apart = login_wall - stamp.get("wall", 0)
        if self._host and stamp.get("host") == self._host:
            on_this_clock = (login_at - stamp.get("mono", 0)) // 1_000_000
            if not self._host.startswith("~") or abs(on_this_clock - apart) <= marks.SKEW:  # not from before a restart
                return bool(stamp.get("mono", 0) < login_at)
        if abs(apart) > marks.SKEW:
            return bool(apart > 0)
        raise SessionConflict("the login was revoked at the same time, or just before it: try again")

    def last_of_everyone(self) -> Facts | None:
        """Return when everyone was revoked last, as the journal that was read says; None: never."""
        facts = self.journal.facts
        return facts.get("stamp", {}) if facts.get("everyone", 0) else None

    def known_before(self, facts: Facts, wall: int) -> bool:
        """Tell whether a revocation certainly came before a session of another library began, by the wall clock."""
        return wall - int(facts.get("wall", NEVER)) > marks.SKEW

    # -- a revocation

    async def advance(
        self,
        name: str | None,
        *,
        before: Callable[[int], Awaitable[None]] | None = None,
        spare: Callable[[int], Awaitable[None]] | None = None,
        note: Callable[[Facts], None] | None = None,
        announced: bool = False,
        said: bool = False,
    ) -> int:
        """Revoke a name, or everyone: from the return on no session holds that has not seen this number.

        Args:
            name: The key of the mark, or None for everyone.
            before: Awaited with the number right before it takes effect.
            spare: Awaited with it earlier; writes it into what is to hold. So the number is reserved first: no other
                revocation gets it, even if this process dies before its own has taken effect.
            note: Looks at the facts of the mark that were there.
            announced: The session has ended already: only other processes are to hear of it.
            said: Who acts is noted for other processes.

        Returns:
            The number.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        storage = self._storage
        own, group = 0, "" if name is None else group_of(name)
        while True:
            there = await storage.load(JOURNAL)
            self.take(there)
            stamp: Facts = {"host": self._host, "mono": self._monotonic(), "wall": storage.clock()}
            facts = self._facts_of(there, stamp)
            last, held = facts["seq"], facts.get("held", {})
            number = own
            if own <= last or held.get(group) != own:  # not reserved yet, or another revocation was quicker
                number = max(last, *held.values(), 0) + 1
                if spare is not None:
                    facts = {**facts, "held": {**held, group: number}}
                    there = await self._write(there, facts)
                    if there is None:
                        continue
                    own = number
                if spare is not None:  # before the mark, which may count early where another name moves the group on
                    await spare(number)
                if name is not None and not announced:
                    await marks.amend(storage, name, self._marked(number, stamp, note))
                if before is not None:
                    await before(number)
            later = moved_on(facts, number, None if announced else name)
            if name is None and not announced:
                later.update(everyone=number, stamp=stamp)
            if said:
                later["acts"] = number
            record = await self._write(there, later)
            if record is not None:
                self._own = number
                self.take(record)
                return number

    def _facts_of(self, journal: Record | None, stamp: Facts) -> Facts:
        """Return what the journal says. One that is new, or damaged, begins with the time: above all that was lost."""
        facts, begins = {} if journal is None else marks.read(journal.payload), self._storage.clock()
        if facts is None:
            begins += 2 * marks.SKEW  # hosts may differ by that, and others may have begun one with their time
            return {"seq": begins, "everyone": begins, "stamp": stamp}
        return {"seq": begins, **facts}

    async def _write(self, there: Record | None, facts: Facts) -> Record | None:
        """Write the journal in place of what was read; return the record, or None if another process was quicker."""
        record = Record(tokens.new_version(), marks.write(facts), self._storage.clock(), NEVER)
        if there is None:
            outcome = await self._storage.create(JOURNAL, record, urgent=True)
        else:
            outcome = await self._storage.update(JOURNAL, record, there.version, urgent=True)
        return record if outcome is None else None

    def _marked(
        self, number: int, stamp: Facts, note: Callable[[Facts], None] | None
    ) -> Callable[[Facts], tuple[Facts, int]]:
        def change(facts: Facts) -> tuple[Facts, int]:
            if note is not None:
                note(facts)
            expires = max([self.keep_until(), *facts.get("subjects", {}).values()])
            if facts.get("at", 0) > number:  # a later revocation of the same name came in between
                return {**facts, "was": max(facts.get("was", 0), number)}, expires
            was = _number(facts, number - 1)
            return {**facts, **stamp, "at": number, "was": was}, expires

        return change

    def keep_until(self) -> int:
        """Return until when a mark is needed: as long as a session from before it could live."""
        policy = self._policy
        spans = [policy.absolute_ms, policy.remember_ms if policy.remember_ms is not None else policy.absolute_ms]
        if any(span is None for span in spans):
            return NEVER
        return self._storage.clock() + max(_LIFE, *(span for span in spans if span is not None))


def number_of(record: Record | None, in_force: int) -> int:
    """Return the number of the last revocation in a mark; a damaged mark ends what it is about.

    Args:
        in_force: The number in the journal: a later one in the mark is of a revocation that is still being written, or
            that failed.
    """
    facts = {} if record is None else marks.read(record.payload)
    return NEVER if facts is None else _number(facts, in_force)


def _number(facts: Facts, in_force: int) -> int:
    at = int(facts.get("at", 0))
    return at if at <= in_force else int(facts.get("was", 0))
