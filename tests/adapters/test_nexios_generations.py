"""The session names of each generation of Nexios, through HTTP: keywords, words, shared configuration."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import nexios.config
import pytest
from nexios.session import SessionConfig as NexiosSessionConfig

from limpet import ConfigurationError
from limpet.adapters.nexios import (
    BaseConfig,
    FileSessionInterface,
    FileSessionManager,
    MakeConfig,
    NexiosApp,
    SessionConfig,
    SessionMiddleware,
    SignedSessionManager,
    get_application,
)
from limpet.testing import client
from tests.contract.nexios_visits import SECRET, counting, replay, turn_clock, visitor

OTHER = "Zk3v-8Qw1LrT5yXcB7nMp2aSd9fGh4jKe6uIo0_RtYE"


def with_middleware(*given: Any, **options: Any) -> NexiosApp:
    """Return a counting application with this middleware."""
    app = NexiosApp()
    app.add_middleware(SessionMiddleware(*given, **options))
    return counting(app)


def attributes(response: Any) -> dict[str, str]:
    """Return the attributes of the cookie that a response sets, in lower case."""
    pairs = (part.partition("=") for part in response.headers["set-cookie"].lower().split("; ")[1:])
    return {name: value for name, _, value in pairs}


# -- keywords on the middleware (the current guide)


def test_options_are_keywords_of_the_middleware(tmp_path: Path) -> None:
    """Every documented option, in one call: the cookie has them, and the file is where they say."""
    folder = tmp_path / "sessions"
    app = with_middleware(
        secret_key=SECRET,
        session_cookie_name="nexios_session",
        cookie_path="/",
        cookie_domain=None,
        cookie_secure=True,
        cookie_httponly=True,
        cookie_samesite="strict",
        session_expiration_time=7200,
        manager=FileSessionInterface,
        session_file_storage_path=str(folder),
        session_file_name="session_",
    )
    browser = visitor(app, base_url="https://testserver")
    response = browser.get("/")
    found = attributes(response)
    assert response.headers["set-cookie"].startswith("nexios_session=")
    assert found == {**found, "path": "/", "max-age": "7200", "secure": "", "httponly": "", "samesite": "strict"}
    assert [browser.get("/").text, browser.get("/").text] == ["2", "3"]
    assert [path.name[:8] for path in folder.glob("*.json")] == ["session_"]


def test_a_secret_on_the_middleware_is_enough() -> None:
    """``SessionMiddleware(secret_key=...)`` keeps sessions in cookies, for a day, and refuses those of another key."""
    app = with_middleware(secret_key=SECRET)
    browser = visitor(app)
    assert [browser.get("/").text, browser.get("/").text] == ["1", "2"]
    assert attributes(browser.get("/"))["max-age"] == "86400"
    cookie = browser.cookies["session_id"]
    assert replay(app, cookie).json() == 3
    assert replay(with_middleware(secret_key=OTHER), cookie).json() is None


def test_max_age_is_the_lifetime() -> None:
    """``max_age``, as the reference of the middleware spells it, is seconds, and the server sees to it."""
    app = with_middleware(secret_key=SECRET, max_age=600)
    clock = turn_clock(app)
    browser = visitor(app)
    browser.get("/")
    cookie = browser.cookies["session_id"]
    clock.advance(599)
    assert replay(app, cookie).json() == 1
    clock.advance(62)
    assert replay(app, cookie).json() is None


def test_keywords_go_before_the_application_and_beside_a_config() -> None:
    """A keyword overrides the application's section; a config takes its place; a keyword completes a config."""
    config = MakeConfig(secret_key=SECRET, session=SessionConfig(session_cookie_name="outer", cookie_samesite="strict"))
    for given, options, name, same_site in (
        ((), {"session_cookie_name": "inner"}, "inner", "strict"),
        ((SessionConfig(session_cookie_name="whole"),), {}, "whole", "lax"),
        (
            (SessionConfig(session_cookie_name="whole"),),
            {"cookie_samesite": "none", "cookie_secure": True},
            "whole",
            "none",
        ),
    ):
        app = NexiosApp(config=config)
        app.add_middleware(SessionMiddleware(*given, **options))
        cookie = app.session_manager.cookie
        assert (app.session_manager.cookie_name, cookie.same_site) == (name, same_site)


