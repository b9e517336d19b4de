"""What the page shows: the session's values and facts, in the form in which the templates print them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from limpet import Session, SessionManager
from limpet.demo.watch import Answer, Ledger, calls_so_far, in_words

__all__ = ["Line", "Page", "Server", "clock"]


@dataclass(frozen=True, kw_only=True)
class Server:
    """What the page tells about the server that answers.

    Attributes:
        manager: Whose sessions these are.
        store: The store's URL, without what is secret in it.
        ledger: What the last answers did.
        started: When this server began.
        pid: Its process.
    """

    manager: SessionManager
    store: str
    ledger: Ledger
    started: datetime
    pid: int

    @property
    def merges(self) -> bool:
        """Whether two requests at once both count: everywhere but in a cookie."""
        return self.manager.engine.is_server_side

    @property
    def binds(self) -> bool:
        """Whether browsers are asked to bind sessions to their devices."""
        return self.manager.guard is not None

    @property
    def forgets(self) -> bool:
        """Whether sessions end with the process."""
        return self.store.startswith("memory:")

    @property
    def cookie(self) -> str:
        """The attributes of the session cookie, as a Set-Cookie line has them."""
        policy = self.manager.cookie
        said = ["HttpOnly"] * policy.http_only + ["Secure"] * policy.secure
        return "; ".join([*said, f"SameSite={policy.same_site.title()}", f"Path={policy.path}"])


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the cart."""

    item: str
    quantity: int
    price: Decimal
    first: datetime
    last: datetime

    @property
    def amount(self) -> Decimal:
        """What the line costs."""
        return self.price * self.quantity


@dataclass(frozen=True, kw_only=True)
class Page:
    """One rendering of the page.

    Attributes:
        server: Who answers.
        name: Who is signed in, or None.
        exists: Whether there is a session at all.
        tag: The first eight digits of its public id; empty when it lives in a cookie.
        created: When it began, or None.
        signed_in_at: When somebody signed in, or None.
        bound: Whether the session is bound to the device of this browser.
        expires: When it ends if nobody uses it, or None.
        now: The server's time.
        count: The counter.
        cart: The lines of the cart.
        csrf: The token for forms.
        asked: What this page itself asked the store, in words.
        answers: What the answers before it did, newest first.
        ended: The session was just ended, and ``answers`` are the last ones of it.
    """

    server: Server
    name: str | None
    exists: bool
    tag: str
    created: datetime | None
    signed_in_at: datetime | None
    bound: bool
    expires: datetime | None
    now: datetime
    count: int
    cart: Sequence[Line]
    csrf: str
    asked: str
    answers: Sequence[Answer]
    ended: bool

    @classmethod
    def of(cls, session: Session, server: Server, *, after: str | None = None) -> Page:
        """Return the page of a session; ``after`` is the visit that a sign-out has just ended."""
        exists = not session.is_new
        visit = session.get("visit") if exists else after
        answers = server.ledger.of(visit)
        return cls(
            server=server,
            name=session.subject,
            exists=exists,
            tag=(session.public_id or "")[:8],
            created=session.created_at if exists else None,
            signed_in_at=session.authenticated_at,
            bound=session.is_bound,
            expires=session.expires_at if exists else None,
            now=datetime.fromtimestamp(server.manager.clock() / 1000, UTC),
            count=session.get("count", 0),
            cart=sorted((_line(item, kept) for item, kept in session.get("cart", {}).items()), key=_since),
            csrf=session.get("csrf", ""),
            asked=in_words(calls_so_far()),
            answers=answers,
            ended=not exists and bool(answers),
        )

    @property
    def total(self) -> Decimal:
        """What the cart costs."""
        return sum((line.amount for line in self.cart), Decimal("0.00"))

    @property
    def outlived(self) -> bool:
        """Whether the session is older than the server that answers."""
        return self.server.merges and self.created is not None and self.created < self.server.started

    @property
    def left(self) -> str:
        """The time until the session ends, as a person reads it: ``14:59``, ``7:59:59`` or ``29 d 23:59:59``."""
        if self.expires is None:
            return ""
        minutes, seconds = divmod(max(0, int((self.expires - self.now).total_seconds())), 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        if days:
            return f"{days} d {hours}:{minutes:02}:{seconds:02}"
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _line(item: str, kept: dict[str, Any]) -> Line:
    added = kept["added"]
    return Line(item=item, quantity=len(added), price=kept["price"], first=added[0], last=added[-1])


def _since(line: Line) -> datetime:
    return line.first


def clock(moment: datetime) -> Markup:
    """Return a time element; the page's script turns it into the reader's own time zone."""
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), f"{moment:%H:%M:%S} UTC")
