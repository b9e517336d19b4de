"""Nexios, third generation: `NexiosApp`, `SessionConfig`, options, mapping, expiry."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from limpet import ConfigurationError, CookieTooLarge
from limpet.adapters.nexios import MakeConfig, NexiosApp, SessionMiddleware
from limpet.adapters.nexios.session import SessionConfig
from tests.contract.nexios_visits import (
    SECRET,
    attributes,
    configured,
    cookie_lines,
    counting,
    replay,
    turn_clock,
    visitor,
)


def minimal(secret: str = SECRET) -> NexiosApp:
    """Return the smallest application of this generation: the key set late, the middleware an instance."""
    app = NexiosApp()
    app.config.secret_key = secret
    app.add_middleware(SessionMiddleware())
    return counting(app)


def test_n0_01_application_and_config_are_imported_from_the_top() -> None:
    """`NexiosApp` and `MakeConfig` come from the package; the application is the framework's, extended."""
    import nexios

    from limpet.adapters.nexios import MakeConfig, NexiosApp

    assert issubclass(NexiosApp, nexios.NexiosApp)
    assert MakeConfig is nexios.MakeConfig


def test_n0_02_middleware_is_imported_from_its_module() -> None:
    """``session.middleware.SessionMiddleware`` turns sessions on."""
    from limpet.adapters.nexios.session.middleware import SessionMiddleware

    app = NexiosApp(config=MakeConfig(secret_key=SECRET))
    app.add_middleware(SessionMiddleware())
    assert visitor(counting(app)).get("/").text == "1"


def test_n0_03_session_config_is_imported_from_session() -> None:
    """``session.SessionConfig`` is the one that applications read."""
    from limpet.adapters.nexios.session import SessionConfig

    app = NexiosApp(config=MakeConfig(secret_key=SECRET, session=SessionConfig(session_cookie_name="here")))
    app.add_middleware(SessionMiddleware())
    assert cookie_lines(visitor(counting(app)).get("/"), "here")


def test_n0_04_file_backend_is_imported_from_its_module(tmp_path: Path) -> None:
    """``session.file.FileSessionInterface`` as manager keeps files."""
    from limpet.adapters.nexios.session.file import FileSessionInterface

    app = configured(manager=FileSessionInterface, session_file_storage_path=str(tmp_path / "here"))
    visitor(app).get("/")
    assert len(list((tmp_path / "here").glob("*.json"))) == 1


def test_n0_05_cookie_backend_is_imported_from_its_module() -> None:
    """``session.signed_cookies.SignedSessionManager`` as manager keeps nothing on the server."""
    from limpet.adapters.nexios.session.signed_cookies import SignedSessionManager

    browser = visitor(configured(manager=SignedSessionManager))
    browser.get("/")
    assert replay(configured(), browser.cookies["session_id"]).json() == 1


def test_n0_06_base_of_backends_is_imported_from_its_module() -> None:
    """``session.base.BaseSessionInterface`` can be subclassed, and an application takes the class."""
    from limpet.adapters.nexios.session.base import BaseSessionInterface

    kept: dict[str | None, dict[str, Any]] = {}

    class Kept(BaseSessionInterface):
        def load(self) -> None:
            self._data = kept.get(self.session_key, {})

        def save(self) -> None:
            kept[self.get_session_key() or self.generate_sid()] = self._data

    browser = visitor(configured(manager=Kept))
    assert [browser.get("/").text, browser.get("/").text] == ["1", "2"]
    assert len(kept) == 1


def test_n0_07_secret_key_may_be_set_after_construction() -> None:
    """``NexiosApp()`` without arguments has a ``config`` whose ``secret_key`` counts when it is set later."""
    app = NexiosApp()
    app.add_middleware(SessionMiddleware())
    app.config.secret_key = SECRET
    assert visitor(counting(app)).get("/").text == "1"


def test_n0_08_middleware_is_an_instance_that_reads_the_key_at_the_first_request() -> None:
    """``SessionMiddleware()`` has no arguments and may be added long before there is a key."""
    app = NexiosApp()
    app.add_middleware(SessionMiddleware())
    counting(app)
    with pytest.raises(ConfigurationError, match="secret_key"):
        app.session_manager  # noqa: B018 - reading it is the test
    app.config.secret_key = SECRET
    assert visitor(app).get("/").text == "1"


def test_n0_09_visits_are_counted() -> None:
    """One cookie jar sees 1, 2, 3; another begins at 1."""
    app = minimal()
    browser = visitor(app)
    assert [browser.get("/").text for _ in range(3)] == ["1", "2", "3"]
    assert visitor(app).get("/").text == "1"


def test_n0_10_default_backend_keeps_nothing_on_the_server() -> None:
    """A second application with the same key, and nothing else in common, reads the cookie."""
    browser = visitor(minimal())
    browser.get("/")
    browser.get("/")
    assert replay(minimal(), browser.cookies["session_id"]).json() == 2


