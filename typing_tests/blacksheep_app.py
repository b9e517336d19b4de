"""What type checkers are to make of the BlackSheep adapter. Checked by `make lint`, run by nobody."""

from __future__ import annotations

from typing import assert_type

from limpet import CookiePolicy, SessionManager, SessionPolicy
from limpet import Session as CoreSession
from limpet.adapters.blacksheep import Application, Request, Response, Router, get_session, text, use_sessions
from limpet.adapters.blacksheep.server import Application as ServerApplication
from limpet.adapters.blacksheep.sessions import JSONSerializer, SessionMiddleware
from limpet.adapters.blacksheep.sessions.abc import Session, SessionStore
from limpet.adapters.blacksheep.sessions.cookies import CookieSessionStore
from limpet.adapters.blacksheep.sessions.memory import InMemorySessionStore
from limpet.transports import HeaderTransport

app = Application(router=Router())
app.use_sessions("a key", session_cookie="trolley", serializer=JSONSerializer(), session_max_age=60)
app.use_sessions("memory:", transport=HeaderTransport(), policy=SessionPolicy.aal2(), exclude=("/health",))
app.use_sessions(SessionManager("memory:", cookie=CookiePolicy(same_site="strict")), lazy=True)
app.use_sessions(InMemorySessionStore("trolley"))
app.use_sessions(CookieSessionStore("a key", session_max_age=60))
app.middlewares.append(SessionMiddleware(InMemorySessionStore()))
same: ServerApplication = app
use_sessions(app, "memory:")
app.use_sessions(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(app, Application)


def handler(request: Request) -> Response:
    session = get_session(request)
    assert_type(session, Session)
    core: CoreSession = session
    assert_type(core.subject, str | None)
    session.login("ann")
    return text(str(session.increment("visits")))


class Shelf(SessionStore):
    async def load(self, request: Request) -> Session:
        return Session({"a": 1})

    async def save(self, request: Request, response: Response, session: Session) -> None:
        assert_type(session.set("a", 2), None)


app.use_sessions(Shelf())
