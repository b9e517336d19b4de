"""Which ids belong together: who was handed which, what a session was carried over to, whose it is, and since when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from limpet.testing.histories.facts import Group, History, Visit
from limpet.testing.histories.plans import Act

__all__ = ["Edge", "Families", "Union"]

_BEFORE: Visit = Visit(-1, Act("before everything"), answered=0)


class Union:
    """Sets that grow together."""

    def __init__(self) -> None:
        self._up: dict[str, str] = {}

    def find(self, name: str) -> str:
        """Return the name that stands for the set of this one."""
        while (up := self._up.get(name, name)) != name:
            name = up
        return name

    def join(self, one: str, other: str) -> None:
        """Put two sets together."""
        self._up[self.find(other)] = self.find(one)


@dataclass(frozen=True, slots=True)
class Edge:
    """A session went over to another id: from which, to which, by whom."""

    parent: str
    child: str
    mover: Visit


class Families:
    """The ids of a history.

    An id and those that it was renewed to are one session, here named by one of them. A login or `regenerate` makes
    another one, to which the data is carried over. What begins with nothing belongs to no other.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.acts = [visit for visit in history.visits if not visit.settled]
        self.issuer: dict[str, Visit] = {}
        self.made: dict[str, Visit] = {}  # by session: who began it
        self._same, self._kin = Union(), Union()
        self._edges: dict[str, Edge] = {}
        self._pids: dict[str, str] = {}
        if history.imported is not None:
            self.issuer[history.imported] = _BEFORE
        pairs = sorted((visit for visit in history.visits if visit.out), key=lambda visit: visit.end)
        for visit in history.visits:
            if visit.alive and len(visit.tokens) == 1 and visit.seen is not None:
                self._pids[str(visit.seen.public_id)] = visit.tokens[0]
        for visit in pairs:
            token = visit.out or ""
            self.issuer.setdefault(token, visit)
            self._pids.setdefault(str(visit.pid), token)
        for visit in pairs:
            self._place(visit, visit.out or "")
        for token, visit in sorted(self.issuer.items(), key=lambda pair: pair[1].end):
            self.made.setdefault(self.session(token), visit)
        self._edges = {self.session(token): edge for token, edge in self._edges.items()}

    def _place(self, visit: Visit, token: str) -> None:
        met = self.met_token(visit)
        out = {"dropped", "gone"} if self.history.rules.mode == "server" else {"dropped", "gone", "unknown"}
        kept = [group for group in visit.groups if not visit.failed or group.state not in out]
        if (kept or visit.groups)[-1].fresh or token in self._edges:
            return
        if met is None:
            # Which of several was renewed, if nobody got the new id? All cookies of a subject can have one public id.
            if visit.alive and (self.history.rules.renews or self.history.rules.mode != "server"):
                for each in visit.tokens:
                    self._kin.join(each, token)
            return
        moves = any(group.moves and self._stands(visit, group) for group in visit.groups)
        if met == self.history.imported or moves:
            self._edges[token] = Edge(met, token, visit)
            self._kin.join(met, token)
        elif self.history.rules.renews or self.history.rules.mode != "server":
            self._same.join(met, token)
            self._kin.join(met, token)

    # -- ids

    def met_token(self, visit: Visit) -> str | None:
        """Return the id of the session that a request found alive."""
        if not visit.alive or visit.seen is None or not visit.tokens:
            return None
        if len(visit.tokens) == 1:
            return visit.tokens[0]
        if self.history.rules.mode == "server":
            return self._pids.get(str(visit.seen.public_id))
        here = [each for each in visit.tokens if each in self.issuer and self.issuer[each].pid == visit.seen.public_id]
        same = {self.session(token) for token in here}  # all cookies of a subject can have one public id
        return here[0] if len(same) == 1 else None

    def session(self, token: str) -> str:
        """Return the name of the session that an id belongs to."""
        return self._same.find(token)

    def met(self, visit: Visit) -> str | None:
        """Return the session that a request found alive."""
        token = self.met_token(visit)
        return None if token is None else self.session(token)

    def meant(self, visit: Visit) -> str | None:
        """Return the session that a request found alive, or the one that it logged out without looking."""
        there = self.presented(visit) if visit.seen is None and visit.act.lazy else set[str]()
        return there.pop() if len(there) == 1 and len(visit.tokens) == 1 else self.met(visit)

    def presented(self, visit: Visit) -> set[str]:
        """Return the sessions whose ids a request presented."""
        return {self.session(token) for token in visit.tokens if token in self.issuer}

    def near(self, one: Visit, other: Visit) -> bool:
        """Tell whether two requests presented ids of one session, and so came from one browser."""
        return bool(set(one.tokens) & set(other.tokens) or self._came(one) & self._came(other))

    def share(self, one: Visit, other: Visit) -> bool:
        """Tell whether two logins of a subject presented ids of one session, or of what was carried over from it."""
        return bool(self._line(one) & self._line(other))

    def goes_by(self, visit: Visit) -> tuple[str, ...]:
        """Return the ids that a request goes by: beside one that is alive, those that have ended say nothing."""
        met = self.met_token(visit)
        return visit.tokens if met is None else (met,)

    def _line(self, visit: Visit) -> set[str]:
        came = {self.session(token) for token in self.goes_by(visit) if token in self.issuer}
        line = set(came)
        for session in came:
            for edge in self.chain(session):
                whose = self.subject(edge.child) if edge.mover.imports else edge.mover.subject
                if whose not in (None, visit.subject):
                    break  # from here on it is of somebody else
                line.add(edge.parent)
        return line

    def _came(self, visit: Visit) -> set[str]:
        """Return the sessions whose ids a request presented, and those that they came from, one after the other."""
        came, waiting = set[str](), self.presented(visit)
        while waiting:
            session = waiting.pop()
            came.add(session)
            maker = self.made.get(session)
            waiting |= set() if maker is None else self.presented(maker) - came
        return came

    def kin(self, session: str) -> str:
        """Return what all sessions have in common between which data was carried over."""
        return self._kin.find(session)

    def ids(self, session: str) -> Iterator[str]:
        """Return all ids of a session."""
        return (token for token in self.issuer if self.session(token) == session)

    def sessions(self) -> set[str]:
        """Return all sessions that there were."""
        return set(self.made)

    def edge(self, session: str) -> Edge | None:
        """Return what made a session of another one."""
        edge = self._edges.get(session)
        return None if edge is None else Edge(self.session(edge.parent), session, edge.mover)

    def chain(self, session: str) -> Iterator[Edge]:
        """Return how a session came about, the last step first."""
        seen = {session}
        while (edge := self.edge(session)) is not None and edge.parent not in seen:
            yield edge
            session = edge.parent
            seen.add(session)

    # -- whose

    def birth(self, session: str) -> Visit:
        """Return the request since which a session's credentials are there: the last login, or its beginning."""
        return self.made.get(self._born(session), _BEFORE)

    def _born(self, session: str) -> str:
        """Return the session that a last login made, or with which it all began."""
        if self._logged_in(self.made.get(session, _BEFORE)):
            return session
        for edge in self.chain(session):
            session = edge.parent
            if self._logged_in(self.made.get(session, _BEFORE)):
                break
        return session

    def subject(self, session: str) -> str | None:
        """Return whose a session is."""
        maker = self.birth(session)
        if maker.seen is not None and maker.alive and self.met(maker) is None and not any(maker.tries):
            return maker.seen.subject  # which of several cookies it was cannot be told
        return self.history.names.get("ann") if maker is _BEFORE else self._logged_in(maker)

    def home(self, visit: Visit, group: Group, *, lenient: bool = False) -> str | None:
        """Return the session that what was written belongs to.

        Args:
            lenient: Where it is if an end whose fate is unknown did not happen.
        """
        last, over = visit.groups[-1], self._over_since(visit, group, lenient)
        if visit.out and (group.fresh or not last.fresh) and not over:
            return self.session(visit.out)
        before = visit.groups[: visit.groups.index(group) + 1]
        lost = (
            over or bool(visit.learns) or (visit.died and not visit.failed)
        )  # and with it what was saved under a new id
        if group.fresh or any(each.login or (lost and each.moves) for each in before):
            return None
        if visit.imports and visit.failed:
            return None
        return self.met(visit)

    def _over_since(self, visit: Visit, group: Group, lenient: bool) -> bool:
        """Tell whether what was written is in a session that the same request then ended, left, or learnt to be lost.

        What was saved before a login as another, which fails, stays, however many logins followed, saved or not.
        """
        later = visit.groups[visit.groups.index(group) + 1 :]
        drops = {"dropped", "gone", "open"} if visit.failed else set[str]()  # open: it died before it could say so
        if visit.failed and self.history.rules.mode == "server":
            drops.add("saved")
        kept = [after for after in later if after.ends or after.state not in drops]
        if lenient:
            kept = [after for after in kept if after.state != "unknown"]
        lost = any(each.ended > group.ended for each in visit.learns)
        return lost or any(after.anew or (after.fresh and not group.fresh) for after in kept)

    def _logged_in(self, visit: Visit) -> str | None:
        """Return whom a request logged in and not out again; of one that failed, by the last login that stands."""
        stands = [group.login for group in visit.groups if group.login and self._stands(visit, group)]
        return None if not stands or visit.subject is None else stands[-1] if visit.failed else visit.subject

    def _stands(self, visit: Visit, group: Group) -> bool:
        """Tell whether a login or new id stands though the request failed: a cookie that was made goes out."""
        in_cookie = self.history.rules.mode != "server"
        return not visit.failed or (in_cookie and group.state == "saved" and bool(visit.out))
