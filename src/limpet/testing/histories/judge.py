"""Says what in a history must not have happened. It knows requests, answers and jars, and no engine.

Each method is one statement of what sessions promise, and yields a sentence for each time it was broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

from limpet.testing.histories.answers import Answers
from limpet.testing.histories.enders import Enders
from limpet.testing.histories.facts import CONSTANT, Group, History, Visit, atoms_of
from limpet.testing.histories.family import Families

__all__ = ["Problem", "judge"]


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
        self.answers = Answers(self.enders)
        self.server = history.rules.mode == "server"
        self.writers = [(visit, group) for visit in self.families.acts for group in visit.groups]
        self.owner = {atom: (visit, group) for visit, group in self.writers for atom in group.atoms}

    def statements(self) -> Iterator[Callable[[], Iterator[str]]]:
        yield self.answers.errors_have_a_reason
        yield self.what_is_over_stays_over
        yield self.what_expired_is_gone
        yield self.what_is_not_over_is_there
        if self.server:
            yield self.of_logins_at_once_one_stands
            yield self.what_is_read_was_written_here
            yield self.what_was_saved_is_there
            yield self.a_loss_has_a_reason
            yield self.answers.cookies_have_a_reason
            yield self.answers.a_cookie_is_taken_back_once
            yield self.answers.questions_change_nothing
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
        """A session is gone that nobody has used for longer than its idle timeout, or whose own deadline has passed."""
        for visit, session in self._alive():
            if session != self.history.imported and self.enders.is_idle(session, visit):
                yield f"#{visit.number} opens a session that nobody has used for longer than it may live"
            if self.enders.is_past_its_own(session, visit):
                yield f"#{visit.number} opens a session whose own deadline has passed"

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
            if self.enders.grace_is_over(token, visit) or self.enders.deadline(session, visit):
                continue
            if issuer.number < 0 and any(name == "LimitReached" for _, name in visit.events):
                continue  # an old session counts as a login, and there was no room for it
            if not self.enders.may(session, visit.loaded, but=visit):
                yield f"#{visit.number} finds nothing with the cookie of #{issuer.number}, and nobody ended it"

    def of_logins_at_once_one_stands(self) -> Iterator[str]:
        """A login takes the place of another: not each that of the other, so that nobody is logged in."""
        over = dict[Visit, list[Visit]]()
        for visit in self.history.visits:
            if not visit.settled or visit.alive or visit.seen is None or len(visit.tokens) != 1:
                continue
            for session in self.families.presented(visit):
                made = self.families.made.get(session)
                outside = self.enders.deadline(session, visit) or self.enders.gave_way(session, visit.loaded)
                outside = outside or self.enders.grace_is_over(visit.tokens[0], visit)
                if made is not None and made.moved and not outside:
                    over[made] = [each for each in self.enders.possible(session, visit.loaded) if each is not made]
        while others := [
            made for made, by in over.items() if not by or any(each not in over or each.tries[1] for each in by)
        ]:
            for made in others:
                del over[made]
        if over:
            yield f"{' and '.join(f'#{made.number}' for made in over)} logged in, and nobody but they can have ended it"

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
        home = self.families.home(writer, group, lenient=True)
        if group.state in ("told", "dropped", "gone") and not writer.both and not self._was_there(writer, group, visit):
            yield f"#{visit.number} finds {atom} of #{writer.number}, which is {group.state}"
        elif home is None and not writer.sends:
            if not self._was_followed(writer, session):
                yield f"#{visit.number} finds {atom}, which #{writer.number} put into a session that no browser has"
        elif home is None or self.families.kin(home) != self.families.kin(session):
            yield f"#{visit.number} finds {atom} of #{writer.number}, whose session is another"

    def _was_followed(self, writer: Visit, session: str) -> bool:
        """Tell whether another request can have gone on from a change of id whose process died, and took it along."""
        home = self.families.met(writer)
        chain = self.families.chain(session) if writer.died and not writer.failed else ()
        return any(edge.parent == home and edge.mover is not writer for edge in chain)

    def _was_there(self, writer: Visit, group: Group, reader: Visit) -> bool:
        """Tell whether what is told as lost was saved, by a write whose reply was lost, when it was read, and ended."""
        lost = {"loses the reply", "loses both replies"} & set(writer.faults.values())
        home = self.families.met(writer)
        if group.state != "told" or not lost or home is None or reader.loaded >= group.ended:
            return False
        return self.enders.may(home, group.ended, but=writer)

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
                known = group.ended if self._is_there_at_once(writer, group) else writer.end
                due = group.state == "saved" and known < visit.sent and not self._is_apart(visit, session)
                if due and self._reaches(writer, group, session):
                    yield f"#{visit.number} does not find {missing}, which #{writer.number} had saved"
                elif found & set(group.atoms) and not writer.both and not self.enders.was_cut(session):
                    yield f"#{visit.number} finds half of what #{writer.number} saved: {missing} are not there"

    def _is_there_at_once(self, writer: Visit, group: Group) -> bool:
        """Tell whether what was saved was then in the session that a browser has.

        An old session is moved, and what was saved under an id that does not go out is carried back, at the end.
        """
        moved = any(each.moves for each in writer.groups[: writer.groups.index(group) + 1])
        return not writer.imports and not (moved and (writer.failed or writer.error is not None))

    def _is_apart(self, visit: Visit, session: str) -> bool:
        """Tell whether what others saved under an old id may not be there: a job leaves that to the next request."""
        movers = (edge.mover for edge in self.families.chain(session))
        return visit.act.kind == "open" and any(name == "StoreFailed" for each in movers for _, name in each.events)

    def _removed(self, visit: Visit) -> set[int]:
        return {atom for writer, group in self.writers if writer.sent < visit.loaded for atom in group.removed}

    def _reaches(self, writer: Visit, group: Group, session: str) -> bool:
        """Tell whether what was written must have been carried over to a session."""
        at = writer.groups.index(group)
        moves_later = any(later.moves for later in writer.groups[at + 1 :])
        moved = any(each.moves for each in writer.groups[: at + 1])
        new = moved or group.fresh or writer.imports
        over = self.enders.voids(writer, writer.subject or "") or self.enders.expired_meanwhile(writer)
        if moves_later and new and over:
            return False  # what it was saved in first can have been ended before it went out
        if (writer.imports or (moved and writer.told_too_late)) and self._was_told(writer, group):
            return False  # what it was saved in ended before its id went out: an import counts as a login
        if writer.imports and not writer.out and self.enders.expired_meanwhile(writer):
            return False  # what it made of an old session reached a deadline before that was another's
        if moved and writer.fails_at_its_last_call:
            return False  # its id did not go out, and the store did not take it back into the session before
        met = self.families.met(writer) if group.either else None
        if met is not None and self.enders.may_be_over(met, writer):
            return False  # it may have been saved under the old id, which ended then
        before = moves_later and not moved and not group.fresh and not writer.imports  # it was saved under the old id
        home = self.families.met(writer) if before else self.families.home(writer, group)
        if home is None or (writer.imports and writer.error is not None):
            return False  # the id of what an old session became would go out with the error, which is lost here
        if home == session:
            return True
        for edge in self.families.chain(session):
            mover = edge.mover
            twice = sum(each.moves for each in mover.groups) > 1
            if twice and self.enders.voids(mover, mover.subject or ""):
                return False  # what it was carried over to first can have been ended too
            both = writer.imports and mover is not writer and edge.parent == self.history.imported
            logs_in = any(each.login for each in writer.groups)  # of two logins the later takes nothing along
            if both and not group.fresh and not logs_in:
                return not (writer.faults or mover.faults or self.enders.may_be_over(home, mover))
            if (before or mover is not writer) and self.enders.may_be_over(edge.parent, mover):
                return False  # something else ended it at the same time: what the login found is all that it has
            if mover is not writer and self.enders.ended_before_it_was_finished(edge.parent, mover):
                return False  # or later, while its end was still to come
            if edge.parent == home:
                return True
        return False

    def _was_told(self, writer: Visit, group: Group) -> bool:
        """Tell whether a request learnt later that what it had saved is lost, and something can have ended that."""
        told = writer.told_too_late or any(each.state == "told" and each.ended > group.ended for each in writer.groups)
        met = self.families.met(writer)
        over = met is not None and met != self.history.imported and self.enders.may_be_over(met, writer)
        whose = self.families.subject(met) if met is not None else None
        return told and (over or self.enders.voids(writer, whose or "") or self.enders.expired_meanwhile(writer))

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
                over = session is not None and (
                    self.enders.may(session, group.ended, but=writer) or self.enders.deadline(session, writer, own=True)
                )
                if not over and not self.enders.voids(writer, logins[-1]) and not self.enders.expired_meanwhile(writer):
                    yield f"#{writer.number} logged in, which is void, and nobody ended it"
            elif session is not None and not group.fresh and not group.moves:
                over = self.enders.may(session, group.ended, but=writer) or self._had_no_room(writer, session)
                if not over and not self.enders.deadline(session, writer, own=True):
                    yield f"#{writer.number} is told that its session was ended, and nobody ended it"

    def _had_no_room(self, visit: Visit, session: str) -> bool:
        """Tell whether an old session could not move here: others of its subject had taken the places."""
        names = [name for _, name in visit.events]
        return session == self.history.imported and "LimitReached" in names and self.enders.is_full(visit, old=True)

    def _was_to_end(self, visit: Visit, later: Visit) -> bool:
        """Tell whether the change of id that a later request finished was to end what this one came with."""
        changes = [each for each in self.history.visits if each.out in later.tokens]
        there = self.families.presented(visit)
        moved = (self.families.edge(session) for session in there)  # an old session, and what was taken over from it
        there |= {edge.parent for edge in moved if edge is not None and edge.parent == self.history.imported}
        return later.number > visit.number and any(self.families.presented(each) & there for each in changes)

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
        if limit is None or self.history.faulty or self.rules.forgets:
            return
        for subject, there in self._usable().items():
            logins = [visit for visit in self.families.acts if any(g.login == subject for g in visit.groups)]
            unseen = any(self.enders.was_forgotten(login) or self._is_over_for(login, subject) for login in logins)
            if subject is not None and len(there) > limit and not unseen:
                yield f"{subject} has {len(there)} sessions, and {limit} are allowed"

    def _is_over_for(self, login: Visit, subject: str | None) -> bool:
        """Tell whether a login can have found a session past its deadline, which a request still prolonged.

        That deadline passed during the login, or for a host whose clock is ahead.
        """
        sessions = [each for each in self.families.sessions() if self.families.subject(each) == subject]
        if not self.rules.exact and any(self.enders.deadline(each, login) for each in sessions):
            return True
        late = self.enders.clock_moved(login)
        return late and any(self.enders.deadline(each, login, own=True) for each in sessions)

    def locks_have_one_holder(self) -> Iterator[str]:
        """Nobody holds a lock while another does."""
        held = [(visit, hold) for visit in self.families.acts for hold in visit.holds]
        for (one, first), (other, second) in combinations(held, 2):
            if self._locked(one) != self._locked(other) or first.ended is None or second.ended is None:
                continue
            meet = first.begun < second.ended and second.begun < first.ended
            if meet and not self.enders.clock_moved(one) and not self.enders.clock_moved(other):
                yield f"#{one.number} and #{other.number} held one lock at the same time"

    def _locked(self, visit: Visit) -> str | None:
        """Return what a lock is of: a session is the same under a new id, unless it was logged in to."""
        session = self.families.met(visit)
        for edge in self.families.chain(session) if session is not None else ():
            if edge.mover.imports or any(group.login for group in edge.mover.groups):
                break
            session = edge.parent
        return session

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
