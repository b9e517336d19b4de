"""The account page: where somebody is signed in, and the means to sign out there, after a fresh sign-in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from limpet import Session
from limpet.adapters.fastapi import SessionDep
from limpet.demo.page import Page, Server
from limpet.demo.security import new_token, own_form
from limpet.demo.watch import VISIT
from limpet.directory import SessionInfo

__all__ = ["Device", "routes"]

_HANDHELD: Final = ("Android", "iOS")
_FRESH: Final = 5  # minutes; OWASP ASVS 5.0, 7.5.2: nobody who finds a device unlocked signs its owner out elsewhere

OwnForm = Annotated[Session, Depends(own_form)]
routes: APIRouter = APIRouter(prefix="/account")


@dataclass(frozen=True, kw_only=True)
class Device:
    """One line of the list.

    Attributes:
        public_id: Names the session; useless as a cookie.
        name: The browser and its system, such as ``Firefox 141 on Ubuntu``.
        handheld: It is a phone or a tablet.
        place: The address that it was signed in from, without what names one household; None if it is not known.
        current: It is the one that asks.
        last_seen: When it was last used.
        ago: How long ago that was, in words.
        signed_in_at: When somebody signed in there.
        signed_in: How long ago that was, in words.
    """

    public_id: str
    name: str
    handheld: bool
    place: str | None
    current: bool
    last_seen: datetime
    ago: str
    signed_in_at: datetime
    signed_in: str

    @classmethod
    def of(cls, info: SessionInfo, now: datetime) -> Device:
        """Return what the page shows of a session."""
        signed_in_at = info.authenticated_at or info.created_at
        return cls(
            public_id=info.public_id,
            name="A device that does not say what it is" if info.device == "unknown" else info.device,
            handheld=info.device.endswith(_HANDHELD),
            place=_place(info.address),
            current=info.current,
            last_seen=info.last_seen,
            ago=_ago((now - info.last_seen).total_seconds()),
            signed_in_at=signed_in_at,
            signed_in=_ago((now - signed_in_at).total_seconds()),
        )


@routes.get("")
async def account(request: Request, session: SessionDep) -> Response:
    """Show the devices of the user who is signed in, this one first."""
    server: Server = request.app.state.server
    devices: Sequence[Device] = ()
    messages = session.flashes() if session.subject else []
    await session.save()  # before it is shown, so that this visit is the last one seen
    page = Page.of(session, server)
    if session.subject is not None and server.merges:
        found = await server.manager.sessions_of(session.subject, current=session)
        devices = sorted((Device.of(info, page.now) for info in found), key=lambda device: not device.current)
    view: dict[str, Any] = {
        "page": page,
        "devices": devices,
        "messages": messages,
        "fresh": session.is_fresh(_FRESH),
        "minutes": _FRESH,
    }
    answer: Response = request.app.state.templates.TemplateResponse(request, "account.html", view)
    return answer


@routes.post("/confirm")
async def confirm(request: Request, session: OwnForm) -> Response:
    """Sign in anew under the same name. An application asks for the password here; the demo has none."""
    if session.subject is not None:
        session.login(session.subject)
        new_token(session)
    return _back(request, session)


@routes.post("/sign-out")
async def sign_out(request: Request, session: OwnForm, device: Annotated[str, Form()]) -> Response:
    """Sign out one other device, if it is a device of the same user."""
    server: Server = request.app.state.server
    if session.subject is not None and server.merges and _is_fresh(session):
        found = await server.manager.sessions_of(session.subject, current=session)
        theirs = next((info for info in found if info.public_id == device and not info.current), None)
        if theirs is not None and await server.manager.revoke(device):
            session.flash(f"Signed out: {Device.of(theirs, theirs.last_seen).name}.", "good")
        else:
            session.flash("That device was signed out already.", "good")
    return _back(request, session)


@routes.post("/sign-out-others")
async def sign_out_others(request: Request, session: OwnForm) -> Response:
    """Sign out everywhere but here, also where a sign-in is under way at this moment."""
    server: Server = request.app.state.server
    if session.subject is not None and server.merges and _is_fresh(session):
        ended = await server.manager.revoke_all(session.subject, except_=session)
        session.flash(f"Signed out: {ended} other {'device' if ended == 1 else 'devices'}.", "good")
    return _back(request, session)


def _is_fresh(session: Session) -> bool:
    """Tell whether somebody signed in just now; else say what to do first."""
    if session.is_fresh(_FRESH):
        return True
    session.flash("Confirm first that it is you. Nothing was signed out.", "problem")
    return False


def _back(request: Request, session: Session) -> Response:
    request.scope[VISIT] = session.get("visit")
    return RedirectResponse("/account", 303)


def _place(address: str | None) -> str | None:
    """Return a truncated address as people write it: ``203.0.113.x`` for 203.0.113.0/24, ``2001:db8:7:x`` for a /48."""
    network, cut, _ = (address or "").partition("/")
    return network[:-1] + "x" if cut else address


def _ago(seconds: float) -> str:
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // size)
        if count:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"
