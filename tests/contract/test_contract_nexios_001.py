"""Nexios, first generation: `get_application`, a dict as configuration, `set_session`."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from limpet import ConfigurationError
from limpet.adapters.nexios import MakeConfig, NexiosApp, SessionMiddleware, get_application
from limpet.adapters.nexios.session.base import BaseSessionInterface
from limpet.adapters.nexios.sessions.file import FileSessionManager
from tests.contract.nexios_visits import (
    SECRET,
    attributes,
    cookie_lines,
    counting,
    replay,
    turn_clock,
    visitor,
)


def application(**section: Any) -> NexiosApp:
    """Return a counting application of this generation with these options in its section."""
    return counting(get_application(config=MakeConfig({"secret_key": SECRET, "session": section})))


def with_words(app: NexiosApp) -> NexiosApp:
    """Add routes that use this generation's words; return the app."""

    @app.get("/set/{key}/{value}")
    async def set_value(req: Any, res: Any) -> Any:
        req.session.set_session(req.path_params.key, req.path_params.value)
        return res.json({"kept", "under its key"})

    @app.get("/get/{key}")
    async def get_value(req: Any, res: Any) -> Any:
        return res.json(req.session.get_session(req.path_params.key))

    @app.get("/delete/{key}")
    async def delete_value(req: Any, res: Any) -> Any:
        req.session.delete_session(req.path_params.key)
        return res.json(sorted(req.session))

    @app.get("/expired")
    async def expired(req: Any, res: Any) -> Any:
        return res.json(req.session.has_expired())

    return app


def test_n1_01_names_are_imported_from_the_top() -> None:
    """`get_application` and `MakeConfig` come from the package, and make an application that runs."""
    from limpet.adapters.nexios import MakeConfig, get_application

    app = get_application(MakeConfig({"secret_key": SECRET}))
    assert visitor(counting(app)).get("/").text == "1"


def test_n1_02_config_is_a_dict_with_a_section() -> None:
    """``MakeConfig({...})`` takes one dict with a nested one under "session"."""
    app = counting(get_application(config=MakeConfig({"secret_key": SECRET, "session": {"session_cookie_name": "a"}})))
    assert len(cookie_lines(visitor(app).get("/"), "a")) == 1


def test_n1_03_sessions_need_no_middleware_line() -> None:
    """The configuration alone turns sessions on; adding the middleware as well changes nothing."""
    app = application()
    app.add_middleware(SessionMiddleware)
    app.add_middleware(SessionMiddleware())
    browser = visitor(app)
    assert [browser.get("/").text, browser.get("/").text] == ["1", "2"]
    assert len(cookie_lines(browser.get("/"))) == 1


def test_n1_04_set_session() -> None:
    """`set_session` keeps a value for the next request, and replaces the one that was there."""
    browser = visitor(with_words(application()))
    for name in ("ines", "rui"):
        assert len(cookie_lines(browser.get(f"/set/name/{name}"))) == 1
        assert browser.get("/get/name").json() == name


def test_n1_05_get_session() -> None:
    """`get_session` returns what is kept under a key; an absent one is None."""
    browser = visitor(with_words(application()))
    browser.get("/set/name/ines")
    assert browser.get("/get/name").json() == "ines"
    assert browser.get("/get/other").json() is None


def test_n1_06_delete() -> None:
    """`delete_session` removes a key for the next request too; an absent one is no error."""
    browser = visitor(with_words(application()))
    browser.get("/set/name/ines")
    browser.get("/set/town/faro")
    assert browser.get("/delete/name").json() == ["town"]
    assert browser.get("/delete/name").json() == ["town"]
    assert browser.get("/get/name").json() is None


def test_n1_07_has_expired() -> None:
    """`has_expired` is False for a live session and without one; True once its deadline has passed meanwhile."""
    app = with_words(application())
    clock = turn_clock(app)

    @app.get("/slow")
    async def slow(req: Any, res: Any) -> Any:
        before = req.session.has_expired()
        clock.advance(timedelta(days=2))
        return res.json([before, req.session.has_expired()])

    browser = visitor(app)
    assert browser.get("/expired").json() is False
    browser.get("/set/name/ines")
    assert browser.get("/expired").json() is False
    assert browser.get("/slow").json() == [False, True]