def test_n0_11_tampered_cookie_is_rejected() -> None:
    """Each changed character makes the cookie worthless: the count starts again."""
    app = minimal()
    browser = visitor(app)
    browser.get("/")
    cookie = browser.cookies["session_id"]
    for place in range(0, len(cookie), 7):
        other = "A" if cookie[place] != "A" else "B"
        assert replay(app, cookie[:place] + other + cookie[place + 1 :], "/").text == "1"
    assert replay(app, cookie, "/").text == "2"


def test_n0_12_cookie_of_another_key_is_rejected() -> None:
    """A cookie that was made under another secret is anonymous."""
    browser = visitor(minimal(SECRET[::-1]))
    browser.get("/")
    assert replay(minimal(), browser.cookies["session_id"], "/").text == "1"


def test_n0_13_config_takes_keywords_and_gives_them_back() -> None:
    """``MakeConfig(secret_key=..., session=SessionConfig(...))`` can be read as attributes, defaults included."""
    config = MakeConfig(secret_key=SECRET, session=SessionConfig(session_cookie_name="shop", expiry=60))
    assert config.secret_key == SECRET
    assert config.session.session_cookie_name == "shop"
    assert config.session.session_expiration_time == 60
    assert config.session.cookie_path == "/"


def test_n0_14_application_takes_the_config() -> None:
    """``NexiosApp(config=...)`` is what ``app.config`` is, and what the sessions follow."""
    config = MakeConfig(secret_key=SECRET)
    app = NexiosApp(config=config)
    app.add_middleware(SessionMiddleware())
    assert app.config is config
    assert visitor(counting(app)).get("/").text == "1"


def test_n0_15_cookie_name_default() -> None:
    """The cookie is called session_id."""
    assert len(visitor(configured()).get("/").headers["set-cookie"].split("session_id=")) == 2


def test_n0_15b_cookie_name_is_honoured() -> None:
    """`session_cookie_name` names it, sent and read."""
    browser = visitor(configured(session_cookie_name="tea_shop"))
    assert len(cookie_lines(browser.get("/"), "tea_shop")) == 1
    assert browser.get("/").text == "2"


def test_n0_16_cookie_path() -> None:
    """`cookie_path` is ``/`` unless said otherwise."""
    assert "Path=/" in attributes(configured())
    assert "Path=/shop" in attributes(configured(cookie_path="/shop"))


def test_n0_17_cookie_domain() -> None:
    """`cookie_domain`: none by default."""
    assert not any(each.startswith("Domain") for each in attributes(configured(cookie_domain=None)))
    assert "Domain=example.com" in attributes(configured(cookie_domain="example.com"))


def test_n0_18_cookie_is_not_secure_by_default_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """`cookie_secure` is False unless said otherwise, as documented; one warning names the cure."""
    app = configured()
    for base_url in ("http://testserver", "https://testserver"):
        assert "Secure" not in attributes(app, base_url=base_url)
    assert [record.levelname for record in caplog.records if "cookie_secure=True" in record.message] == ["WARNING"]


def test_n0_18b_cookie_secure_is_honoured(caplog: pytest.LogCaptureFixture) -> None:
    """``cookie_secure=True`` sets Secure, and there is nothing to warn of."""
    assert "Secure" in attributes(configured(cookie_secure=True), base_url="https://testserver")
    assert not [record for record in caplog.records if record.name == "limpet"]


