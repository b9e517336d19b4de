"""What is the Nexios adapter's own, beside the documents' rows: imports, mounting, start-up, errors."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import nexios
import pytest

from limpet import ConfigurationError, Keyring, SessionManager, StoreUnavailable
from limpet.adapters.nexios import (
    MakeConfig,
    NexiosApp,
    Request,
    Response,
    Router,
    Session,
    SessionConfig,
    SessionMiddleware,
    SignedSessionManager,
    get_application,
    get_session,
)
from limpet.stores import MemoryStore
from limpet.testing import FakeClock, async_client, client

SECRET = "mQ3x0Jq7bT1vYk9sZr5wLc2hNf8dGp4uEa6iXo-_RtV"


def in_memory(**options: Any) -> NexiosApp:
    """Return an application with sessions in memory."""
    app = NexiosApp()
    app.add_middleware(SessionMiddleware(manager="memory:", **options))
    return app


def test_every_other_name_and_submodule_is_the_frameworks() -> None:
    """What the adapter does not have is the framework's own object, however deep the import goes."""
    from limpet.adapters.nexios import Depend, routing
    from limpet.adapters.nexios.http.request import ClientDisconnect  # type: ignore[import-not-found]
    from limpet.adapters.nexios.middleware.cors import CORSMiddleware  # type: ignore[import-not-found]
    from limpet.adapters.nexios.routing import Group
    from limpet.adapters.nexios.websockets import WebSocket  # type: ignore[import-not-found]

    assert Depend is nexios.Depend
    assert Group is sys.modules["nexios.routing"].Group
    assert routing.Router is Router
    assert ClientDisconnect is sys.modules["nexios.http.request"].ClientDisconnect
    assert CORSMiddleware is sys.modules["nexios.middleware.cors"].CORSMiddleware
    assert WebSocket is sys.modules["nexios.websockets"].WebSocket
    with pytest.raises(ImportError):
        exec("from limpet.adapters.nexios import no_such_name")  # noqa: S102 - only an import line does this
    with pytest.raises(ModuleNotFoundError):
        import_module("limpet.adapters.nexios.no_such_module")


async def test_get_session_is_req_session_with_its_type() -> None:
    """`get_session` gives the object that ``req.session`` and a WebSocket's scope have, with the documents' words."""
    app = in_memory()
    seen: list[bool] = []

    @app.get("/")
    async def page(req: Request, res: Response) -> Response:
        seen.append(get_session(req) is req.session)
        req.session.set_session("n", 1)
        return res.text("ok")

    async def socket(ws: Any) -> None:
        session = get_session(ws)
        seen.append(isinstance(session, Session) and session is ws.scope["session"])
        await ws.accept()
        await ws.send_text(str(session.get_session("n")))
        await ws.close()

    app.ws_route("/socket", socket)
    async with async_client(app) as browser:
        await browser.get("/")
        async with browser.websocket_connect("/socket") as connection:
            assert await connection.receive() == "1"
    assert seen == [True, True]


def test_without_the_middleware_the_error_names_the_cure() -> None:
    """`get_session` in an application without sessions says what to add, and so does `session_manager`."""
    app = NexiosApp()

    @app.get("/")
    async def page(req: Request, res: Response) -> Response:
        with pytest.raises(ConfigurationError, match="SessionMiddleware"):
            get_session(req)
        return res.text("asked")

    assert client(app).get("/").text == "asked"
    with pytest.raises(ConfigurationError, match="add_middleware"):
        app.session_manager  # noqa: B018 - reading it is the test


def test_the_frameworks_own_application_is_refused() -> None:
    """Our middleware in the framework's own application is an error that says which import to change."""
    app = nexios.NexiosApp(debug=False)
    app.add_middleware(SessionMiddleware(secret_key=SECRET))
    response = client(app, raise_server_exceptions=False).get("/")
    assert response.status_code == 500
    with pytest.raises(ConfigurationError, match="import NexiosApp"):
        SessionMiddleware().__call__(None, None, lambda: None).send(None)


def test_middlewares_see_the_session_whatever_their_order() -> None:
    """A middleware that was added later, and so runs before, has the session too, and may write it."""
    app = in_memory()

    async def stamp(req: Any, res: Any, call_next: Any) -> Any:
        req.session.increment("stamps")
        return await call_next()

    app.add_middleware(stamp)

    @app.get("/")
    async def page(req: Request, res: Response) -> Response:
        return res.json(req.session["stamps"])

    browser = client(app)
    assert [browser.get("/").json(), browser.get("/").json()] == [1, 2]
    browser.get("/no/such/page")
    assert browser.get("/").json() == 4


