"""What the page answers: the overview, one session, and the confirmation before sessions are ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from limpet._core.session import Session, backend_of
from limpet.admin import chart
from limpet.admin.book import Book, Listing, is_part_of_id
from limpet.admin.census import Census
from limpet.admin.guard import Seal
from limpet.admin.history import History
from limpet.admin.pages import Pages
from limpet.errors import StoreUnavailable
from limpet.events import acting
from limpet.manager import SessionManager

__all__ = ["STRANGER", "Views", "Visit"]

STRANGER: Final = "This page is for operators only"
GONE: Final = "This session has ended"
_ROWS: Final = 50  # sessions on one page
_RANGES: Final = {"hour": (1, 60), "day": (30, 48)}  # minutes in a span, spans in the chart
_LONGEST: Final = 300  # characters that are searched for


Who: TypeAlias = Callable[[Request], str]
"""Names the operator who sends a request."""


@dataclass(slots=True)
class Visit:
    """One request, after it was found to be allowed.

    Attributes:
        request: The request.
        base: The path under which the page is mounted.
        seal: Makes the tokens of its forms.
        form: What was sent, if it is a form.
    """

    request: Request
    base: str
    seal: Seal
    form: FormData | None = None
    query: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.query = self.request.query_params

    def url(self, path: str = "/", **query: str | None) -> str:
        """Return the address of one of the pages."""
        given = {name: value for name, value in query.items() if value is not None}
        return f"{self.base}{path}" + (f"?{urlencode(given, errors='replace')}" if given else "")

    def sealed(self, name: str) -> str | None:
        """Return a value from the query that this page itself has put there; None for what anybody else has."""
        value = self.query.get(name)
        if value is None or not self.seal.fits(self.query.get("seal", ""), name, value):
            return None
        return value

    def confirmed(self, *purpose: str) -> bool:
        """Tell whether the form carries the token of its confirmation."""
        token = None if self.form is None else self.form.get("token")
        return isinstance(token, str) and self.seal.fits(token, *purpose)


class Views:
    """The answers about one manager's sessions.

    Args:
        manager: Whose sessions.
        show_values: The page of a session shows its values.
    """

    def __init__(self, manager: SessionManager, *, show_values: bool, who: Who | None = None) -> None:
        self._manager = manager
        self._who = who
        self._pages = Pages()
        self._book = Book(manager, show_values=show_values)
        self._census = Census(manager, self._book)
        self._history = History(manager.clock, manager.engine.tracer)
        manager.engine.tracer = self._history
        manager.listen(self._history.note)

    async def answer(self, name: str, visit: Visit, *arguments: str) -> Response:
        """Answer a request for the page of that name.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        if name == "overview":
            return await self._overview(visit)
        if name == "live":
            return await self._live(visit)
        if not self._manager.engine.is_server_side and name != "end_all":
            return self.refused(visit, "These sessions live in their cookies and cannot be looked at", status=404)
        if name == "session":
            return await self._session(visit, *arguments)
        return await (self._end(visit, *arguments) if name == "end" else self._end_all(visit))

    def refused(self, visit: Visit, title: str, *, status: int) -> Response:
        """Say in a page of its own why there is nothing to be had."""
        view = {"visit": visit, "manager": self._manager, "title": title, "code": status, "gone": title == GONE}
        view["stranger"] = title == STRANGER
        return self._pages.render("refused.html", view, status)

    def unavailable(self, visit: Visit, error: StoreUnavailable) -> Response:
        """Say that the store does not answer; what this process has seen is there all the same."""
        answer = self.refused(visit, "The session store does not answer", status=HTTPStatus.SERVICE_UNAVAILABLE)
        answer.headers["retry-after"] = str(error.retry_after)
        return answer

    # -- looking

    async def _overview(self, visit: Visit) -> Response:
        wanted = visit.query.get("q", "").strip()[:_LONGEST] if self._manager.engine.is_server_side else ""
        if wanted and await self._book.facts(wanted) is not None:
            return self._redirect(visit, visit.url(f"/id/{wanted}"))
        found, failed = Listing(rows=()), False
        if self._manager.engine.is_server_side:
            try:
                found = await self._search(visit, wanted)
                if self._book.scans and not wanted and found.following is None and visit.sealed("after") is None:
                    self._census.take(found.rows)  # the list is all there is: count and list are one
            except StoreUnavailable:
                failed = True
        following = None
        if found.following is not None and not wanted:
            following = visit.url(after=found.following, seal=visit.seal.token("after", found.following))
        view = {
            **({} if wanted else await self._figures(visit, lost=failed)),
            "wanted": wanted,
            "found": found,
            "failed": failed,
            "following": following,
            "first": visit.sealed("after") is None,
            "told": visit.sealed("told"),
            "own": self._own_id(visit),
            "now": self._manager.clock(),
        }
        return self._render(visit, "overview.html", view, status=503 if failed else 200)

    async def _search(self, visit: Visit, wanted: str) -> Listing:
        if not wanted:
            return await self._book.page(visit.sealed("after"), _ROWS) if self._book.scans else Listing(rows=())
        found = await self._book.of_subject(wanted)
        if not found.rows and self._book.scans and is_part_of_id(wanted):
            return await self._book.beginning_with(wanted)
        return found

    async def _live(self, visit: Visit) -> Response:
        """Answer with the figures alone, for the page's script."""
        return self._render(visit, "figures.html", await self._figures(visit))

    async def _figures(self, visit: Visit, *, lost: bool = False) -> dict[str, Any]:
        """Return what the figures show; ``lost``: the store has just failed to answer, and is not asked again."""
        span = visit.query.get("range", "hour")
        span = span if span in _RANGES else "hour"
        spans = self._history.spans(*_RANGES[span])
        count = None
        if self._book.scans and not lost:
            try:
                count = await self._census.look()
            except StoreUnavailable:
                lost = True
        return {
            "span": span,
            "spans": spans,
            "count": count,
            "lost": lost,
            "totals": self._history.totals,
            "began": self._history.began,
            "now": self._manager.clock(),
            "process": os.getpid(),
            "logins": chart.login_chart(spans),
            "latency": chart.latency_chart(spans),
        }

    async def _session(self, visit: Visit, public_id: str) -> Response:
        facts = await self._book.facts(public_id)
        if facts is None:
            return self.refused(visit, GONE, status=404)
        if facts.info.public_id != public_id:  # a renewal has given it another
            return self._redirect(visit, visit.url(f"/id/{facts.info.public_id}"))
        others = 0
        if facts.info.subject is not None and self._book.finds:
            others = len((await self._book.of_subject(facts.info.subject)).rows) - 1
        view = {"facts": facts, "others": others, "own": self._own_id(visit), "now": self._manager.clock()}
        return self._render(visit, "session.html", view)

    # -- ending

    async def _end(self, visit: Visit, public_id: str) -> Response:
        if visit.confirmed("end", public_id):
            facts = await self._book.facts(public_id)
            with self._acting(visit):
                ended = await self._manager.revoke(public_id)
            told = "One session was ended." if ended else "That session had ended already."
            return self._tell(visit, told, facts.info.subject if facts else None)
        facts = await self._book.facts(public_id)
        if facts is None:
            return self.refused(visit, GONE, status=404)
        view = {
            "facts": facts,
            "token": visit.seal.token("end", public_id),
            "stale": visit.form is not None,
            "own": self._own_id(visit),
            "now": self._manager.clock(),
        }
        return self._render(visit, "end.html", view, status=403 if visit.form is not None else 200)

    async def _end_all(self, visit: Visit) -> Response:
        subject = visit.query.get("subject", "")
        if not self._book.ends_all or not subject:
            return self.refused(visit, "All sessions of somebody cannot be ended here", status=404)
        if visit.confirmed("end-all", subject):
            assert visit.form is not None
            own = self._own(visit)
            spared = own if visit.form.get("spare") and own is not None and own.subject == subject else None
            with self._acting(visit):
                ended = await self._manager.revoke_all(subject, except_=spared)
            told = f"{ended} sessions were ended." if ended != 1 else "One session was ended."
            if not self._manager.engine.is_server_side:
                told = f"Every session of {subject} that began before now has ended."
            return self._tell(visit, told, subject)
        rows = (await self._book.of_subject(subject)).rows
        if not rows and self._manager.engine.is_server_side:
            return self.refused(visit, "They have no sessions any more", status=404)
        own_id = self._own_id(visit)
        view = {
            "subject": subject,
            "rows": rows,
            "token": visit.seal.token("end-all", subject),
            "stale": visit.form is not None,
            "own": own_id if any(row.public_id == own_id for row in rows) else None,
            "now": self._manager.clock(),
        }
        return self._render(visit, "end_all.html", view, status=403 if visit.form is not None else 200)

    def _acting(self, visit: Visit) -> AbstractContextManager[None]:
        """Let audit lines say which operator ends sessions, and what for."""
        request, own = visit.request, self._own(visit)
        if self._who is not None:
            name = self._who(request)
        elif own is not None and own.subject is not None:
            name = own.subject
        else:
            name = request.client.host if request.client is not None else "somebody"
        why = visit.form.get("why") if visit.form is not None else None
        return acting(f"{name} (admin page)", why=why.strip() if isinstance(why, str) else None)

    def _tell(self, visit: Visit, told: str, subject: str | None) -> Response:
        """Go back to the list, which says what was done."""
        self._census.forget()
        return self._redirect(visit, visit.url(q=subject, told=told, seal=visit.seal.token("told", told)))

    # -- answers

    def _own(self, visit: Visit) -> Session | None:
        """Return the session of the operator, if it is one of this manager's."""
        held: tuple[Session, ...] = visit.request.scope.get("limpet", ())
        return next(
            (
                session
                for session in held
                if backend_of(session) is self._manager.engine and session.public_id is not None
            ),
            None,
        )

    def _own_id(self, visit: Visit) -> str | None:
        own = self._own(visit)
        return None if own is None else own.public_id

    def _render(self, visit: Visit, template: str, view: Mapping[str, Any], *, status: int = 200) -> Response:
        facts = {"book": self._book, "manager": self._manager, "visit": visit, "acts": self._history.acts}
        answer = self._pages.render(template, {**facts, **view}, status)
        visit.seal.hand_out(answer)
        return answer

    def _redirect(self, visit: Visit, url: str) -> Response:
        answer = RedirectResponse(url, HTTPStatus.SEE_OTHER, self._pages.headers)
        visit.seal.hand_out(answer)
        return answer
