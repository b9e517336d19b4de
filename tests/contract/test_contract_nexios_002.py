"""Nexios, second generation: `BaseConfig`, upper-case names, files, options."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from limpet import ConfigurationError
from limpet.adapters.nexios import BaseConfig, NexiosApp, get_application
from limpet.adapters.nexios.sessions import SessionMiddleware
from limpet.testing import async_client
from tests.contract.nexios_visits import SECRET, attributes, cookie_lines, counting, replay, turn_clock, visitor


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This generation keeps files in ``sessions``, below the current folder."""
    monkeypatch.chdir(tmp_path)


def application(**options: Any) -> NexiosApp:
    """Return a counting application whose configuration is a class with these attributes."""
    config = type("Config", (BaseConfig,), {"SECRET_KEY": SECRET, **options})
    app = get_application(config=config())
    app.add_middleware(SessionMiddleware())
    return counting(app)


def files(folder: str = "sessions") -> list[Path]:
    """Return the session files."""
    return sorted(Path(folder).glob("*.json"))


def test_n2_01_names_are_imported_from_the_top() -> None:
    """`get_application` and `BaseConfig` come from the package; a subclass may be given as such."""
    from limpet.adapters.nexios import BaseConfig, get_application

    class Config(BaseConfig):
        SECRET_KEY = SECRET

    assert visitor(counting(get_application(config=Config))).get("/").text == "1"
    assert Config().secret_key == SECRET


def test_n2_02_middleware_is_imported_from_sessions() -> None:
    """``sessions.SessionMiddleware`` turns sessions on, and keeps them in files."""
    from limpet.adapters.nexios.sessions import SessionMiddleware

    app = NexiosApp()
    app.config.secret_key = SECRET
    app.add_middleware(SessionMiddleware())
    visitor(counting(app)).get("/")
    assert len(files()) == 1


def test_n2_03_class_as_configuration() -> None:
    """``SECRET_KEY`` in a class, an instance of the middleware, and this generation's words."""
    app = application()

    @app.post("/keep")
    async def keep(request: Any, response: Any) -> Any:
        session = request.session
        session.set_session("colour", "green")
        return response.send("kept")

    @app.get("/kept")
    async def kept(request: Any, response: Any) -> Any:
        return response.send(f"{request.session.get_session('colour')}")

    browser = visitor(app)
    assert browser.post("/keep").text == "kept"
    assert browser.get("/kept").text == "green"


def test_n2_04_the_class_itself_as_middleware() -> None:
    """``add_middleware(SessionMiddleware)`` is as good as an instance."""
    app = NexiosApp()
    app.config.secret_key = SECRET
    app.add_middleware(SessionMiddleware)
    browser = visitor(counting(app))
    assert [browser.get("/").text, browser.get("/").text] == ["1", "2"]


def test_n2_05_get_session_with_default() -> None:
    """``get_session(key, default)``."""
    app = application()

    @app.get("/who")
    async def who(request: Any, response: Any) -> Any:
        return response.send(request.session.get_session("user_id", "nobody"))

    assert visitor(app).get("/who").text == "nobody"


def test_n2_06_send() -> None:
    """`send` answers with text, with bytes, or with JSON."""
    app = application()

    @app.get("/send/{what}")
    async def send(request: Any, response: Any) -> Any:
        return response.send({"text": "hi", "bytes": b"\x00", "data": {"a": 1}}[request.path_params.what])

    browser = visitor(app)
    answers = [browser.get(f"/send/{what}") for what in ("text", "bytes", "data")]
    assert [answer.content for answer in answers] == [b"hi", b"\x00", b'{"a": 1}']
    kinds = [answer.headers["content-type"].partition(";")[0] for answer in answers]
    assert kinds == ["text/plain", "application/octet-stream", "application/json"]


def test_n2_10_status_by_keyword() -> None:
    """``status=`` is ``status_code=``, in every kind of answer."""
    app = application()

    @app.get("/odd/{kind}")
    async def odd(request: Any, response: Any) -> Any:
        return getattr(response, request.path_params.kind)("x", status=418)

    assert {visitor(app).get(f"/odd/{kind}").status_code for kind in ("text", "json", "html", "send")} == {418}


def test_n2_11_two_visitors_two_ids() -> None:
    """Each visitor has an id of their own."""
    app = application()
    ids = set()
    for _ in range(5):
        browser = visitor(app)
        browser.get("/")
        ids.add(browser.cookies["session_id"])
    assert len(ids) == len(files()) == 5


def test_n2_12_files_by_default() -> None:
    """The data is in a file and not in the cookie."""
    app = application()

    @app.get("/long")
    async def long(request: Any, response: Any) -> Any:
        request.session["long"] = "x" * 9000
        return response.send("ok")

    browser = visitor(app)
    browser.get("/long")
    assert len(browser.cookies["session_id"]) < 200
    assert files()[0].stat().st_size > 9000


