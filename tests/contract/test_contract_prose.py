"""What Nexios' documents promise between their tables."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from limpet.adapters.nexios import (
    BaseConfig,
    FileSessionInterface,
    NexiosApp,
    SessionConfig,
    SessionMiddleware,
    get_application,
)
from limpet.adapters.nexios.sessions import SessionMiddleware as FileSessionMiddleware
from limpet.testing import async_client
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

PAGE = Path(__file__).resolve().parents[2] / "docs" / "frameworks" / "nexios.md"


def in_files(folder: Path, **options: Any) -> NexiosApp:
    """Return a counting application over files."""
    return configured(manager=FileSessionInterface, session_dir=folder, **options)


@pytest.fixture(params=["memory", "file", "postgresql", "redis", "cookie"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of one store of each kind, the services real ones."""
    if request.param == "postgresql":
        schema = quote(request.getfixturevalue("postgres_schema"))
        url: str = request.getfixturevalue("postgres_url")
        return f"{url}{'&' if '?' in url else '?'}schema={schema}"
    if request.param == "redis":
        prefix = quote(request.getfixturevalue("redis_prefix"))
        return f"{request.getfixturevalue('redis_url')}?prefix={prefix}"
    return {"memory": "memory:", "file": f"file:{tmp_path}/sessions", "cookie": "cookie:"}[request.param]


def test_p_01_memory_files_databases_and_caches(store_url: str) -> None:
    """One application, five kinds of backend, the same answers: set, get, clear, expiry."""
    app = configured(manager=store_url, expiry=600)
    with visitor(app) as browser:
        clock = turn_clock(app)
        assert [browser.get("/").text for _ in range(3)] == ["1", "2", "3"]
        kept = browser.cookies["session_id"]
        assert replay(app, kept).json() == 3
        assert len(cookie_lines(browser.get("/end"))) == 1
        assert browser.get("/peek").json() is None
        if not store_url.startswith("cookie"):
            assert replay(app, kept).json() is None
        browser.get("/")
        clock.advance(599)
        assert browser.get("/peek").json() == 1
        clock.advance(600)
        assert browser.get("/peek").json() is None


def test_p_02_the_secret_encrypts() -> None:
    """What is in a session cookie cannot be read without the key, in any decoding."""
    app = configured()

    @app.get("/confide")
    async def confide(req: Any, res: Any) -> Any:
        req.session["confided"] = "a-word-in-your-ear"
        return res.text("ok")

    browser = visitor(app)
    browser.get("/confide")
    cookie = browser.cookies["session_id"]
    decoded = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
    for text in (cookie.encode(), decoded):
        assert b"confided" not in text
        assert b"a-word" not in text


async def test_p_03_cleaning_up_by_hand(tmp_path: Path) -> None:
    """``app.session_manager.sweep()`` removes what expired five minutes ago, and says how much that was."""
    app = in_files(tmp_path, expiry=100)
    clock = turn_clock(app)
    async with async_client(app, base_url="http://testserver") as browser:
        for _ in range(3):
            browser.cookies.clear()
            await browser.get("/")
        assert await app.session_manager.sweep() == 0
        clock.advance(120 + 300)  # other hosts' clocks may be five minutes behind
        assert await app.session_manager.sweep() == 3
    assert list(tmp_path.glob("*.json")) == []


def test_p_03b_an_interval_that_is_none_is_refused() -> None:
    """The interval is a positive time."""
    for interval in (0, -1, "soon"):
        options: dict[str, Any] = {"session_cleanup_interval": interval}
        with pytest.raises(ValueError, match="cleanup_interval"):
            SessionConfig(**options)


def test_p_04_cookie_sessions_work_on_many_machines() -> None:
    """Any number of applications with one key take turns with one visitor, and share nothing but the key."""
    cookie = ""
    for visit in range(1, 5):
        browser = visitor(configured())
        response = browser.get("/", headers={"cookie": f"session_id={cookie}"} if cookie else {})
        assert response.text == str(visit)
        cookie = browser.cookies["session_id"]