def test_n0_18c_a_cookie_without_secure_over_https_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Who says ``cookie_secure=False`` is warned once, when a cookie goes out over https."""
    browser = visitor(configured(cookie_secure=False), "http://testserver")
    browser.get("/")
    said = [record.getMessage() for record in caplog.records if record.name == "limpet"]
    assert not said
    for _ in range(2):
        browser.get("https://testserver/")
    said = [record.getMessage() for record in caplog.records if record.name == "limpet"]
    assert ["over https" in sentence for sentence in said] == [True]


def test_n0_19_cookie_httponly() -> None:
    """`cookie_httponly` is True unless said otherwise."""
    assert "HttpOnly" in attributes(configured())
    assert "HttpOnly" not in attributes(configured(cookie_httponly=False))


@pytest.mark.parametrize("value", ["lax", "strict", "none"])
def test_n0_20_cookie_samesite(value: str) -> None:
    """`cookie_samesite` is lax unless said otherwise."""
    assert "SameSite=Lax" in attributes(configured())
    app = configured(cookie_samesite=value, cookie_secure=True)
    assert f"SameSite={value.title()}" in attributes(app, base_url="https://testserver")


@pytest.mark.parametrize("life", [None, 600])
def test_n0_21_expiry(life: int | None) -> None:
    """`expiry` is seconds, 86,400 by default, for cookie and session."""
    check_lifetime("expiry", life)


@pytest.mark.parametrize("life", [None, 600])
def test_n0_22_session_expiration_time(life: int | None) -> None:
    """`session_expiration_time` is the same option under its other name."""
    check_lifetime("session_expiration_time", life)


def check_lifetime(spelling: str, life: int | None) -> None:
    """Check that an option is the lifetime in seconds."""
    app = configured(**({} if life is None else {spelling: life}))
    clock = turn_clock(app)
    browser = visitor(app)
    assert f"Max-Age={life or 86_400}" in browser.get("/").headers["set-cookie"]
    cookie = browser.cookies["session_id"]
    clock.advance((life or 86_400) - 1)
    assert replay(app, cookie).json() == 1
    clock.advance(1)
    assert replay(app, cookie).json() is None


def test_n0_22b_two_spellings_that_disagree_are_refused() -> None:
    """Two different lifetimes at once are an error; the same one twice is not."""
    with pytest.raises(ConfigurationError, match="two spellings"):
        SessionConfig(expiry=60, session_expiration_time=90)
    assert SessionConfig(expiry=60, session_expiration_time=60).expiry == 60


def test_n0_23_manager_default() -> None:
    """Without `manager` the session is in its cookie."""
    browser = visitor(configured())
    browser.get("/")
    assert replay(configured(manager=None), browser.cookies["session_id"]).json() == 1


def with_short_sessions(app: NexiosApp) -> NexiosApp:
    """Add a route that gives the session 1,800 seconds and answers with what is left of them; return the app."""

    @app.post("/short")
    async def short(req: Any, res: Any) -> Any:
        req.session["who"] = "ann"
        req.session.set_expiry(1800)
        return res.json(req.session.get_expiry_age())

    return app


def test_n0_36_set_expiry() -> None:
    """`set_expiry` gives this session another lifetime, in seconds, for the cookie too."""
    app = with_short_sessions(configured())
    turn_clock(app)
    response = visitor(app).post("/short")
    assert response.json() == 1800
    assert "Max-Age=1800" in response.headers["set-cookie"]
    assert "Max-Age=86400" in visitor(app).get("/").headers["set-cookie"]


def test_n0_37_set_expiry_is_enforced() -> None:
    """The server refuses the same cookie after that time, and leaves other sessions alone."""
    app = with_short_sessions(configured())
    clock = turn_clock(app)
    browser, other = visitor(app), visitor(app)
    browser.post("/short")
    other.get("/")
    clock.advance(1799)
    assert len(cookie_lines(replay(app, browser.cookies["session_id"], "/end"))) == 1
    clock.advance(1)
    assert cookie_lines(replay(app, browser.cookies["session_id"], "/end")) == []
    assert other.get("/peek").json() == 1


def test_n0_38_global_expiry_is_enforced_on_the_server() -> None:
    """A cookie that is replayed after its second is over counts for nothing, whatever the browser thinks."""
    app = configured(session_expiration_time=1)
    clock = turn_clock(app)
    browser = visitor(app)
    browser.get("/")
    cookie = browser.cookies["session_id"]
    assert replay(app, cookie).json() == 1
    clock.advance(1.1)
    assert replay(app, cookie).json() is None


def test_n0_39_sessions_last_a_day_by_default() -> None:
    """In the minimal application a session ends 86,400 seconds after its last use."""
    app = minimal()
    clock = turn_clock(app)
    browser = visitor(app)
    browser.get("/")
    clock.advance(86_399)
    assert browser.get("/peek").json() == 1
    clock.advance(86_400)
    assert browser.get("/peek").json() is None


def test_n0_43_a_cookie_that_is_too_large_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Over 4,096 bytes the response is an error that names the size and the cure, and the old cookie stays."""
    app = configured()

    @app.get("/hoard")
    async def hoard(req: Any, res: Any) -> Any:
        req.session["hoard"] = "x" * 5000
        return res.text("done")

    browser = visitor(app)
    browser.get("/")
    with pytest.raises(CookieTooLarge, match=r"over 4096.*'hoard'"):
        browser.get("/hoard")
    response = visitor(app, raise_server_exceptions=False).get("/hoard")
    assert response.status_code == 500
    assert cookie_lines(response) == []
    assert browser.get("/").text == "2"


@pytest.mark.parametrize("missing", [None, "", "  "])
def test_n0_48_a_missing_secret_never_signs(missing: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """An environment variable that is not there is an error that names secret_key, and no cookie is made."""
    app = minimal()
    app.config.secret_key = missing
    caplog.set_level(logging.CRITICAL, "nexios")
    with pytest.raises(ConfigurationError, match="secret_key"):
        app.session_manager  # noqa: B018 - reading it is the test
    browser = visitor(app)
    response = browser.get("/")
    assert response.status_code == 500
    assert "secret_key" in response.text
    assert cookie_lines(response) == []
    assert browser.get("/plain").text == "nothing to remember"


def test_n0_49_secure_cookies() -> None:
    """The three options for careful people, together."""
    app = configured(cookie_secure=True, cookie_httponly=True, cookie_samesite="lax")
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(attributes(app, base_url="https://testserver"))
