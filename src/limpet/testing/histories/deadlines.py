"""Which sessions can have reached a deadline, and which must have: that of not being used, or one that was set."""

from __future__ import annotations

from typing import Final

from limpet.testing.histories.facts import Visit
from limpet.testing.histories.family import Families
from limpet.testing.histories.handler import DEADLINE, IDLE

__all__ = ["Deadlines"]

_TOUCH: Final = 60_000  # milliseconds within which a use need not be written down
_ABSOLUTE: Final = 14 * 86_400_000
_MARGIN: Final = 600_000  # how far the clocks of two hosts are apart at most, in milliseconds


class Deadlines:
    """Knows how long sessions may live."""

    def __init__(self, families: Families) -> None:
        self.families = families
        self.rules = families.history.rules
        self.server = self.rules.mode == "server"

    def deadline(self, session: str, at: Visit, *, own: bool = False) -> bool:
        """Tell whether a deadline can have passed: that of not being used, or one that a handler set.

        Args:
            own: By the end of that request, which counts as a use when it began; else when it began.
        """
        families, margin = self.families, 0 if self.rules.exact else _MARGIN
        used = families.birth(session).elapsed
        now, used = (at.until, at.elapsed if at.noted_its_use else used) if own else (max(at.elapsed, at.read), used)
        if not self.server and at.tokens and at.tokens[0] in families.issuer:
            used = families.issuer[at.tokens[0]].elapsed  # each cookie knows its own last use
        for visit in families.acts:
            if visit.sent >= (by := at.end if own else at.loaded) or (visit is at and not own):
                continue
            noted = visit.noted_its_use and (visit.end < by or visit is at)  # one under way has perhaps not yet
            if self.server and visit.ok and visit.act.kind != "open" and noted and families.met(visit) == session:
                used = max(used, visit.elapsed)  # a use counts from when the request began; a job's work is none
            if (
                visit.sets_deadline
                and self._is_near(visit, session)
                and now - visit.elapsed + margin >= DEADLINE * 1000
            ):
                return True
        return (
            now - used + margin + _TOUCH >= IDLE * 1000 or now - families.birth(session).elapsed + margin >= _ABSOLUTE
        )

    def is_past_its_own(self, session: str, at: Visit) -> bool:
        """Tell whether the deadline that a handler has set for a session has passed, whatever the clocks show."""
        families = self.families
        setters = [visit for visit in families.acts if visit.sets_deadline and visit.sent < at.loaded]
        setters = [visit for visit in setters if visit is not at and self._is_near(visit, session)]
        if not any(self._has_set(visit, session, at) for visit in setters):
            return False
        since = at.elapsed - max(visit.until for visit in setters)
        return since >= DEADLINE * 1000 + (0 if self.rules.exact else _MARGIN)

    def _is_near(self, visit: Visit, session: str) -> bool:
        """Tell whether a request came with a session, or was handed one, of the kin of another."""
        near = (*self.families.presented(visit), *([visit.out] if visit.out else ()))
        return self.families.kin(session) in {self.families.kin(each) for each in near}

    def _has_set(self, visit: Visit, session: str, at: Visit) -> bool:
        """Tell whether a deadline was acknowledged; of one in its cookie, by who handed out the only one sent."""
        if not visit.ok or visit.end >= at.sent or not (self.server or at.tokens == (visit.out,)):
            return False
        saved = (group for group in visit.groups if group.limits and group.state == "saved")
        return any(self.families.home(visit, group) == session for group in saved)

    def expired_meanwhile(self, visit: Visit) -> bool:
        """Tell whether a session that a request began itself can have reached a deadline before the request ended."""
        took = visit.until - visit.elapsed + (0 if self.rules.exact else _MARGIN)
        return took + _TOUCH >= IDLE * 1000 or (visit.sets_deadline and took >= DEADLINE * 1000)

    def is_idle(self, session: str, at: Visit) -> bool:
        """Tell whether nobody can have used a session for longer than its idle timeout, whatever the clocks show."""
        families = self.families
        near = [visit for visit in families.history.visits if visit is not at and visit.sent < at.loaded]
        near = [visit for visit in near if visit.act.kind != "open"]
        used = [families.birth(session).until]
        used += [max(visit.until, visit.read) for visit in near if session in families.presented(visit)]
        used += [visit.until for visit in near if visit.out and families.session(visit.out) == session]
        return at.elapsed - max(used) >= IDLE * 1000 + (0 if self.rules.exact else _MARGIN)