def test_p_05_cookie_sessions_cannot_be_ended_by_the_server() -> None:
    """A copy of the cookie outlives a logout, which the documentation says, and where to go instead."""
    app = configured()
    browser = visitor(app)
    browser.get("/")
    cookie = browser.cookies["session_id"]
    browser.get("/end")
    assert replay(app, cookie).json() == 1
    page = re.sub(r"\s+", " ", PAGE.read_text())
    assert "a copy of the cookie stays valid until its deadline, whatever the server does" in page


def test_p_06_httponly_means_httponly() -> None:
    """True keeps scripts away from the cookie, and is the default."""
    assert "HttpOnly" in attributes(configured(cookie_httponly=True))
    assert "HttpOnly" not in attributes(configured(cookie_httponly=False))


async def test_p_07_files_of_the_third_generation_are_cleaned_up_too(tmp_path: Path) -> None:
    """The file backend needs nobody to clean up after it."""
    app = in_files(tmp_path, expiry=100, session_cleanup_interval=0.01)
    clock = turn_clock(app)
    async with async_client(app, base_url="http://testserver") as browser:
        await browser.get("/")
        assert list(tmp_path.glob("*.json"))
        clock.advance(120 + 300)
        async with asyncio.timeout(10):
            while list(tmp_path.glob("*.json")):
                await asyncio.sleep(0.01)


def test_p_08_the_cookie_is_the_id_and_a_signature(tmp_path: Path) -> None:
    """An id of 32 bytes, its signature of 32: change one character and it is refused; so it is with another key."""
    app = in_files(tmp_path)
    browser = visitor(app)
    browser.get("/")
    cookie = browser.cookies["session_id"]
    assert len(base64.urlsafe_b64decode(cookie + "==")) == 6 + 32 + 32
    for place, letter in enumerate(cookie):
        forged = cookie[:place] + ("A" if letter != "A" else "B") + cookie[place + 1 :]
        assert replay(app, forged).json() is None
    other = NexiosApp(config={"secret_key": SECRET[::-1]})
    other.config["session"] = SessionConfig(manager=FileSessionInterface, session_dir=tmp_path)
    other.add_middleware(SessionMiddleware())
    assert replay(counting(other), cookie).json() is None
    assert replay(app, cookie).json() == 1


@pytest.mark.parametrize("sent", [None, "garbage", "A" * 94, "%00", '"quoted"'])
def test_p_09_missing_or_invalid_cookies_begin_a_new_session(tmp_path: Path, sent: str | None) -> None:
    """Without a good cookie a write makes a session with a new signed id; a mere look makes none."""
    app = in_files(tmp_path)
    headers = {"cookie": f"session_id={sent}"} if sent else {}
    assert cookie_lines(visitor(app).get("/peek", headers=headers)) == []
    assert list(tmp_path.glob("*.json")) == []
    browser = visitor(app)
    [line] = cookie_lines(browser.get("/", headers=headers))
    assert not line.startswith(f"session_id={sent};")
    assert browser.get("/peek").json() == 1


def test_p_10_sessions_are_limited_to_paths_and_domains() -> None:
    """A browser sends the cookie below its path only, and to its domain."""
    app = configured(cookie_path="/inner")

    @app.get("/inner/count")
    async def count(req: Any, res: Any) -> Any:
        return res.text(str(req.session.increment("n")))

    browser = visitor(app)
    assert [browser.get("/inner/count").text for _ in range(2)] == ["1", "2"]
    assert "cookie" not in browser.get("/plain").request.headers
    wide = configured(cookie_domain="example.com")
    browser = visitor(wide, "http://shop.example.com")
    assert browser.get("/").text == "1"
    assert browser.get("http://api.example.com/").text == "2"
    assert "cookie" not in browser.get("http://example.org/plain").request.headers