def test_n2_13_one_file_for_each_session() -> None:
    """A file is named after the hash of the id, and to remove it ends exactly that session."""
    app = application()
    first, second = visitor(app), visitor(app)
    first.get("/")
    [mine] = files()
    second.get("/")
    assert len(mine.stem) == 64
    assert first.cookies["session_id"] not in mine.name
    mine.unlink()
    assert [first.get("/peek").json(), second.get("/peek").json()] == [None, 1]


@pytest.mark.parametrize("name", ["SESSION_DIR", "session_dir", "SESSION_FILE_STORAGE_PATH"])
def test_n2_14_directory(name: str) -> None:
    """The folder is an option."""
    visitor(application(**{name: "elsewhere"})).get("/")
    assert len(files("elsewhere")) == 1
    assert files() == []


def test_n2_15_files_are_private_and_hold_no_code() -> None:
    """A file is for this user alone, and one JSON document."""
    visitor(application()).get("/")
    [path] = files()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert isinstance(json.loads(path.read_text()), dict)


@pytest.mark.parametrize(
    "forge", [lambda cookie: cookie[:-4] + "AAAA", lambda cookie: "x", lambda cookie: cookie[::-1]]
)
def test_n2_16_an_invalid_signature_gives_a_new_id(forge: Any) -> None:
    """A forged cookie is no session: the first write makes a new id and sets it."""
    app = application()
    browser = visitor(app)
    browser.get("/")
    forged = forge(browser.cookies["session_id"])
    response = replay(app, forged, "/")
    assert response.text == "1"
    [line] = cookie_lines(response)
    assert not line.startswith((f"session_id={forged};", f"session_id={browser.cookies['session_id']};"))
    assert len(files()) == 2


def test_n2_17_timeout_counts_from_the_last_use() -> None:
    """`SESSION_TIMEOUT` is seconds without activity; activity renews the session and its cookie."""
    app = application(SESSION_TIMEOUT=100)
    clock = turn_clock(app)
    browser = visitor(app)
    browser.get("/")
    for path in ("/peek", "/", "/peek", "/"):
        clock.advance(60)
        [line] = cookie_lines(browser.get(path))
        assert "Max-Age=100" in line
    assert browser.get("/peek").json() == 3
    clock.advance(100)
    assert browser.get("/peek").json() is None


async def test_n2_18_expired_sessions_are_cleaned_up_periodically() -> None:
    """From start-up on, files of ended sessions go without any request for them; those of live ones stay."""
    app = application(SESSION_CLEANUP_INTERVAL=0.01, SESSION_TIMEOUT=100)
    clock = turn_clock(app)
    async with async_client(app, base_url="http://testserver") as browser:
        await browser.get("/")
        async with asyncio.timeout(10):
            while len(found := files()) > 1:  # the sweeper's own lock is a file as well, for a moment
                await asyncio.sleep(0.01)
        [path] = found
        clock.advance(99 + 300)
        browser.cookies.clear()
        await browser.get("/")
        clock.advance(12)  # the deadline, its slack and what clocks may differ by are over for the first one
        async with asyncio.timeout(10):
            while path.exists() or len(files()) > 1:
                await asyncio.sleep(0.01)


async def test_n2_19_data_is_saved_before_the_answer() -> None:
    """When the answer comes, another application object over the same folder reads what was written."""
    browser = visitor(application())
    browser.get("/")
    assert replay(application(), browser.cookies["session_id"]).json() == 1


def test_n2_21_cookie_name() -> None:
    """`SESSION_COOKIE_NAME`; session_id by default, which is what this generation's own samples read."""
    assert len(cookie_lines(visitor(application()).get("/"), "session_id")) == 1
    assert len(cookie_lines(visitor(application(SESSION_COOKIE_NAME="sid")).get("/"), "sid")) == 1


def test_n2_22_cookie_domain() -> None:
    """`SESSION_COOKIE_DOMAIN`; none by default."""
    assert "Domain=example.com" in attributes(application(SESSION_COOKIE_DOMAIN="example.com"))
    assert "Domain" not in str(attributes(application(SESSION_COOKIE_DOMAIN=None)))


def test_n2_23_cookie_path() -> None:
    """`SESSION_COOKIE_PATH`; ``/`` by default."""
    assert "Path=/members" in attributes(application(SESSION_COOKIE_PATH="/members"))
    assert "Path=/" in attributes(application())


def test_n2_24_cookie_httponly() -> None:
    """`SESSION_COOKIE_HTTPONLY`; on by default."""
    assert "HttpOnly" in attributes(application())
    assert "HttpOnly" not in attributes(application(SESSION_COOKIE_HTTPONLY=False))


def test_n2_25_cookie_secure() -> None:
    """`SESSION_COOKIE_SECURE`; off by default."""
    assert "Secure" in attributes(application(SESSION_COOKIE_SECURE=True), base_url="https://testserver")
    assert "Secure" not in attributes(application())