@pytest.mark.parametrize(
    "section",
    [
        {"session_cookie_name": "x", "session_permanent": False},
        MakeConfig({"session_cookie_name": "x", "session_permanent": False}),
        MakeConfig({"secret_key": SECRET, "session": {"session_cookie_name": "x", "session_permanent": False}}),
        NexiosSessionConfig(session_cookie_name="x", session_permanent=False, session_cookie_secure=False),
    ],
    ids=["dict", "MakeConfig", "with a section", "Nexios' own SessionConfig"],
)
def test_a_config_of_any_make(section: Any) -> None:
    """What stands for a `SessionConfig` in some generation is taken as one."""
    middleware = SessionMiddleware(section, secret_key=SECRET)
    assert middleware.session_config.session_cookie_name == "x"
    app = NexiosApp()
    app.add_middleware(middleware)
    response = visitor(counting(app)).get("/")
    assert response.headers["set-cookie"].startswith("x=")
    assert "max-age" not in attributes(response)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: SessionMiddleware("a secret"), "secret_key="),  # type: ignore[arg-type]
        (lambda: SessionMiddleware(SECRET.encode()), "secret_key="),  # type: ignore[arg-type]
        (lambda: SessionMiddleware(7), "SessionConfig, not as int"),  # type: ignore[arg-type]
        (lambda: SessionMiddleware(cookie_pth="/a"), "cookie_pth"),  # type: ignore[call-arg]
        (lambda: SessionMiddleware(cookie_path="/a", session_cookie_path="/b"), "two spellings"),
        (lambda: SessionMiddleware(SessionConfig(cookie_path="/a"), cookie_path="/b"), "given twice"),
        (lambda: SessionMiddleware(cookie_samesite="none"), "secure=True"),
        (lambda: SessionConfig("session_id"), "by name"),
        (lambda: SessionConfig(secret_key=SECRET), "beside the section"),  # type: ignore[call-arg]
        (lambda: SignedSessionManager("a secret"), "secret_key="),
        (lambda: FileSessionManager("sessions"), "SessionConfig, not as str"),
        (lambda: SignedSessionManager(secret_key=""), "empty"),
        (lambda: SignedSessionManager().sign_session_data({}), "secret_key"),
    ],
)
def test_mistakes_get_a_sentence(make: Any, complaint: str) -> None:
    """What stands in another's place is refused where it is given, with what to write instead."""
    with pytest.raises(ConfigurationError, match=complaint):
        make()


def test_the_one_added_last_serves(caplog: pytest.LogCaptureFixture) -> None:
    """Two middlewares in one application, as a page of samples adds them: the last one serves, and the log says so."""
    app = NexiosApp()
    app.add_middleware(SessionMiddleware(secret_key=SECRET, session_cookie_name="first"))
    app.add_middleware(SessionMiddleware(secret_key=SECRET, session_cookie_name="second"))
    assert sum("added twice" in record.message for record in caplog.records) == 1
    app.add_middleware(SessionMiddleware)  # says nothing, so that nothing changes
    assert sum("added twice" in record.message for record in caplog.records) == 1
    assert visitor(counting(app)).get("/").headers["set-cookie"].startswith("second=")


# -- words of the session of a request


def test_expiration_time_of_a_request() -> None:
    """`get_expiration_time` is a time, `set_expiration_time` takes one, `should_set_cookie` and `deleted` are flags."""
    app = with_middleware(secret_key=SECRET, session_expiration_time=600)
    clock = turn_clock(app)
    now = datetime.fromtimestamp(clock() / 1000, UTC)

    @app.get("/words")
    async def words(req: Any, res: Any) -> Any:
        session = req.session
        seen = [session.should_set_cookie, session.deleted, (session.get_expiration_time() - now).total_seconds()]
        session["a"] = 1
        seen += [session.should_set_cookie, list(session.get_all())]
        session.set_expiration_time(now + timedelta(seconds=30))
        with pytest.raises(ConfigurationError, match="zone"):
            session.set_expiration_time(datetime(2030, 1, 1))
        return res.json(seen)

    @app.get("/left")
    async def left(req: Any, res: Any) -> Any:
        seconds = (req.session.get_expiration_time() - now).total_seconds()
        req.session.clear()
        return res.json([seconds, req.session.deleted])

    browser = visitor(app)
    response = browser.get("/words")
    assert response.json() == [False, False, 600.0, True, [["a", 1]]]
    assert attributes(response)["max-age"] == "30"
    assert browser.get("/left").json() == [30.0, True]