@pytest.mark.parametrize("meant", [True, False])
@pytest.mark.parametrize("spelling", [bool, str, lambda flag: str(flag).lower(), int, lambda flag: str(int(flag))])
def test_p_11_flags_may_be_strings(spelling: Any, meant: bool) -> None:
    """HTTPONLY and SECURE are typed as strings in the document: both kinds are understood."""
    flags = dict.fromkeys(("SESSION_COOKIE_HTTPONLY", "SESSION_COOKIE_SECURE"), spelling(meant))
    config = type("Config", (BaseConfig,), {"SECRET_KEY": SECRET, "SESSION_MANAGER": "memory:", **flags})()
    found = attributes(counting(get_application(config=config)), base_url="https://testserver")
    assert ("HttpOnly" in found, "Secure" in found) == (meant, meant)


def test_p_11b_a_flag_that_is_none_is_refused() -> None:
    """Neither yes nor no is an error."""
    options: dict[str, Any] = {"cookie_secure": "perhaps"}
    with pytest.raises(ValueError, match="perhaps"):
        SessionConfig(**options)


def test_p_12_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A process that is killed while it writes leaves the record that was there, private and readable."""
    app = in_files(tmp_path)
    browser = visitor(app)
    browser.get("/")
    program = f"""
        import os, signal
        from pathlib import Path
        from tests.contract.nexios_visits import replay
        from tests.contract.test_contract_prose import in_files

        app = in_files(Path({str(tmp_path)!r}))
        os.fsync = os.fdatasync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
        replay(app, {browser.cookies["session_id"]!r}, "/")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=PAGE.parents[2], check=False)
    assert done.returncode == -9
    assert browser.get("/peek").json() == 1
    [path] = tmp_path.glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert browser.get("/").text == "2"


def test_p_13_who_is_idle_is_logged_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time without activity a member is a stranger; until then each page counts as activity."""
    monkeypatch.chdir(tmp_path)
    app = get_application(config=type("Config", (BaseConfig,), {"SECRET_KEY": SECRET, "SESSION_TIMEOUT": 900})())
    app.add_middleware(FileSessionMiddleware())
    clock = turn_clock(app)

    @app.get("/enter")
    async def enter(request: Any, response: Any) -> Any:
        request.session.set_session("user_id", 7)
        return response.send("in")

    @app.get("/who")
    async def who(request: Any, response: Any) -> Any:
        return response.send(f"{request.session.get_session('user_id', 'nobody')}")

    browser = visitor(app)
    browser.get("/enter")
    for _ in range(4):
        clock.advance(800)
        assert browser.get("/who").text == "7"
    clock.advance(900)
    assert browser.get("/who").text == "nobody"


@pytest.mark.parametrize("secret", ["secret", "short", "very-secret-key", "a" * 40])
def test_p_14_weak_secrets_are_taken_with_one_warning(secret: str, caplog: pytest.LogCaptureFixture) -> None:
    """What documents print as a secret works, and the log names the cure, once, and never the secret."""
    app = configured()
    app.config.secret_key = secret
    browser = visitor(app)
    caplog.set_level(logging.INFO)
    assert [browser.get("/").text for _ in range(3)] == ["1", "2", "3"]
    warnings = [record for record in caplog.records if record.message.startswith("secret_key:")]
    assert [record.levelname for record in warnings] == ["WARNING"]
    assert "limpet keygen" in warnings[0].message
    assert secret not in warnings[0].message.removeprefix("secret_key: secret 1")


def test_p_14b_a_good_secret_is_nothing_to_warn_of(caplog: pytest.LogCaptureFixture) -> None:
    """Thirty-two random bytes are taken in silence."""
    visitor(configured(cookie_secure=True), "https://testserver").get("/")
    assert [record.message for record in caplog.records if record.name == "limpet"] == []
