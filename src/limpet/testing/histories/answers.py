"""Says what in the answers of a history must not have happened: errors, cookies, writes by who only asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from limpet.errors import SessionBusy, SessionConflict, SessionEnded, SessionLimitReached, StoreUnavailable
from limpet.testing.histories.enders import MINUTE, Enders
from limpet.testing.histories.facts import Visit

__all__ = ["Answers"]

_WRITES: Final = frozenset({"create", "update", "replace", "delete"})


class Answers:
    """Judges what requests were answered.

    Args:
        enders: What ended which session.
    """

    def __init__(self, enders: Enders) -> None:
        self.enders, self.families = enders, enders.families
        self.history, self.rules, self.server = self.families.history, enders.rules, enders.server

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
            elif isinstance(error, SessionConflict) and self.enders.clock_moved(visit):
                continue  # the time that a save may take has passed
            elif not (isinstance(error, SessionBusy) and self.history.faulty) and self.server:
                yield f"#{visit.number} raised {error!r}"

    def cookies_have_a_reason(self) -> Iterator[str]:
        """A new cookie goes to who logged in, asked for a new id, or began a session; its deletion to who ended one."""
        for visit in self.families.acts:
            if not visit.ok or visit.act.kind != "request" or visit.failed or not visit.groups:
                continue
            last, (moves, ends) = visit.groups[-1], visit.tries
            told = any(group.state == "told" for group in visit.groups)
            wrote = _wrote(visit)
            met = self.families.met(visit)
            if visit.out == "" and not ends and not any(group.removes for group in visit.groups):
                yield f"#{visit.number} takes a cookie back, and ended nothing"
            elif visit.out:
                yield from self._is_due(visit, met, moves=moves, ends=ends)
            elif told:
                continue
            elif met is None and not visit.tokens and wrote and not ends and not self._may_be_lost(visit):
                yield f"#{visit.number} wrote into a session of its own, and was given no cookie"
            elif last.removes or (moves and self.enders.expired_meanwhile(visit)):
                continue
            elif moves and last.moves and last.state == "saved" and (wrote or not last.fresh):
                yield f"#{visit.number} changed an id, and handed out none"
            elif ends and visit.out is None and not last.atoms and self._was_ours(visit):
                yield f"#{visit.number} logged out, and its cookie was not taken back"

    def a_cookie_is_taken_back_once(self) -> Iterator[str]:
        """Of several requests that log one session out, one ended it: the browser has logged in anew, perhaps."""
        first = dict[str, Visit]()
        for visit in self.families.acts:
            met = self.families.meant(visit)
            if not visit.ok or visit.act.kind != "request" or visit.out != "" or visit.tries[0] or met is None:
                continue
            if not visit.faults and first.setdefault(met, visit) is not visit:
                yield f"#{visit.number} takes a cookie back, and #{first[met].number} did, who ended the same session"

    def _was_ended_long_ago(self, session: str, visit: Visit, now: int) -> bool:
        """Tell whether a request that began more than a minute before another may have ended a session, or the id."""
        before = [each for each in self.families.acts if each.sent < visit.loaded and now - each.elapsed >= MINUTE]
        renewed = (each for each in before if each.out and each.out not in visit.tokens)
        ended = (each for each in before if each.leaves_its_id and self.families.met(each) == session)
        return next(ended, None) is not None or any(set(each.tokens) & set(visit.tokens) for each in renewed)

    def _may_be_lost(self, visit: Visit) -> bool:
        """Tell whether a session that a request began itself can have ended before its id went out."""
        return self.enders.voids(visit, visit.subject or "") or self.enders.expired_meanwhile(visit)

    def _was_ours(self, visit: Visit) -> bool:
        """Tell whether a session that was logged out was this request's to end: nobody else had."""
        meant = self.families.meant(visit)
        if meant is None or meant == self.history.imported or self.enders.may_be_over(meant, visit):
            return False
        gone = self.enders.is_unknown_by_now(visit) or self.enders.deadline(meant, visit)  # before it looked
        return visit.alive or not gone

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
                if recent and self._was_ended_long_ago(session, visit, now):
                    continue  # by a request that took long: its mark is as old as that
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
        failed during the change, the next request ends it. So it ends the new one, if somebody who took more than a
        minute ended the old one, when the mark of the change was gone.
        """
        changes = [
            each for each in self.history.visits if each.out in visit.tokens and any(g.moves for g in each.groups)
        ]
        if any(name == "StoreFailed" for each in changes for _, name in each.events):
            return {"update", "replace"}
        before = {token for each in changes for token in each.tokens}
        if any(each.until - each.elapsed >= MINUTE and before.intersection(each.tokens) for each in self.families.acts):
            return {"update", "replace"}
        noted = any(
            set(other.tokens) & set(visit.tokens) and other.asked_only and "update" in other.calls and other.ok
            for other in self.history.visits
            if other.act.kind == "request" and other.answered is not None and other.answered < visit.sent
        )
        return {"update"} if changes and not noted else set()


def _wrote(visit: Visit) -> bool:
    """Tell whether a session that a handler began holds anything that it wrote since it last ended one."""
    ends = [at for at, group in enumerate(visit.groups) if group.ends]
    standing = visit.groups[ends[-1] if ends else 0 :]
    removed = {atom for group in standing for atom in group.removed}
    saved = [group for group in standing if group.fresh and group.state == "saved"]
    return any(group.login or set(group.atoms) - removed for group in saved)