# -- configuration that is set for all


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return ``set_config`` of Nexios, whose global is taken back afterwards."""
    monkeypatch.setattr(nexios.config, "_global_config", None)
    return import_module("limpet.adapters.nexios.config").set_config


def test_set_config_is_what_an_application_falls_back_on(shared: Any) -> None:
    """`set_config` gives the key and the options of every application that says nothing itself."""
    shared(MakeConfig(secret_key=SECRET, session={"session_cookie_name": "shared"}))
    app = counting(NexiosApp())
    app.add_middleware(SessionMiddleware())
    browser = visitor(app)
    assert [browser.get("/").text, browser.get("/").text] == ["1", "2"]
    assert "shared" in browser.cookies
    own = NexiosApp(config=MakeConfig(secret_key=OTHER, session=SessionConfig(session_cookie_name="own")))
    own.add_middleware(SessionMiddleware())
    assert own.session_manager.cookie_name == "own"
    assert replay(counting(own), browser.cookies["shared"], name="own").json() is None


def test_one_application_never_gets_the_key_of_another(shared: Any) -> None:
    """Without `set_config` nothing is shared: the second application has no key, and says so."""
    NexiosApp(config=MakeConfig(secret_key=SECRET)).add_middleware(SessionMiddleware())
    app = NexiosApp()
    app.add_middleware(SessionMiddleware())
    with pytest.raises(ConfigurationError, match="secret_key"):
        app.session_manager  # noqa: B018 - reading it is the test


@pytest.mark.parametrize("make", [NexiosApp, get_application])
@pytest.mark.parametrize("style", ["MakeConfig", "dict", "BaseConfig"])
def test_the_config_is_the_first_argument(make: Any, style: str) -> None:
    """``NexiosApp(config)``, as the first generations have it; ``NexiosApp(False)`` is today's ``debug``."""

    class Settings(BaseConfig):
        SECRET_KEY = SECRET

    config = {"MakeConfig": MakeConfig(secret_key=SECRET), "dict": {"secret_key": SECRET}, "BaseConfig": Settings()}[
        style
    ]
    app = counting(make(config))
    app.add_middleware(SessionMiddleware())
    browser = client(app, base_url="http://testserver")
    assert [browser.get("/").text, browser.get("/").text] == ["1", "2"]
    assert NexiosApp(False).debug is False


def test_directory_and_prefix_are_options(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The section of the second generation: ``app.config.session = {...}`` with ``directory`` and ``prefix``."""
    app = counting(NexiosApp())
    app.config.secret_key = SECRET
    app.config.session = {
        "manager": FileSessionInterface,
        "directory": str(tmp_path),
        "prefix": "session_",
        "expiry": 60,
    }
    app.add_middleware(SessionMiddleware())
    with caplog.at_level(logging.ERROR):
        assert visitor(app).get("/").text == "1"
    assert [path.name[:8] for path in tmp_path.glob("*.json")] == ["session_"]
    assert not caplog.records


def test_regenerate_and_copy() -> None:
    """The documented way to change the id before a login: copy, `regenerate`, `update`. The data stays, the id goes."""
    app = with_middleware(manager="memory:")

    @app.get("/login")
    async def login(req: Any, res: Any) -> Any:
        before = dict(req.session)
        req.session.regenerate()
        req.session.update(before)
        return res.text("ok")

    browser = visitor(app)
    browser.get("/")
    cookie = browser.cookies["session_id"]
    browser.get("/login")
    assert browser.cookies["session_id"] != cookie
    assert browser.get("/").text == "2"
    assert replay(app, cookie).json() is None