@pytest.mark.parametrize("value", ["Lax", "Strict", "None"])
def test_n2_26_cookie_samesite(value: str) -> None:
    """`SESSION_COOKIE_SAMESITE`; Lax by default."""
    app = application(SESSION_COOKIE_SAMESITE=value, SESSION_COOKIE_SECURE=True)
    assert f"SameSite={value}" in attributes(app, base_url="https://testserver")
    assert "SameSite=Lax" in attributes(application())


def test_n2_27_cookie_partitioned() -> None:
    """`SESSION_COOKIE_PARTITIONED`; off by default."""
    app = application(SESSION_COOKIE_PARTITIONED=True, SESSION_COOKIE_SECURE=True)
    assert "Partitioned" in attributes(app, base_url="https://testserver")
    assert "Partitioned" not in attributes(application())


def test_n2_28_samesite_none_needs_secure() -> None:
    """SameSite=None without Secure, which browsers drop, is refused when the application is made."""
    with pytest.raises(ConfigurationError, match="secure=True"):
        application(SESSION_COOKIE_SAMESITE="None")


def test_n2_29_backends_of_ones_own() -> None:
    """`BaseSessionInterface` can be imported from the plural package too, and `SESSION_MANAGER` takes a subclass."""
    from limpet.adapters.nexios.sessions.base import BaseSessionInterface

    class Shelf(BaseSessionInterface):
        rows: dict[str | None, dict[str, Any]] = {}

        async def load(self) -> None:
            self._data = self.rows.get(self.session_key, {})

        async def save(self) -> None:
            self.session_key = self.session_key or self.generate_sid()
            self.rows[self.session_key] = self._data

    browser = visitor(application(SESSION_MANAGER=Shelf))
    assert [browser.get("/").text, browser.get("/").text] == ["1", "2"]
    assert len(Shelf.rows) == 1
    assert files() == []


def test_n2_31_a_configuration_that_is_only_declared(caplog: pytest.LogCaptureFixture) -> None:
    """``get_application()`` takes the one `BaseConfig` that the calling code declares, and says how to say so."""

    class Declared(BaseConfig):
        SECRET_KEY = SECRET

    app = get_application()
    app.add_middleware(SessionMiddleware())
    assert isinstance(app.config, Declared)
    assert [record.message for record in caplog.records if "config=Declared()" in record.message]
    assert visitor(counting(app)).get("/").text == "1"


def test_n2_31b_several_configurations_are_not_guessed_at() -> None:
    """With two of them nothing is taken: the first use of a session names both."""

    class One(BaseConfig):
        SECRET_KEY = SECRET

    class Two(BaseConfig):
        SECRET_KEY = SECRET[::-1]

    app = get_application()
    app.add_middleware(SessionMiddleware())
    assert visitor(counting(app)).get("/plain").status_code == 200
    with pytest.raises(ConfigurationError, match=r"secret_key.*not used: One, Two"):
        app.session_manager  # noqa: B018 - reading it is the test
    assert One.SECRET_KEY != Two.SECRET_KEY


def test_n2_31c_none_declared() -> None:
    """Without any, constructing works, and the first use of a session is an error that names secret_key."""
    namespace: dict[str, Any] = {"__name__": "elsewhere"}
    source = "from limpet.adapters.nexios import get_application\napp = get_application()"
    exec(source, namespace)  # noqa: S102 - a module of its own
    with pytest.raises(ConfigurationError, match="secret_key"):
        namespace["app"].session_manager  # noqa: B018 - reading it is the test


def test_c_03_every_spelling_in_every_style() -> None:
    """One option may be spelled in each generation's way, whatever the style of the rest."""
    from limpet.adapters.nexios import MakeConfig, SessionConfig

    for name in ("cookie_path", "session_cookie_path", "SESSION_COOKIE_PATH", "Cookie_Path"):
        options: dict[str, Any] = {name: "/a"}
        assert SessionConfig(**options).cookie_path == "/a"
        section = get_application(config=MakeConfig({"secret_key": SECRET, "session": {name: "/a"}}))
        assert "Path=/a" in attributes(counting(section))
        assert "Path=/a" in attributes(application(**options))
    misspelled: dict[str, Any] = {"cookie_pth": "/a"}
    with pytest.raises(ConfigurationError, match="cookie_pth"):
        SessionConfig(**misspelled)


def test_c_06_an_explicit_manager_always_wins() -> None:
    """A class as configuration means files, unless it names the cookie."""
    from limpet.adapters.nexios import SignedSessionManager

    visitor(application(SESSION_MANAGER=SignedSessionManager)).get("/")
    assert files() == []
    visitor(application()).get("/")
    assert len(files()) == 1


def test_environment_strings_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes out of the environment is a string, and means what it says."""
    monkeypatch.setenv("SESSION_TIMEOUT", "90")
    app = application(SESSION_TIMEOUT=os.environ["SESSION_TIMEOUT"], SESSION_PERMANENT="true")
    assert "Max-Age=90" in attributes(app)
