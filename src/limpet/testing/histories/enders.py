"""What can have ended a session, and what must have: the only reasons for which one may be gone or must be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from limpet.testing.histories.deadlines import Deadlines
from limpet.testing.histories.facts import Visit
from limpet.testing.histories.family import Edge, Union

__all__ = ["MINUTE", "Enders"]

MINUTE: Final = 30_000
"""Milliseconds for which an id that was ended is known for certain."""


class Enders(Deadlines):
    """Finds the requests and operators that ended sessions."""

    # -- what may have

    def may(self, session: str, before: int, but: Visit | None = None) -> bool:
        """Tell whether anything that began before a moment can have ended a session, or can end it later."""
        return next(self.possible(session, before, but), None) is not None

    def possible(self, session: str, before: int, but: Visit | None = None) -> Iterator[Visit]:
        """Return what of all that began before a moment can have ended a session."""
        families = self.families
        birth = families.birth(session)
        for visit in families.acts:
            if visit is but or visit.sent >= before:
                continue
            if visit.act.kind in ("request", "open"):
                if self._can_end(visit, session):
                    yield visit
            elif visit.end > birth.sent and self._is_meant(visit, session):
                yield visit
        if self.gave_way(session, before):
            yield self._newer_logins(session, before)[-1]

    def gave_way(self, session: str, before: int) -> bool:
        """Tell whether so many logins came after that of a session that it can have been the oldest."""
        limit = self.rules.max_sessions
        if not self.server or limit is None or self.rules.refuses or self.families.subject(session) is None:
            return False
        return len(self._newer_logins(session, before)) >= limit

    def _can_end(self, visit: Visit, session: str) -> bool:
        families = self.families
        sent = families.presented(visit)
        if not self.server:
            return self._can_end_cookie(visit, session, sent)
        moves, ends = visit.tries
        anonymous = families.subject(session) is None or len(sent) > 1  # with two cookies the handler's is a third one
        empties = any(group.removes for group in visit.groups) and anonymous
        half = len(sent) > 1 and (visit.died or bool(visit.faults))  # it has perhaps ended one of the two
        if session in sent and (ends or empties or (moves and (half or visit.takes_effect))):
            return True
        origins = {edge.parent: edge.mover for edge in families.chain(session) if edge.parent in sent}
        unfinished = any(mover.faults for mover in origins.values())
        if origins and (ends or (empties and unfinished) or (moves and self._imported() in origins)):
            return True  # it may follow to what the session was carried over to, or stop that
        made = families.made.get(session)
        if moves and made is not None and visit is not made and any(group.login for group in visit.groups):
            edge = families.edge(session)
            near = families.near(made, visit) or self._are_joined(made, visit)
            if near or (edge is not None and edge.parent in sent):
                return visit.takes_effect  # two logins of one browser: the later takes the place of the earlier
        if session != self._imported():
            return False
        return visit.imported_again or (visit.imports and visit.died and visit.cut_late)

    def _are_joined(self, one: Visit, other: Visit) -> bool:
        """Tell whether a login of the same subject came with ids of both of two logins: one leads to the other."""
        names = {group.login for group in one.groups} & {group.login for group in other.groups} - {None}
        both = (there for there in self.families.acts if len(there.tokens) > 1 and there is not one)
        logins = (there for there in both if names & {group.login for group in there.groups})
        return any(self.families.near(there, one) and self.families.near(there, other) for there in logins)

    def _imported(self) -> str | None:
        imported = self.families.history.imported
        return None if imported is None else self.families.session(imported)

    def _can_end_cookie(self, visit: Visit, session: str, sent: set[str]) -> bool:
        moves, ends = visit.tries
        moves = moves and bool(visit.out or not visit.failed or visit.died)  # else the browser has nothing in its place
        acts = moves or ends or any(group.removes for group in visit.groups)
        if self.rules.mode == "none" or not acts:
            return False
        families = self.families
        if families.kin(session) in {families.kin(other) for other in sent}:
            return True
        subject = families.subject(session)
        logins = {group.login for group in visit.groups if group.login}
        if self.rules.mode == "epoch" and (ends or len(logins) > 1) and subject in logins:
            return True  # who logs in and is logged out or displaced within a request is logged out everywhere
        return self.rules.mode == "epoch" and subject in {families.subject(other) for other in sent}

    def emptied_meanwhile(self, visit: Visit) -> bool:
        """Tell whether two requests at once changed one list, and one of them not by adding to it: the later stays."""
        near = self._beside(visit)
        told = [there for there in near if any(name == "ValueOverwritten" for _, name in there.events)]
        if "empty" in visit.act.steps:
            return any(there is not visit for there in told)
        emptied = [*near, *(other for there in told for other in self._beside(there))]
        return any("empty" in there.act.steps for there in emptied)

    def _beside(self, visit: Visit) -> list[Visit]:
        return [there for there in self.families.acts if there.sent < visit.end and visit.sent < there.end]

    def was_cut(self, session: str) -> bool:
        """Tell whether what a session came from was ended meanwhile: then it holds only the keys that its login set."""
        return any(self.may_be_over(edge.parent, edge.mover) for edge in self.families.chain(session))

    def is_full(self, visit: Visit, *, old: bool = False) -> bool:
        """Tell whether there can have been as many sessions of a subject as are allowed, without this browser's.

        Args:
            old: The old session of a request is meant, and not its login.
        """
        families, makers = self.families, list[Visit]()
        own = {families.session(token) for token in visit.tokens if visit.alive or not self.grace_is_over(token, visit)}
        subject = self.families.history.names["ann"] if old else visit.subject
        for session in families.sessions():
            made = families.made[session]
            if families.subject(session) != subject or made.sent >= visit.end or session == self._imported():
                continue
            if session in own or self.are_twins(visit, made):
                continue
            known = [other for other in makers if made.tokens and other.tokens == made.tokens]
            if self.must(session, visit.sent) is None and not any(self.are_twins(made, other) for other in known):
                makers.append(made)
        others = [there for there in families.acts if there is not visit]
        lost = sum(there.has_lost(subject) for there in others)
        lost += sum(
            there.imports and not there.out and there.sent < visit.end and visit.sent < there.end for there in others
        )  # of an old session that two requests moved here, or that was logged out meanwhile
        lost += sum(
            self._leaves_one(there, visit, subject) or there.counted_at_once(visit, subject) for there in others
        )  # and with a lock whose time was over, a login is written before it is refused
        lost += sum(there.refused_beside(visit, subject) and self.clock_moved(there) for there in others)
        return self.rules.max_sessions is not None and len(makers) + lost >= self.rules.max_sessions

    def grace_is_over(self, token: str, visit: Visit) -> bool:
        """Tell whether an id was renewed, and the new one has come back."""
        others = [other for other in self.families.ids(self.families.session(token)) if other != token]
        before = (there for there in self.families.history.visits if there.sent < visit.loaded and there is not visit)
        return any(set(others) & set(there.tokens) for there in before)

    def is_unknown_by_now(self, visit: Visit) -> bool:
        """Tell whether an id that a request came with was renewed so long ago that it led nowhere."""
        return any(self.grace_is_over(token, visit) for token in visit.tokens if token in self.families.issuer)

    def _leaves_one(self, there: Visit, visit: Visit, subject: str | None) -> bool:
        """Tell whether a change of id can have a new record, as somebody else has ended the old one.

        It has one for a moment, or for good where its store was gone before it could be taken back.
        """
        families, until = self.families, visit.end if there.loses_its_store else there.end
        stays = there.out and families.subject(families.session(there.out)) == subject  # it is counted already
        if stays or not (there.tries[0] or self.rules.renews) or there.sent >= visit.end or visit.sent >= until:
            return False
        own = [session for session in families.presented(there) if families.subject(session) == subject]
        return any(self.may(session, until, but=there) for session in own)

    def are_twins(self, one: Visit, other: Visit) -> bool:
        """Tell whether two logins came from one browser, by an id that is still known: nobody else ended it."""
        families = self.families
        acts = (there for there in families.acts if there.leaves_its_id and families.near(one, there))
        since = min((there.elapsed for there in acts), default=0)  # that id can have ended since
        if not families.share(one, other) or not self.rules.exact or max(one.until, one.elapsed) - since >= MINUTE:
            return False
        sent = families.presented(one) | families.presented(other)
        over = (self.deadline(each, one) or self.revoked_since(each, families.birth(each), one.end) for each in sent)
        return not any(over)

    def revoked_since(self, session: str, since: Visit, before: int) -> bool:
        """Tell whether an operator ended a session, after or during a request."""
        there = (visit for visit in self.families.acts if visit.sent < before and visit.end > since.sent)
        return any(self._is_meant(visit, session) for visit in there)

    def _is_meant(self, visit: Visit, session: str, *, certain: bool = False) -> bool:
        families = self.families
        kind = visit.act.kind.partition(":")[0]
        match kind:
            case "expiry" | "everyone":
                return True
            case "revoke":
                return families.kin(session) in {families.kin(other) for other in families.presented(visit)}
            case "revoke_all":
                return families.subject(session) == visit.subject
            case "spare":
                return families.subject(session) == visit.subject and not self._is_spared(visit, session, certain)
            case "revoke_tag":
                return families.birth(session).tagged
            case _:
                return False

    def _is_spared(self, visit: Visit, session: str, certain: bool) -> bool:
        """Tell whether a session is the one that stays; what it is carried over to meanwhile may or may not."""
        families = self.families
        if visit.spared is None:
            return False
        spared = families.session(visit.spared)
        return spared == session or (certain and families.kin(spared) == families.kin(session))

    def voids(self, login: Visit, subject: str) -> bool:
        """Tell whether anything can have made a login void while it was under way: a revocation, newer logins."""
        for visit in self.families.acts:
            if visit is login or visit.end <= login.sent or visit.sent >= login.end:
                continue
            kind = visit.act.kind.partition(":")[0]
            tagged = any("tagged" in step for step in login.act.steps)
            if kind == "everyone" or (kind == "revoke_tag" and tagged):
                return True
            if kind in ("revoke_all", "spare") and visit.subject == subject:
                return True
            if self.families.near(visit, login) and any(visit.tries):
                return True
        limit = self.rules.max_sessions
        return limit is not None and len(self._newer(login, subject, login.end)) >= limit

    def _newer_logins(self, session: str, before: int) -> list[Visit]:
        """Return the logins that can count as newer than that of a session, one for each browser."""
        return self._newer(self.families.birth(session), self.families.subject(session), before)

    def _newer(self, birth: Visit, subject: str | None, before: int) -> list[Visit]:
        families, together, newer = self.families, Union(), {}
        for visit in families.acts:
            names = {group.login for group in visit.groups if group.login}
            logs_in = subject in names or (visit.imports and not names)
            if visit is not birth and logs_in and visit.end > birth.sent and visit.sent < before:
                own = f"visit {visit.number}"
                newer[own] = visit
                if self._counts_alone(visit):
                    continue
                known = [token for token in families.goes_by(visit) if not self._is_forgotten(token, visit, before)]
                tells = visit.out and (self.rules.exact or not visit.over)  # a logout notes where a login came from
                for name in (*known[:1], *([families.kin(visit.out or "")] if tells else [])):
                    together.join(name, own)
        return list({together.find(own): visit for own, visit in newer.items()}.values())

    def _counts_alone(self, visit: Visit) -> bool:
        """Tell whether a login took longer than it is known what its id led to, and its browser logged in meanwhile."""
        beside = (there for there in self._beside(visit) if there is not visit and self.families.near(there, visit))
        return visit.until - visit.elapsed >= MINUTE and any(there.tries[0] for there in beside)

    def _is_forgotten(self, token: str, visit: Visit, before: int) -> bool:
        """Tell whether nothing is kept any more by which a login could know whose the id was that it came with."""
        families, session = self.families, self.families.session(token)
        if token in families.issuer:
            birth = families.birth(session)
            if self.revoked_since(session, birth, before) or self._may_have_given_way(session, birth, before):
                return True  # an operator can have ended it, or a limit
        if visit.alive:
            return False
        if token in families.issuer and self.deadline(session, visit):
            return True  # what has expired leaves nothing to go by
        enders = [there.elapsed for there in families.acts if token in there.tokens and there.leaves_its_id]
        return not self.rules.exact or max(visit.until, visit.elapsed) - min(enders) >= MINUTE

    def _may_have_given_way(self, session: str, birth: Visit, before: int) -> bool:
        """Tell whether a limit can have ended a session, each login that came later counted for itself."""
        limit, subject = self.rules.max_sessions, self.families.subject(session)
        if limit is None or self.rules.refuses or subject is None:
            return False
        later = (visit for visit in self.families.acts if visit.end > birth.sent and visit.sent < before)
        logins = (visit.imports or any(group.login == subject for group in visit.groups) for visit in later)
        return sum(logins) > limit  # its own is one of them

    def may_be_over(self, session: str, visit: Visit) -> bool:
        """Tell whether a session can have ended, or reached a deadline, by the end of a request."""
        return self.may(session, visit.end, but=visit) or self.deadline(session, visit, own=True)

    def ended_before_it_was_finished(self, session: str, mover: Visit) -> bool:
        """Tell whether what a change of id could not end can have ended before somebody came with the new id.

        A logout with the new id, which reads nothing, ends both.
        """
        if not mover.may_leave_its_old_id:
            return False
        finished = min((there.end for there in self._finishing(mover, session)), default=mover.end)
        both = {session, self.families.session(mover.out or "")}
        return any(self.may(each, finished, but=mover) for each in both)

    def clock_moved(self, visit: Visit) -> bool:
        """Tell whether time passed during a request."""
        return any(there.moves_the_clock for there in self._beside(visit))

    def was_forgotten(self, visit: Visit) -> bool:
        """Tell whether what ended during a request can have been swept before it was over: a minute had passed."""
        sweeps = [there for there in self.families.acts if there.act.kind == "sweep" and there.sent < visit.end]
        return any(there.until - visit.elapsed >= MINUTE for there in sweeps if visit.sent < there.end)

    # -- what must have

    def must(self, session: str, by: int) -> Visit | None:
        """Return something acknowledged before a moment after which a session must be over, or None."""
        return next((visit for visit in self._certain(session) if visit.end < by), None)

    def _certain(self, session: str) -> Iterator[Visit]:
        families = self.families
        birth, made = families.birth(session), families.made.get(session)
        for visit in families.acts:
            if not visit.ok or visit is made:
                continue
            if visit.act.kind in ("request", "open"):
                if self._has_ended(visit, session):
                    left = visit.may_leave_its_old_id and not visit.over
                    yield from self._finishing(visit, session) if left else (visit,)
            elif self._is_meant(visit, session, certain=True) and birth.end < visit.sent:
                kind = visit.act.kind
                if (
                    kind == "expiry"
                    and made is not None
                    and (made.end > visit.sent or self._used_during(visit, session))
                ):
                    continue
                if kind == "revoke" and (not visit.result or session not in families.presented(visit)):
                    continue
                yield visit

    def _finishing(self, mover: Visit, session: str) -> Iterator[Visit]:
        """Return who came with an id whose change could not be finished, and so ended what a session was there.

        No cookie names another, and no record an old session. A job does not do it: it cannot tell whether the id has
        gone out.
        """
        named = self.server and session != self._imported()
        came = (there for there in self.families.history.visits if named and mover.out in there.tokens)
        return (there for there in came if there.alive and not there.faults and there.act.kind == "request")

    def _used_during(self, act: Visit, session: str) -> bool:
        """Tell whether a request with a session was under way during an act: a use counts from when it began."""
        near = (there for there in self.families.acts if there.sent < act.end and act.sent < there.end)
        return any(session in self.families.presented(there) for there in near)

    def _has_ended(self, visit: Visit, session: str) -> bool:
        families = self.families
        if not self.server:
            return self._has_ended_cookie(visit, session)
        met = families.met(visit)
        sent = families.presented(visit)
        if any(group.state == "told" for group in visit.groups) and not visit.over:
            return False  # its login was void in the end, so the browser keeps what it had
        if len(sent) > 1 and visit.faults:
            return False  # what could not be ended is ended by the next request with the new id
        if met is None and len(sent) == 1 and not visit.alive:
            if not visit.over or self.is_unknown_by_now(visit):
                return False
            return session in sent or any(edge.parent in sent for edge in self._regenerated_meanwhile(visit, session))
        if met is None:
            planted = len(sent) > 1 and not visit.alive and visit.seen is not None  # both were alive, or both were dead
            logs_in = visit.moved and any(group.login for group in visit.groups)
            return planted and session in sent and (visit.over or logs_in)
        if met == session:
            return visit.over or visit.moved or (visit.emptied and self._alone(visit, session))
        if session == self._imported():  # what was taken over from it is it
            return visit.over and any(edge.parent == session for edge in families.chain(met))
        if any(group.state == "told" for group in visit.groups):
            return False  # it knew that its session is over when it logged out
        return visit.over and any(edge.parent == met for edge in self._regenerated_meanwhile(visit, session))

    def _regenerated_meanwhile(self, visit: Visit, session: str) -> Iterator[Edge]:
        """Return the steps by which a session was carried over while a logout of it was under way."""
        for edge in self.families.chain(session):
            if edge.parent == self._imported() or any(group.login for group in edge.mover.groups):
                return
            if visit.until - edge.mover.elapsed >= MINUTE:
                return  # what the old id had led to is forgotten
            if edge.mover.sent < visit.end and visit.sent < edge.mover.end:
                yield edge

    def _alone(self, visit: Visit, session: str) -> bool:
        """Tell whether nobody else did anything with a session during a request."""
        near = (
            other for other in self.families.acts if other is not visit and session in self.families.presented(other)
        )
        return not any(other.sent < visit.end and visit.sent < other.end for other in near)

    def _has_ended_cookie(self, visit: Visit, session: str) -> bool:
        families, met = self.families, self.families.met(visit)
        if met is None or self.rules.mode == "none" or self.deadline(met, visit, own=True):
            return False  # or it was over before
        if met != session and any(group.state == "told" for group in visit.groups):
            return False  # it knew that its session is over when it logged out
        subject = families.subject(met)
        if self.rules.mode == "epoch" and subject is not None:
            birth = families.birth(session)
            return visit.over and families.subject(session) == subject and birth.end < visit.sent
        if self.rules.mode == "denylist" and met == session and visit.moved:
            return not visit.may_leave_its_old_id
        if not visit.over or families.kin(met) != families.kin(session):
            return False
        if session in {edge.parent for edge in families.chain(met) if not edge.mover.may_leave_its_old_id}:
            return True
        return families.birth(session) is families.birth(met)  # another login is another lineage
