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
        if met is None or visit.groups[-1].fresh or token in self._edges:
            return
        if met == self.history.imported or any(group.moves for group in visit.groups):
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
        return self._pids.get(str(visit.seen.public_id))

    def session(self, token: str) -> str:
        """Return the name of the session that an id belongs to."""
        return self._same.find(token)

    def met(self, visit: Visit) -> str | None:
        """Return the session that a request found alive."""
        token = self.met_token(visit)
        return None if token is None else self.session(token)

    def presented(self, visit: Visit) -> set[str]:
        """Return the sessions whose ids a request presented."""
        return {self.session(token) for token in visit.tokens if token in self.issuer}

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
        maker = self.made.get(session, _BEFORE)
        if _logs_in(maker):
            return maker
        edge = self.edge(session)
        return maker if edge is None else self.birth(edge.parent)

    def subject(self, session: str) -> str | None:
        """Return whose a session is."""
        maker = self.made.get(session, _BEFORE)
        if _logs_in(maker):
            return maker.subject
        if maker is _BEFORE:
            return self.history.names.get("ann")
        edge = self.edge(session)
        return None if edge is None else self.subject(edge.parent)

    def home(self, visit: Visit, group: Group) -> str | None:
        """Return the session that what was written belongs to."""
        last = visit.groups[-1]
        if visit.out and (group.fresh or not last.fresh) and not self._over_since(visit, group):
            return self.session(visit.out)
        return None if group.fresh else self.met(visit)

    @staticmethod
    def _over_since(visit: Visit, group: Group) -> bool:
        later = visit.groups[visit.groups.index(group) + 1 :]
        return any(after.ends or (after.fresh and not group.fresh) for after in later)


def _logs_in(visit: Visit) -> bool:
    return visit.subject is not None and any(group.login for group in visit.groups)
