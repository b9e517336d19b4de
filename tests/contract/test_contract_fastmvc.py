"""FastMVC's session middleware for FastAPI, row by row, from outside: installing it, its settings, its cookie."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request

import limpet
from limpet import ConfigurationError
from limpet.adapters.fastmvc import Session, SessionConfig, SessionMiddleware
from limpet.testing import FakeClock, client
from tests.bare import run_with_only
from tests.contract.fastmvc_site import SECRET, site


def attributes(app: FastAPI) -> dict[str, str]:
    """Return name, value and attributes of the cookie that a first visit sets."""
    with client(app) as browser:
        line = browser.get("/visits").headers["set-cookie"]
    first, *rest = line.split("; ")
    name, _, value = first.partition("=")
    return {"name": name, "value": value} | {
        key.lower(): text for key, _, text in (part.partition("=") for part in rest)
    }


def test_f_01_extra() -> None:
    """The extra ``fastapi`` alone brings what the adapter needs."""
    assert run_with_only("fastapi", "from limpet.adapters.fastmvc import SessionMiddleware; print('there')") == "there"


def test_f_02_names() -> None:
    """The four names are where the prefix leads."""
    import limpet.adapters.fastmvc as there

    assert {"SessionMiddleware", "SessionConfig", "SessionStore", "Session"} <= set(there.__all__)
    assert issubclass(there.Session, limpet.Session)


def test_f_03_secret_alone() -> None:
    """``add_middleware`` with a secret is all there is to do."""
    with client(site(secret_key=SECRET, store="memory:")) as browser:
        assert [browser.get("/visits").json() for _ in range(3)] == [1, 2, 3]


def test_f_03_secret_alone_without_a_store(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word about a store sessions are in memory, and the log says so once, with the cure."""
    monkeypatch.delenv("LIMPET_STORE", raising=False)
    with client(site(secret_key=SECRET)) as browser:
        assert [browser.get("/visits").json() for _ in range(3)] == [1, 2, 3]
    notes = [record.getMessage() for record in caplog.records if record.name == "limpet"]
    assert len(notes) == 1
    assert "sqlite:///sessions.db" in notes[0]


def test_f_03_store_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``LIMPET_STORE`` says where sessions are kept when the code does not."""
    monkeypatch.setenv("LIMPET_STORE", f"sqlite:///{tmp_path}/sessions.db")
    with client(site(secret_key=SECRET)) as browser:
        browser.get("/visits")
    assert (tmp_path / "sessions.db").exists()


def test_f_04_config() -> None:
    """All of `SessionConfig` reaches the cookie."""
    config = SessionConfig(
        secret_key=SECRET,
        cookie_name="shop",
        max_age=120,
        cookie_secure=False,
        cookie_httponly=False,
        cookie_samesite="strict",
    )
    found = attributes(site(config=config, store="memory:"))
    assert found["name"] == "shop"
    assert found["max-age"] == "120"
    assert found["samesite"].lower() == "strict"
    assert "secure" not in found
    assert "httponly" not in found


def test_f_04_the_same_by_keyword() -> None:
    """Each setting may be given to the middleware itself."""
    found = attributes(
        site(secret_key=SECRET, cookie_name="shop", max_age=120, cookie_samesite="strict", store="memory:")
    )
    assert (found["name"], found["max-age"], found["samesite"].lower()) == ("shop", "120", "strict")


def test_f_04_contradictions() -> None:
    """Two values for one setting are refused by its name, and a secret is not quoted."""
    config = SessionConfig(secret_key=SECRET, max_age=120)
    for setting, value in (("max_age", 60), ("secret_key", "another" + SECRET)):
        app = site(config=config, store="memory:", **{setting: value})
        with pytest.raises(ConfigurationError, match=setting) as refused, client(app) as browser:
            browser.get("/visits")
        assert SECRET not in str(refused.value)


def test_f_04_config_is_frozen() -> None:
    """Settings cannot be changed behind a running application's back, and their repr hides the secret."""
    config = SessionConfig(secret_key=SECRET)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.max_age = 1  # type: ignore[misc]
    assert SECRET not in repr(config)


@pytest.mark.parametrize("missing", [{}, {"secret_key": None}, {"secret_key": ""}])
def test_f_05_secret_is_required(missing: dict[str, Any]) -> None:
    """Without a secret, or with an environment variable that is not set, the error names ``secret_key``."""
    with pytest.raises(ConfigurationError, match="secret_key"):
        SessionConfig(**missing)
    app = FastAPI()
    app.add_middleware(SessionMiddleware, **missing)
    with pytest.raises(ConfigurationError, match="secret_key"), client(app) as browser:
        browser.get("/")