def test_routers_are_mounted_with_everything() -> None:
    """A `Router` of the adapter, mounted, has sessions, signed cookies and undeclared path parameters."""
    app = in_memory(secret_key=SECRET)
    router = Router(prefix="/inner")

    @router.get("/{name}")
    async def inner(req: Request, res: Response) -> Response:
        count = req.session.increment(req.path_params["name"])
        res.set_cookie("last", req.path_params["name"], signed=True)
        return res.json([count, req.get_cookie("last", "none", signed=True)])

    app.mount_router(router)
    browser = client(app)
    assert [browser.get(f"/inner/{name}").json() for name in ("a", "a", "b")] == [[1, "none"], [2, "a"], [1, "a"]]


def test_planted_cookies_hide_no_signed_one() -> None:
    """However many another host of the site has set under its name: what was signed here is read, and nothing else."""
    app = in_memory(secret_key=SECRET)

    @app.get("/put")
    async def put(req: Request, res: Response) -> Response:
        res.set_cookie("last", "tea", signed=True)
        return res.text("")

    @app.get("/look")
    async def look(req: Request, res: Response) -> Response:
        return res.text(req.get_cookie("last", signed=True))

    signed = client(app).get("/put").headers["set-cookie"].partition(";")[0]
    planted = [f"last=planted{number}" for number in range(20)]
    for place in (0, 10, 20):
        line = "; ".join([*planted[:place], signed, *planted[place:]])
        assert client(app).get("/look", headers={"cookie": line}).text == "tea"
    assert client(app).get("/look", headers={"cookie": "; ".join(planted)}).status_code == 500


def test_a_route_class_of_ones_own_is_kept() -> None:
    """An application's own class of routes works on, with the adapter's in front."""
    calls: list[str] = []

    class Loud(nexios.Route):
        async def get_route_handler(self, request: Any, response: Any, **kwargs: Any) -> Any:
            calls.append(self.raw_path)
            return await super().get_route_handler(request, response, **kwargs)

    app = NexiosApp(route_class=Loud)
    app.add_middleware(SessionMiddleware(manager="memory:"))

    @app.get("/{name}")
    async def page(req: Request, res: Response) -> Response:
        return res.json(req.session.get("n"))

    assert client(app).get("/x").json() is None
    assert calls == ["/{name}"]


def test_a_handler_that_takes_everything_gets_everything() -> None:
    """A handler with ``**kwargs`` gets all path parameters; one with some gets those."""
    app = in_memory()

    @app.get("/{a}/{b}")
    async def page(req: Request, res: Response, **rest: str) -> Response:
        return res.json(rest)

    assert client(app).get("/1/2").json() == {"a": "1", "b": "2"}


def test_an_outage_is_answered_by_the_applications_own_handler() -> None:
    """`add_exception_handler` replaces what the adapter answers when the store is away."""
    app = in_memory()

    async def sorry(req: Any, res: Any, error: Exception) -> Any:
        return res.text("back soon", status_code=503)

    @app.get("/")
    async def page(req: Request, res: Response) -> Response:
        raise StoreUnavailable

    assert client(app).get("/").headers["retry-after"] == "1"
    app.add_exception_handler(StoreUnavailable, sorry)
    assert client(app).get("/").text == "back soon"


async def test_configuration_may_come_with_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """A start-up handler may set the key; without one the start succeeds, and the log says what is missing."""
    app = get_application(config=MakeConfig({}))

    @app.get("/")
    async def page(req: Request, res: Response) -> Response:
        return res.json(req.session.increment("n"))

    async with async_client(app):
        assert [record.levelname for record in caplog.records if "secret_key" in record.message] == ["ERROR"]

    async def configure() -> None:
        app.config.secret_key = SECRET

    app.on_startup(configure)
    caplog.clear()
    async with async_client(app) as browser:
        assert (await browser.get("/")).json() == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_the_store_is_closed_before_the_shutdown_is_reported() -> None:
    """When the server hears that the shutdown is complete, the store is closed; it was opened at the start."""
    told: list[str] = []

    class Told(MemoryStore):
        async def open(self) -> None:
            told.append("open")

        async def close(self) -> None:
            told.append("close")

    app = NexiosApp()
    app.add_middleware(SessionMiddleware(manager=SessionManager(Told())))
    incoming = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        return {"type": next(incoming)}

    async def send(message: Any) -> None:
        told.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    assert told == ["open", "lifespan.startup.complete", "close", "lifespan.shutdown.complete"]