def test_n1_08_without_a_secret_key_the_error_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Using a session without ``secret_key`` names it; a page without sessions is served."""
    caplog.set_level(logging.CRITICAL, "nexios")
    app = with_words(get_application(config=MakeConfig({})))
    response = visitor(app).get("/set/a/b")
    assert response.status_code == 500
    assert "secret_key" in response.text
    assert visitor(counting(app)).get("/plain").status_code == 200


def test_n1_09_an_empty_section_is_fine() -> None:
    """``"session": {}`` means the defaults."""
    assert visitor(application()).get("/").text == "1"


def test_n1_10_cookie_name() -> None:
    """The cookie is session_id unless `session_cookie_name` says otherwise."""
    assert len(cookie_lines(visitor(application()).get("/"), "session_id")) == 1
    assert len(cookie_lines(visitor(application(session_cookie_name="mine")).get("/"), "mine")) == 1


def test_n1_11_cookie_domain() -> None:
    """`session_cookie_domain`."""
    assert "Domain=example.com" in attributes(application(session_cookie_domain="example.com"))


def test_n1_12_cookie_path() -> None:
    """`session_cookie_path`."""
    assert "Path=/deep" in attributes(application(session_cookie_path="/deep"))


def test_n1_13_cookie_httponly() -> None:
    """`session_cookie_httponly` is on unless switched off."""
    assert "HttpOnly" in attributes(application())
    assert "HttpOnly" in attributes(application(session_cookie_httponly=True))
    assert "HttpOnly" not in attributes(application(session_cookie_httponly=False))


def test_n1_14_cookie_secure() -> None:
    """`session_cookie_secure`."""
    assert "Secure" in attributes(application(session_cookie_secure=True), base_url="https://testserver")
    assert "Secure" not in attributes(application())


@pytest.mark.parametrize("value", ["None", "Lax", "Strict"])
def test_n1_15_cookie_samesite(value: str) -> None:
    """`session_cookie_samesite` is capitalised in this generation."""
    app = application(session_cookie_samesite=value, session_cookie_secure=True)
    assert f"SameSite={value}" in attributes(app, base_url="https://testserver")


def test_n1_16_cookie_partitioned() -> None:
    """`session_cookie_partitioned`; without Secure, which browsers demand for it, it is refused."""
    app = application(session_cookie_partitioned=True, session_cookie_secure=True)
    assert "Partitioned" in attributes(app, base_url="https://testserver")
    assert "Partitioned" not in attributes(application())
    with pytest.raises(ConfigurationError, match="partitioned=True"):
        application(session_cookie_partitioned=True)


def test_n1_17_lifetime_in_minutes(caplog: pytest.LogCaptureFixture) -> None:
    """A number in this section is minutes; a notice names the seconds it became, once."""
    app = application(session_expiration_time=1440)
    browser = visitor(app)
    assert "Max-Age=86400" in browser.get("/").headers["set-cookie"]
    browser.get("/")
    notices = [record.message for record in caplog.records if "minutes" in record.message]
    assert len(notices) == 1
    assert "86400 seconds" in notices[0]
    assert (
        "Max-Age=90"
        in visitor(application(session_expiration_time=timedelta(seconds=90))).get("/").headers["set-cookie"]
    )


def test_n1_17b_lifetime_default() -> None:
    """Without the option a session lasts one day."""
    app = application()
    clock = turn_clock(app)
    browser = visitor(app)
    browser.get("/")
    cookie = browser.cookies["session_id"]
    clock.advance(86_399)
    assert replay(app, cookie).json() == 1
    clock.advance(1)
    assert replay(app, cookie).json() is None


def test_n1_17c_lifetime_is_enforced_on_the_server() -> None:
    """After its minutes a replayed cookie counts for nothing."""
    app = application(session_expiration_time=2)
    clock = turn_clock(app)
    browser = visitor(app)
    browser.get("/")
    cookie = browser.cookies["session_id"]
    clock.advance(119)
    assert replay(app, cookie).json() == 1
    clock.advance(1)
    assert replay(app, cookie).json() is None


def test_n1_18_permanent() -> None:
    """`session_permanent` lets the cookie survive a restart of the browser; so it is by default."""
    for app in (application(session_permanent=True), application()):
        assert "Max-Age=86400" in attributes(app)


def test_n1_18b_not_permanent() -> None:
    """Without it the cookie goes with the browser, and the server ends the session all the same."""
    app = application(session_permanent=False)
    clock = turn_clock(app)
    assert not [each for each in attributes(app) if each.startswith(("Max-Age", "Expires"))]
    browser = visitor(app)
    browser.get("/")
    clock.advance(86_400)
    assert browser.get("/peek").json() is None


@pytest.mark.parametrize("manager", [None, FileSessionManager], ids=["cookie", "file"])
def test_n1_19_refresh_each_request(tmp_path: Path, manager: Any) -> None:
    """With `session_refresh_each_request` a request that does not touch the session renews it and its cookie."""
    app = application(session_refresh_each_request=True, manager=manager, session_dir=str(tmp_path))
    clock = turn_clock(app)
    browser = visitor(app)
    assert cookie_lines(browser.get("/plain")) == [], "there is no session yet"
    browser.get("/")
    for path in ("/plain", "/no/such/page", "/peek", "/"):
        clock.advance(80_000)
        [line] = cookie_lines(browser.get(path))
        assert "Max-Age=86400" in line
    assert browser.get("/peek").json() == 2


@pytest.mark.parametrize("manager", [None, FileSessionManager], ids=["cookie", "file"])
def test_n1_19b_no_refresh(tmp_path: Path, manager: Any) -> None:
    """Without it an untouched request sets nothing, and the lifetime counts from the beginning."""
    app = application(session_refresh_each_request=False, manager=manager, session_dir=str(tmp_path))
    clock = turn_clock(app)
    browser = visitor(app)
    browser.get("/")
    clock.advance(80_000)
    assert cookie_lines(browser.get("/plain")) == []
    assert browser.get("/").text == "2"
    clock.advance(6_400)
    assert browser.get("/peek").json() is None


def test_n1_20_default_manager_is_the_cookie() -> None:
    """Another application with the same key reads the cookie: nothing is on the server."""
    browser = visitor(application())
    browser.get("/")
    assert replay(application(), browser.cookies["session_id"]).json() == 1


def test_n1_21_file_manager_has_two_names() -> None:
    """``sessions.file.FileSessionManager`` and ``session.file.FileSessionInterface`` are one class."""
    from limpet.adapters.nexios.session.file import FileSessionInterface
    from limpet.adapters.nexios.sessions.file import FileSessionManager

    assert FileSessionManager is FileSessionInterface


def test_n1_22_file_manager(tmp_path: Path) -> None:
    """``"manager": FileSessionManager`` keeps values from request to request, in a file."""
    browser = visitor(with_words(application(manager=FileSessionManager, session_dir=str(tmp_path))))
    browser.get("/set/name/ines")
    assert browser.get("/get/name").json() == "ines"
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_n1_22b_file_manager_keeps_visitors_apart(tmp_path: Path) -> None:
    """Two visitors have two sessions."""
    app = with_words(application(manager=FileSessionManager, session_dir=str(tmp_path)))
    first, second = visitor(app), visitor(app)
    first.get("/set/name/ines")
    second.get("/set/name/rui")
    assert [each.get("/get/name").json() for each in (first, second)] == ["ines", "rui"]
    assert len(list(tmp_path.glob("*.json"))) == 2


@pytest.fixture
def remembering() -> Any:
    """Return a backend of this generation's kind: a key is a must, ``load`` is sync and called at once."""

    class Remembering(BaseSessionInterface):
        shelf: ClassVar[dict[str | None, tuple[float, dict[str, Any]]]] = {}
        made_for: ClassVar[list[str]] = []
        life: ClassVar[int] = 1800
        now: ClassVar[float] = 0.0

        def __init__(self, session_key: str) -> None:
            super().__init__(session_key)
            self.made_for.append(session_key)
            self.load()

        def load(self) -> None:
            ends, data = self.shelf.get(self.session_key, (0.0, {}))
            if ends > self.now:
                self._session_cache = data
            else:
                self.shelf.pop(self.session_key, None)

        async def save(self) -> None:
            self.shelf[self.session_key] = self.now + self.life, self._session_cache

    return Remembering


