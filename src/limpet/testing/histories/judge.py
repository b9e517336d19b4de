"""Says what in a history must not have happened. It knows requests, answers and jars, and no engine.

Each method is one statement of what sessions promise, and yields a sentence for each time it was broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final, NamedTuple

from limpet.errors import SessionBusy, SessionConflict, SessionEnded, SessionLimitReached, StoreUnavailable
from limpet.testing.histories.enders import MINUTE, Enders
from limpet.testing.histories.facts import CONSTANT, Group, History, Visit, atoms_of
from limpet.testing.histories.family import Families

__all__ = ["Problem", "judge"]

_WRITES: Final = frozenset({"create", "update", "replace", "delete"})


class Problem(NamedTuple):
    """Something that must not happen and did.

    Attributes:
        statement: The name of the statement that it breaks.
        text: What happened.
    """

    statement: str
    text: str

    def __str__(self) -> str:
        return f"{self.text} ({self.statement.replace('_', ' ')})"


def judge(history: History) -> list[Problem]:
    """Return everything that must not happen and did."""
    found = [Problem("nothing_unexpected_is_raised", text) for text in history.problems]
    if history.constant != CONSTANT:
        found.append(Problem("foreign_objects_are_never_changed", f"the application's constant is {history.constant}"))
    for statement in _Verdict(history).statements():
        found.extend(Problem(statement.__name__, text) for text in dict.fromkeys(statement()))
    return found


class _Verdict:
    def __init__(self, history: History) -> None:
        self.history, self.rules = history, history.rules
        self.families = Families(history)
        self.enders = Enders(self.families)
        self.server = history.rules.mode == "server"
        self.writers = [(visit, group) for visit in self.families.acts for group in visit.groups]
        self.owner = {atom: (visit, group) for visit, group in self.writers for atom in group.atoms}

    def statements(self) -> Iterator[Callable[[], Iterator[str]]]:
        yield self.errors_have_a_reason
        yield self.what_is_over_stays_over
        yield self.what_expired_is_gone
        yield self.what_is_not_over_is_there
        if self.server:
            yield self.what_is_read_was_written_here
            yield self.what_was_saved_is_there
            yield self.a_loss_has_a_reason
            yield self.cookies_have_a_reason
            yield self.questions_change_nothing
            yield self.lists_show_what_browsers_have
            yield self.limits_hold
            yield self.locks_have_one_holder
            yield self.an_old_session_moves_once
        else:
            yield self.cookies_hold_what_was_put_in

    def _alive(self) -> Iterator[tuple[Visit, str]]:
        for visit in self.history.visits:
            session = self.families.met(visit)
            if session is not None:
                yield visit, session

    # -- what is there, and what is not

    def what_is_over_stays_over(self) -> Iterator[str]:
        """After an acknowledged logout, change of id or revocation nobody opens the session again."""
        for visit, session in self._alive():
            by = self.enders.must(session, visit.sent)
            old = session == self.history.imported and by is not None and by.act.kind == "expiry"
            if by is not None and not old:  # how old one of another library may be is its importer's to say
                yield f"#{visit.number} opens a session that #{by.number} ({by.act}) had ended"

    def what_expired_is_gone(self) -> Iterator[str]:
        """A session that nobody has used for longer than its idle timeout is gone."""
        for visit, session in self._alive():
            if session != self.history.imported and self.enders.is_idle(session, visit):
                yield f"#{visit.number} opens a session that nobody has used for longer than it may live"

    def what_is_not_over_is_there(self) -> Iterator[str]:
        """A cookie opens its session as long as nothing can have ended it."""
        for visit in self.history.visits:
            sent = self.families.presented(visit)
            if visit.seen is None or visit.alive or len(sent) != 1 or len(visit.tokens) != 1:
                continue
            [session], token = sent, visit.tokens[0]
            issuer = self.families.issuer[token]
            if issuer.end >= visit.sent or (issuer.died and not issuer.sends):
                continue
            if token == self.history.imported and self.rules.max_sessions is not None:
                continue  # there may be no room for it
            if self._grace_is_over(token, visit) or self.enders.deadline(session, visit):
                continue
            if issuer.number < 0 and any(name == "LimitReached" for _, name in visit.events):
                continue  # an old session counts as a login, and there was no room for it
            if not self.enders.may(session, visit.loaded, but=visit):
                yield f"#{visit.number} finds nothing with the cookie of #{issuer.number}, and nobody ended it"

    def _grace_is_over(self, token: str, visit: Visit) -> bool:
        """Tell whether an id was renewed, and the new one has come back."""
        others = [other for other in self.families.ids(self.families.session(token)) if other != token]
        before = (there for there in self.history.visits if there.sent < visit.loaded and there is not visit)
        return any(set(others) & set(there.tokens) for there in before)

    def what_is_read_was_written_here(self) -> Iterator[str]:
        """A session shows what was written into it, once; nothing of anybody else, and nothing that was refused."""
        for visit, session in self._alive():
            assert visit.seen is not None
            if visit.seen.subject != self.families.subject(session):
                yield f"#{visit.number} is {visit.seen.subject}, and the session is of {self.families.subject(session)}"
            if visit.seen.data is None:
                continue
            for atom, times in atoms_of(visit.seen.data).items():
                if times > 1:
                    yield f"#{visit.number} finds {atom} {times} times"
                if atom in self.owner:
                    yield from self._belongs(visit, session, atom)

    def _belongs(self, visit: Visit, session: str, atom: int) -> Iterator[str]:
        writer, group = self.owner[atom]
        home = self.families.home(writer, group)
        if group.state in ("told", "dropped", "gone") and not writer.both:
            yield f"#{visit.number} finds {atom} of #{writer.number}, which is {group.state}"
        elif home is None and not writer.sends:
            yield f"#{visit.number} finds {atom}, which #{writer.number} put into a session that no browser has"
        elif home is None or self.families.kin(home) != self.families.kin(session):
            yield f"#{visit.number} finds {atom} of #{writer.number}, whose session is another"

    def what_was_saved_is_there(self) -> Iterator[str]:
        """What was acknowledged is there, all of it, unless it was deleted."""
        for visit, session in self._alive():
            assert visit.seen is not None
            if visit.seen.data is None:
                continue
            found = atoms_of(visit.seen.data).keys()
            there = found | self._removed(visit)
            for writer, group in self.writers:
                missing = [atom for atom in group.atoms if atom not in there]
                if not missing or writer is visit or self.enders.emptied_meanwhile(writer):
                    continue
                known = writer.end if writer.imports else group.ended  # by then it is in the session that a browser has
                if group.state == "saved" and known < visit.sent and self._reaches(writer, group, session):
                    yield f"#{visit.number} does not find {missing}, which #{writer.number} had saved"
                elif found & set(group.atoms) and not writer.both and not self.enders.was_cut(session):
                    yield f"#{visit.number} finds half of what #{writer.number} saved: {missing} are not there"

    def _removed(self, visit: Visit) -> set[int]:
        return {atom for writer, group in self.writers if writer.sent < visit.loaded for atom in group.removed}

    def _reaches(self, writer: Visit, group: Group, session: str) -> bool:
        """Tell whether what was written must have been carried over to a session."""
        moves_later = any(later.moves for later in writer.groups[writer.groups.index(group) + 1 :])
        if moves_later and group.moves and self.enders.voids(writer, writer.subject or ""):
            return False  # what it was saved in first can have been ended before it went out
        moved = any(each.moves for each in writer.groups[: writer.groups.index(group) + 1])
        before = moves_later and not moved and not group.fresh  # it was saved under the old id
        home = self.families.met(writer) if before else self.families.home(writer, group)
        if home is None:
            return False
        if home == session:
            return True
        for edge in self.families.chain(session):
            mover = edge.mover
            twice = sum(each.moves for each in mover.groups) > 1
            if twice and self.enders.voids(mover, mover.subject or ""):
                return False  # what it was carried over to first can have been ended too
            if (before or mover is not writer) and self._may_be_over(edge.parent, mover):
                return False  # something else ended it at the same time: what the login found is all that it has
            if edge.parent == home:
                return True
        return False

    def a_loss_has_a_reason(self) -> Iterator[str]:
        """Nobody is told that a session has ended, or that a login is void, unless somebody can have ended it."""
        for writer, group in self.writers:
            if group.state != "told" or writer.error is not None:
                continue
            session = self.families.met(writer)
            if any(earlier.login and earlier.state == "told" for earlier in writer.groups if earlier is not group):
                continue  # it is over since its login was void
            since = writer.groups[: writer.groups.index(group) + 1]
            logins = [each.login for each in since if each.login]
            if not logins and session is not None and any(each.moves for each in since if each is not group):
                logins = [self.families.subject(session) or ""]  # it is about the session under the new id
            if logins:
                over = session is not None and self.enders.may(session, group.ended, but=writer)
                if not over and not self.enders.voids(writer, logins[-1]):
                    yield f"#{writer.number} logged in, which is void, and nobody ended it"
            elif session is not None and not group.fresh and not group.moves:
                over = self.enders.may(session, group.ended, but=writer) or self._had_no_room(writer, session)
                if not over and not self.enders.deadline(session, writer, own=True):
                    yield f"#{writer.number} is told that its session was ended, and nobody ended it"

    def _had_no_room(self, visit: Visit, session: str) -> bool:
        """Tell whether an old session could not move here: others of its subject had taken the places."""
        names = [name for _, name in visit.events]
        return session == self.history.imported and "LimitReached" in names and self.enders.is_full(visit, old=True)

    # -- answers

    def errors_have_a_reason(self) -> Iterator[str]:
        """A request fails only where a store failed, a limit is reached, or others hold a lock."""
        for visit in self.families.acts:
            error = visit.error
            if error is None:
                continue
            if isinstance(error, StoreUnavailable):
                if not visit.faults:
                    yield f"#{visit.number} raised {error!r}, and its store works"
            elif isinstance(error, SessionLimitReached):
                if not self.enders.is_full(visit):
                    yield f"#{visit.number} was refused a login, and there is room"
            elif isinstance(error, SessionEnded):
                if visit.act.kind != "open":
                    yield f"#{visit.number} raised {error!r}"
            elif isinstance(error, SessionConflict) and self._clock_moved(visit):
                continue  # the time that a save may take has passed
            elif not (isinstance(error, SessionBusy) and self.history.faulty) and self.server:
                yield f"#{visit.number} raised {error!r}"

    def _clock_moved(self, visit: Visit) -> bool:
        ticks = (there for there in self.families.acts if there.moves_the_clock)
        return any(there.sent < visit.end and visit.sent < there.end for there in ticks)

    def cookies_have_a_reason(self) -> Iterator[str]:
        """A new cookie goes to who logged in, asked for a new id, or began a session; its deletion to who ended one."""
        for visit in self.families.acts:
            if not visit.ok or visit.act.kind != "request" or visit.failed or not visit.groups:
                continue
            last, (moves, ends) = visit.groups[-1], visit.tries
            told = any(group.state == "told" for group in visit.groups)
            wrote = any(
                group.atoms or group.login for group in _standing(visit) if group.fresh and group.state == "saved"
            )
            met = self.families.met(visit)
            if visit.out == "" and not ends and not any(group.removes for group in visit.groups):
                yield f"#{visit.number} takes a cookie back, and ended nothing"
            elif visit.out:
                yield from self._is_due(visit, met, moves=moves, ends=ends)
            elif told or last.removes:
                continue
            elif moves and last.moves and last.state == "saved" and (wrote or not last.fresh):
                yield f"#{visit.number} changed an id, and handed out none"
            elif met is None and not visit.tokens and wrote and not ends and not any(g.removed for g in visit.groups):
                yield f"#{visit.number} wrote into a session of its own, and was given no cookie"
            elif ends and visit.out is None and met is not None and not last.atoms and self._is_ours(visit, met):
                yield f"#{visit.number} logged out, and its cookie was not taken back"

    def _is_ours(self, visit: Visit, met: str) -> bool:
        """Tell whether a session that was logged out was this request's to end: nobody else had."""
        return met != self.history.imported and not self._may_be_over(met, visit)

    def _may_be_over(self, session: str, visit: Visit) -> bool:
        """Tell whether a session can have ended, or reached a deadline, by the end of a request."""
        return self.enders.may(session, visit.end, but=visit) or self.enders.deadline(session, visit, own=True)

    def _is_due(self, visit: Visit, met: str | None, *, moves: bool, ends: bool) -> Iterator[str]:
        reasons = moves or visit.imports or self.rules.renews or visit.out in visit.tokens
        if met is not None and not visit.groups[-1].fresh and not reasons:
            yield f"#{visit.number} only wrote, and was given a new cookie"
        if met is not None or not self.rules.exact or ends or any(group.login for group in visit.groups):
            return
        if len(visit.tokens) > 1:
            return  # it is anonymous because it cannot be told apart, and not because an id has ended
        now = max(visit.read, visit.elapsed)
        for session in self.families.presented(visit):
            for other in self.families.acts:
                recent = other is not visit and other.sent < visit.loaded and now - other.elapsed < MINUTE
                if self.enders.revoked_since(session, other, visit.loaded) or self.enders.gave_way(
                    session, visit.loaded
                ):
                    continue  # nothing is kept of what an operator ended, or of what a limit did
                if session == self.history.imported and any(name == "LimitReached" for _, name in visit.events):
                    continue  # an old session for which there is no room is none
                if recent and self.families.met(other) == session and (other.moved or other.over):
                    just = f"#{visit.number} came with an id that #{other.number} had just replaced or ended"
                    yield f"{just}, and was given a cookie of a session of its own, which overwrites the other"

    def questions_change_nothing(self) -> Iterator[str]:
        """Who only asks writes nothing, and is sent no cookie."""
        if self.rules.renews or self.rules.imports:
            return
        for visit in self.history.visits:
            over = ("SessionExpired", "SessionRevoked")  # its record is cleared away
            expired = any(name in over for _, name in visit.events)
            if visit.act.kind == "request" and visit.asked_only and visit.seen is not None and not expired:
                made = _WRITES & set(visit.calls) - self._owed(visit)
                if made or visit.out is not None:
                    yield f"#{visit.number} only asked; it made the calls {sorted(made)} and was sent {visit.out!r}"

    def _owed(self, visit: Visit) -> set[str]:
        """Return the calls in which a change of id may still be finished by who only asks.

        The new record names the old one, until a write or a touch notes once that the old one has ended. If the store
        failed during the change, the next request ends it.
        """
        changes = [
            each for each in self.history.visits if each.out in visit.tokens and any(g.moves for g in each.groups)
        ]
        if any(name == "StoreFailed" for each in changes for _, name in each.events):
            return {"update", "replace"}
        noted = any(
            set(other.tokens) & set(visit.tokens) and other.asked_only and "update" in other.calls
            for other in self.history.visits
            if other.act.kind == "request" and other.answered is not None and other.answered < visit.sent
        )
        return {"update"} if changes and not noted else set()

    def _was_to_end(self, visit: Visit, later: Visit) -> bool:
        """Tell whether the change of id that a later request finished was to end what this one came with."""
        changes = [each for each in self.history.visits if each.out in later.tokens]
        return later.number > visit.number and any(set(each.tokens) & set(visit.tokens) for each in changes)

    # -- lists, limits, locks

    def _usable(self) -> dict[str | None, set[str]]:
        """Return the public ids of what browsers can open at the end, by subject."""
        looks = [(visit, session) for visit, session in self._alive() if visit.settled and visit.pid is not None]
        ending = [visit for visit, _ in looks if "replace" in visit.calls]  # it ended what a change of id had left
        settled = (each for each in looks if not any(self._was_to_end(each[0], visit) for visit in ending))
        last = {session: visit for visit, session in settled}  # this very look may have renewed it
        found: dict[str | None, set[str]] = {}
        for visit in last.values():
            assert visit.seen is not None
            found.setdefault(visit.seen.subject, set()).add(str(visit.pid))
        return found

    def lists_show_what_browsers_have(self) -> Iterator[str]:
        """Every session that a browser can open is listed, and no other."""
        usable, whole = self._usable(), not any(not visit.sends for visit in self.families.acts if visit.tries[0])
        for subject, listed in self.history.listed.items():
            there = usable.get(subject, set())
            if not there <= listed:
                yield f"{len(there - listed)} sessions of {subject} can be opened and are not listed"
            if not listed <= there and whole and not self.history.faulty:
                yield f"{len(listed - there)} sessions of {subject} are listed and can be opened by nobody"

    def limits_hold(self) -> Iterator[str]:
        """No subject has more sessions than allowed, once all is quiet."""
        limit = self.rules.max_sessions
        if limit is not None and not self.history.faulty and not self.rules.forgets:
            for subject, there in self._usable().items():
                if subject is not None and len(there) > limit:
                    yield f"{subject} has {len(there)} sessions, and {limit} are allowed"

    def locks_have_one_holder(self) -> Iterator[str]:
        """Nobody holds a lock while another does."""
        held = [(visit, hold) for visit in self.families.acts for hold in visit.holds]
        for (one, first), (other, second) in combinations(held, 2):
            if self.families.met(one) != self.families.met(other) or first.ended is None or second.ended is None:
                continue
            meet = first.begun < second.ended and second.begun < first.ended
            if meet and not self._clock_moved(one) and not self._clock_moved(other):
                yield f"#{one.number} and #{other.number} held one lock at the same time"

    def an_old_session_moves_once(self) -> Iterator[str]:
        """The session of another library becomes one of ours once."""
        moved = [visit for visit in self.families.acts if visit.imports and visit.ok and visit.out]
        for one, other in combinations(moved, 2):
            if one.end < other.sent:
                yield f"#{other.number} moved an old session that #{one.number} had moved"

    # -- sessions in cookies

    def cookies_hold_what_was_put_in(self) -> Iterator[str]:
        """A cookie opens what it was made of, and nothing else."""
        for visit, _ in self._alive():
            issuer = self.families.issuer.get(visit.tokens[0])
            if (
                len(visit.tokens) != 1
                or issuer is None
                or visit.seen is None
                or visit.seen.data is None
                or issuer.made is None
            ):
                continue
            if visit.seen.data != issuer.made[1] or visit.seen.subject != issuer.made[0]:
                yield f"#{visit.number} finds {visit.seen}, and its cookie was made of {issuer.made}"


def _standing(visit: Visit) -> list[Group]:
    """Return what a handler wrote since it last ended a session."""
    ends = [at for at, group in enumerate(visit.groups) if group.ends]
    return visit.groups[ends[-1] if ends else 0 :]