def test_a_manager_brings_its_settings() -> None:
    """A `SessionManager` is used as it is: its cookie, its policy, its clock, its secret."""
    clock = FakeClock()
    manager = SessionManager("memory:", secret=SECRET, clock=clock, label="shop")
    app = NexiosApp()
    app.add_middleware(SessionMiddleware(manager=manager))

    @app.get("/")
    async def page(req: Request, res: Response) -> Response:
        req.session["n"] = 1
        return res.json(req.session.get_expiry_age())

    response = client(app).get("/")
    assert app.session_manager is manager
    assert response.headers["set-cookie"].startswith("__Host-Http-session-shop=")
    assert response.json() == 86_400


def test_settings_on_the_middleware_win() -> None:
    """What is given to `SessionMiddleware` goes before what the application is configured with."""
    app = NexiosApp(config=MakeConfig(secret_key="short", session=SessionConfig(session_cookie_name="outer")))
    app.add_middleware(SessionMiddleware(SessionConfig(session_cookie_name="inner"), secret_key=Keyring(SECRET)))
    assert app.session_manager.cookie_name == "inner"
    assert app.session_manager.keyring is not None


def test_signed_cookies_need_a_secret() -> None:
    """Sessions in a store of one's own need no secret; signing a cookie does, and says so."""
    app = in_memory()

    @app.get("/")
    async def page(req: Request, res: Response) -> Response:
        with pytest.raises(ConfigurationError, match="secret_key"):
            res.set_cookie("a", "b", signed=True)
        return res.text("refused")

    assert client(app).get("/").text == "refused"


def test_two_limits_together() -> None:
    """An absolute limit beside the idle one; where the lifetime counts from the beginning, the shorter one holds."""
    both = SessionConfig(session_absolute_timeout=500, session_refresh_each_request=False, expiry=900)
    assert both._settings.policy().absolute_timeout == 500
    rolling = SessionConfig(session_absolute_timeout=5000, expiry=900)._settings.policy()
    assert (rolling.idle_timeout, rolling.absolute_timeout) == (900, 5000)


def test_session_config_is_settled() -> None:
    """A `SessionConfig` cannot be changed behind the application's back; its repr shows what was given."""
    config = SessionConfig(session_cookie_name="a", manager=SignedSessionManager)
    with pytest.raises(AttributeError, match=r"SessionConfig\(cookie_secure="):
        config.cookie_secure = True
    with pytest.raises(AttributeError, match="cookie_colour"):
        config.cookie_colour  # noqa: B018 - reading it is the test
    assert repr(config).startswith("SessionConfig(session_cookie_name='a'")


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (7, "MakeConfig"),
        ({"session": 7}, "SessionConfig"),
        ({"session": {"cookie_path": "/a"}, "session_cookie_path": "/b"}, "given twice"),
        ({"session": {"session_expiration_time": "soon"}}, "expiry|idle_timeout"),
    ],
)
def test_configurations_that_cannot_work(config: Any, complaint: str) -> None:
    """A configuration that cannot work is refused where it is given."""
    with pytest.raises(ConfigurationError, match=complaint):
        NexiosApp(config=config)


def test_the_frameworks_session_login_is_one(tmp_path: Path) -> None:
    """The framework's own ``auth`` keeps its user under ``user``: its login changes the id, like every other."""
    from nexios.auth.backends.session import login
    from nexios.auth.users.simple import SimpleUser

    app = in_memory()

    @app.get("/browse")
    async def browse(req: Request, res: Response) -> Response:
        req.session["seen"] = 1
        return res.text("ok")

    @app.get("/login")
    async def enter(req: Request, res: Response) -> Response:
        login(req, SimpleUser("ann"))
        return res.text("ok")

    browser = client(app, base_url="http://testserver")
    browser.get("/browse")
    before = browser.cookies["session_id"]
    browser.get("/login")
    assert browser.cookies["session_id"] != before
    with browser.session() as session:
        assert session["user"]["id"] == "ann"