def test_n1_23_backend_that_loads_when_it_is_made(remembering: Any) -> None:
    """A class with a sync ``load`` in ``__init__`` and ``_session_cache`` keeps sessions, for as long as it wants."""
    browser = visitor(with_words(application(manager=remembering)))
    browser.get("/set/name/ines")
    browser.get("/set/town/faro")
    assert [browser.get(f"/get/{key}").json() for key in ("name", "town")] == ["ines", "faro"]
    [(_, kept)] = remembering.shelf.values()
    assert (kept["name"], kept["town"]) == ("ines", "faro")
    remembering.now = 1800.0
    assert browser.get("/get/name").json() is None
    browser.get("/set/name/rui")
    assert browser.get("/get/name").json() == "rui"


def test_n1_24_each_new_visitor_has_a_key_of_their_own(remembering: Any) -> None:
    """Such a class never gets None: each visitor has a fresh key, and two of them share nothing."""
    app = with_words(application(manager=remembering))
    first, second = visitor(app), visitor(app)
    first.get("/set/name/ines")
    second.get("/set/name/rui")
    assert [each.get("/get/name").json() for each in (first, second)] == ["ines", "rui"]
    assert len(remembering.shelf) == 2
    assert None not in remembering.made_for


def test_n1_23b_damage_met_when_it_is_made_locks_nobody_out(remembering: Any) -> None:
    """A class that cannot even be made for a damaged session is served as if there were none."""

    class Fragile(remembering):  # type: ignore[misc]
        def load(self) -> None:
            super().load()
            if self._data.get("name") == "broken":
                raise ValueError("cannot read it")

    browser = visitor(with_words(application(manager=Fragile)))
    browser.get("/set/name/ines")
    [data] = [data for _, data in remembering.shelf.values()]
    data["name"] = "broken"
    assert browser.get("/get/name").json() is None
    browser.get("/set/name/rui")
    assert browser.get("/get/name").json() == "rui"


def test_c_31_a_set_in_json_is_a_list() -> None:
    """``res.json`` writes a set as a list, in an order that stays, however deep it is."""
    app = get_application(config=MakeConfig({"secret_key": SECRET}))

    @app.get("/")
    async def page(req: Any, res: Any) -> Any:
        return res.json({"all": [{"b", "a"}, frozenset()]})

    assert visitor(app).get("/").json() == {"all": [["a", "b"], []]}
    assert visitor(with_words(app)).get("/set/a/b").json() == ["kept", "under its key"]