def test_f_05_rotation() -> None:
    """A list of secrets is read to its end, and the newest writes: nobody is logged out by a new secret."""
    store = limpet.SessionManager("memory:").store
    with client(site(secret_key=SECRET, store=store)) as browser:
        browser.get("/visits")
        cookie = browser.cookies["session_id"]
    with client(site(secret_key=["new" + SECRET, SECRET], store=store)) as browser:
        assert browser.get("/visits", headers={"cookie": f"session_id={cookie}"}).json() == 2


def test_f_06_cookie_name() -> None:
    """The cookie is called ``session_id`` unless it is given a name."""
    assert attributes(site(secret_key=SECRET, store="memory:"))["name"] == "session_id"
    assert attributes(site(secret_key=SECRET, store="memory:", cookie_name="other"))["name"] == "other"


def test_f_07_max_age() -> None:
    """The cookie lasts 3600 seconds, or as many as were given."""
    assert attributes(site(secret_key=SECRET, store="memory:"))["max-age"] == "3600"
    assert attributes(site(secret_key=SECRET, store="memory:", max_age=90))["max-age"] == "90"


def test_f_07b_max_age_is_enforced() -> None:
    """A cookie that is replayed after its time is refused by the server, however busy the session was."""
    clock = FakeClock()
    with client(site(secret_key=SECRET, store="memory:", max_age=100, clock=clock)) as browser:
        assert browser.get("/visits").json() == 1
        token = browser.cookies["session_id"]
        for _ in range(3):
            clock.advance(30)
            browser.get("/visits", headers={"cookie": f"session_id={token}"})
        clock.advance(11)
        browser.cookies.clear()
        assert browser.get("/visits", headers={"cookie": f"session_id={token}"}).json() == 1


def test_f_07b_not_even_remember_outlives_it() -> None:
    """``login(..., remember=True)`` asks for a longer life, and does not get it."""
    clock = FakeClock()
    app = site(secret_key=SECRET, store="memory:", max_age=100, clock=clock)

    @app.get("/login")
    async def login(request: Request) -> None:
        request.state.session.login("ann", remember=True)

    with client(app) as browser:
        browser.get("/login")
        token = browser.cookies["session_id"]
        clock.advance(101)
        browser.get("/set/a/b", headers={"cookie": f"session_id={token}"})
        assert browser.cookies["session_id"] != token


def test_f_08_secure() -> None:
    """The cookie is Secure unless it is told otherwise."""
    assert "secure" in attributes(site(secret_key=SECRET, store="memory:"))
    assert "secure" not in attributes(site(secret_key=SECRET, store="memory:", cookie_secure=False))


def test_f_09_httponly() -> None:
    """Scripts cannot read the cookie unless it is told otherwise."""
    assert "httponly" in attributes(site(secret_key=SECRET, store="memory:"))
    assert "httponly" not in attributes(site(secret_key=SECRET, store="memory:", cookie_httponly=False))


@pytest.mark.parametrize("value", ["lax", "strict", "none"])
def test_f_10_samesite(value: str) -> None:
    """SameSite is lax, or what was given."""
    assert attributes(site(secret_key=SECRET, store="memory:"))["samesite"].lower() == "lax"
    assert attributes(site(secret_key=SECRET, store="memory:", cookie_samesite=value))["samesite"].lower() == value


def test_f_10_samesite_none_needs_secure() -> None:
    """What browsers drop is refused at construction."""
    with pytest.raises(ConfigurationError, match="secure"):
        SessionConfig(secret_key=SECRET, cookie_samesite="none", cookie_secure=False)


def test_f_11_exclude_paths() -> None:
    """An excluded path, and what is below it, has no session and sets no cookie; the others have."""
    for settings in (
        {"exclude_paths": {"/health"}},
        {"config": SessionConfig(secret_key=SECRET, exclude_paths={"/health"})},
        {"config": SessionConfig(secret_key=SECRET), "exclude_paths": {"/health"}},
    ):
        with client(site(**{"secret_key": SECRET, "store": "memory:", **settings})) as browser:
            browser.get("/visits")
            answer = browser.get("/health")
            assert answer.json() is False
            assert "set-cookie" not in answer.headers
            assert browser.get("/health/deep").json() is False
            assert browser.get("/visits").json() == 2
    with client(site(secret_key=SECRET, store="memory:")) as browser:
        assert browser.get("/health").json() is True


def test_f_11_one_string_is_refused() -> None:
    """A string is no set of paths; its characters would be."""
    with pytest.raises(ConfigurationError, match="exclude_paths"):
        SessionMiddleware(site(), secret_key=SECRET, exclude_paths="/health")


def test_f_12_request_state() -> None:
    """``request.state.session`` is a `Session` of this module, and ``request.session`` the same object."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key=SECRET, store="memory:")

    @app.get("/same")
    async def same(request: Request) -> list[bool]:
        session: Any = request.session
        return [isinstance(request.state.session, Session), session is request.state.session]

    with client(app) as browser:
        assert browser.get("/same").json() == [True, True]
