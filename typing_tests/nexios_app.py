"""What type checkers are to make of the Nexios adapter. Checked by `make lint`, run by nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

from limpet import Session as CoreSession
from limpet import SessionManager
from limpet.adapters.nexios import (
    BaseConfig,
    Depend,
    MakeConfig,
    NexiosApp,
    Request,
    Response,
    Router,
    Session,
    SessionConfig,
    SessionMiddleware,
    get_application,
    get_session,
)
from limpet.adapters.nexios.application import NexiosApp as SameApp
from limpet.adapters.nexios.middleware import SessionMiddleware as SameMiddleware
from limpet.adapters.nexios.session.base import BaseSessionInterface
from limpet.adapters.nexios.session.file import FileSessionInterface, FileSessionManager
from limpet.adapters.nexios.session.signed_cookies import SignedSessionManager
from limpet.adapters.nexios.sessions import SessionMiddleware as FileSessionMiddleware

config = MakeConfig(secret_key="a key", session=SessionConfig(manager=FileSessionInterface, expiry=timedelta(hours=1)))
app = NexiosApp(config=config)
app.add_middleware(SessionMiddleware())
app.add_middleware(FileSessionMiddleware)
app.add_middleware(SessionMiddleware(secret_key="a key", cookie_path="/", session_expiration_time=60, max_age=60))
app.add_middleware(SessionMiddleware(SessionConfig(), FileSessionManager(SessionConfig()), "a key"))
app.add_middleware(SessionMiddleware({"cookie_path": "/"}, manager=SignedSessionManager(secret_key="a key")))
SessionMiddleware("a key")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
SessionMiddleware(cookie_pth="/")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
same: SameApp = app
same.add_middleware(SameMiddleware())
assert_type(SignedSessionManager(secret_key="a key").verify_session_data(None), dict[str, Any])
assert_type(app.session_manager, SessionManager)
SessionConfig(cookie_secure="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Config(BaseConfig):
    SESSION_TIMEOUT = 60


assert_type(get_application(config=Config()), NexiosApp)
assert_type(get_application(config=Config), NexiosApp)
router = Router(prefix="/inner")


@app.get("/")
async def handler(req: Request, res: Response, later: object = Depend(lambda: 1)) -> Response:
    session = get_session(req)
    assert_type(session, Session)
    assert_type(req.session, Session)
    core: CoreSession = session
    assert_type(core.subject, str | None)
    session.set_session("a", 1)
    session.set_expiry(timedelta(minutes=5))
    assert_type(session.get_expiry_age(), int)
    assert_type(session.has_expired(), bool)
    res.set_cookie("a", "b", signed=True)
    return res.json({"a"}, status=201)


class Shelf(BaseSessionInterface):
    async def load(self) -> None:
        assert_type(self.session_key, str | None)

    def save(self) -> None:
        assert_type(self.generate_sid(), str)


SessionConfig(manager=Shelf)
