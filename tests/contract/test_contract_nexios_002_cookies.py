"""Nexios, second generation: cookies that the application signs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from limpet.adapters.nexios import BaseConfig, InvalidCookie, MakeConfig, NexiosApp, get_application, read_cookie
from limpet.adapters.nexios.session.middleware import SessionMiddleware
from tests.contract.nexios_visits import SECRET, cookie_lines, counting, visitor


def with_cookies(app: NexiosApp) -> NexiosApp:
    """Add routes that set and read a signed cookie of any name; return the app."""

    @app.get("/give/{name}")
    async def give(request: Any, response: Any) -> Any:
        response.set_cookie(request.path_params.name, "blue & 5", signed=True)
        return response.text("given")

    @app.get("/take/{name}")
    async def take(request: Any, response: Any) -> Any:
        try:
            return response.text(f"{request.get_cookie(request.path_params.name, signed=True)}")
        except InvalidCookie as error:
            return response.text(f"no: {error}", status=400)

    return counting(app)


@pytest.fixture(params=["file", "cookie"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> NexiosApp:
    """Return an application with sessions in files, or in cookies."""
    if request.param == "file":
        config = type("Config", (BaseConfig,), {"SECRET_KEY": SECRET, "SESSION_DIR": tmp_path / "sessions"})
        return with_cookies(get_application(config=config()))
    return with_cookies(get_application(config=MakeConfig({"secret_key": SECRET})))


def test_n2_07_the_session_cookie_is_verified(app: NexiosApp) -> None:
    """``get_cookie("session_id", signed=True)`` gives what identifies the session; nothing, when there is no cookie."""
    browser = visitor(app)
    assert browser.get("/take/session_id").text == "None"
    browser.get("/")
    first = browser.get("/take/session_id")
    assert (first.status_code, len(first.text) >= 43) == (200, True)
    assert browser.get("/take/session_id").text == first.text
    other = visitor(app)
    other.get("/")
    assert other.get("/take/session_id").text != first.text


@pytest.mark.parametrize("name", ["session_id", "colour"])
def test_n2_08_a_tampered_cookie_is_refused(app: NexiosApp, name: str) -> None:
    """A changed value raises, which the handler answers with 400."""
    browser = visitor(app)
    browser.get("/")
    browser.get("/give/colour")
    cookie = browser.cookies[name]
    for forged in (cookie[:-5] + "AAAAA", cookie[:-5], "x", cookie.swapcase()):
        response = visitor(app).get(f"/take/{name}", headers={"cookie": f"{name}={forged}"})
        assert response.status_code == 400
        assert "not signed" in response.text


def test_n2_09_a_signed_cookie_reads_back(app: NexiosApp) -> None:
    """``set_cookie(..., signed=True)`` before there is a body; the value reads back, and scripts cannot read it."""
    browser = visitor(app)
    response = browser.get("/give/colour")
    [line] = cookie_lines(response, "colour")
    assert "HttpOnly" in line
    assert browser.get("/take/colour").text == "blue & 5"


def test_n2_09b_a_signed_cookie_is_bound_to_its_name(app: NexiosApp) -> None:
    """What was signed under one name is refused under another, the session's included."""
    browser = visitor(app)
    browser.get("/give/colour")
    for name in ("size", "session_id"):
        response = visitor(app).get(f"/take/{name}", headers={"cookie": f"{name}={browser.cookies['colour']}"})
        assert response.status_code == 400


def test_c_19_a_signed_cookie_under_the_sessions_name_is_no_session(app: NexiosApp) -> None:
    """A cookie that the application sets under the session's own name reads back, and is never taken for a session."""
    browser = visitor(app)
    browser.get("/give/session_id")
    assert browser.get("/take/session_id").text == "blue & 5"
    assert browser.get("/peek").json() is None
    assert browser.get("/").text == "1"
    assert browser.get("/take/session_id").text != "blue & 5"


def test_cookies_alone_make_an_answer() -> None:
    """A handler that only sets cookies answers with an empty body; cookies before and after a body all go out, once."""
    app = NexiosApp(config=MakeConfig(secret_key=SECRET))
    app.add_middleware(SessionMiddleware())

    @app.get("/only")
    async def only(request: Any, response: Any) -> Any:
        return response.set_cookie("a", "1").set_cookie("b", "2")

    @app.get("/around")
    async def around(request: Any, response: Any) -> Any:
        response.set_cookie("a", "1")
        response.json({})
        return response.set_cookie("b", "2", signed=True)

    browser = visitor(app)
    assert browser.get("/only").content == b""
    for path in ("/only", "/around"):
        names = [line.partition("=")[0] for line in browser.get(path).headers.get_list("set-cookie")]
        assert names == ["a", "b"]


def test_a_plain_cookie_is_read_with_its_default(app: NexiosApp) -> None:
    """Without ``signed`` nothing is checked; an absent cookie gives the default."""

    @app.get("/plain-cookie")
    async def plain_cookie(request: Any, response: Any) -> Any:
        return response.json([request.get_cookie("size"), request.get_cookie("colour", "grey")])

    assert visitor(app).get("/plain-cookie", headers={"cookie": "size=4"}).json() == ["4", "grey"]


def test_a_middleware_reads_signed_cookies_by_function(app: NexiosApp) -> None:
    """A middleware has the framework's own request: `read_cookie` does the same there."""
    seen: list[Any] = []

    async def look(request: Any, response: Any, call_next: Any) -> Any:
        seen.append(read_cookie(request, "colour", "none", signed=True))
        return await call_next()

    app.add_middleware(look)
    browser = visitor(app)
    browser.get("/give/colour")
    browser.get("/plain")
    assert seen == ["none", "blue & 5"]
