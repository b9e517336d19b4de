"""Every place that Nexios' names can be imported from has this adapter's classes, below the prefix."""

from __future__ import annotations

import importlib.util
import logging
import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Any

import nexios
import nexios.http
import nexios.session.base
import nexios.session.file
import nexios.session.session_objects
import nexios.session.signed_cookies
import pytest

from limpet.adapters import nexios as ours
from limpet.adapters.nexios import NexiosApp, SessionMiddleware
from limpet.testing import client

SECRET = "mQ3x0Jq7bT1vYk9sZr5wLc2hNf8dGp4uEa6iXo-_RtV"

COUNTERPARTS: dict[Any, Any] = {
    nexios.NexiosApp: ours.NexiosApp,
    nexios.Route: ours.Route,
    nexios.Router: ours.Router,
    nexios.http.Request: ours.Request,
    nexios.http.Response: ours.Response,
    nexios.session.SessionConfig: ours.SessionConfig,
    nexios.session.SessionMiddleware: ours.SessionMiddleware,
    nexios.session.base.BaseSessionInterface: ours.BaseSessionInterface,
    nexios.session.file.FileSessionManager: ours.FileSessionManager,
    nexios.session.session_objects.Session: ours.Session,
    nexios.session.signed_cookies.SignedSessionManager: ours.SignedSessionManager,
}


def modules() -> list[str]:
    """Return the names of all modules of Nexios that can be imported here, without ``nexios`` in front."""
    found = [""]
    for each in pkgutil.walk_packages(nexios.__path__, "nexios."):
        if each.name.startswith(("nexios.templates", "nexios.__main__")):
            continue  # skeletons of applications, and the command
        try:
            import_module(each.name)
        except ImportError:
            continue  # it needs a package that is not installed
        found.append(each.name.removeprefix("nexios"))
    return found


MODULES = modules()


@pytest.mark.parametrize("place", MODULES)
def test_every_name_is_ours_or_the_frameworks_own(place: str) -> None:
    """Below the prefix each name of each module is Nexios' own object, or what takes its place."""
    real = import_module(f"nexios{place}")
    here = import_module(f"limpet.adapters.nexios{place}")
    for name, value in vars(real).items():
        if name.startswith("_") or isinstance(value, ModuleType):
            continue
        expected = COUNTERPARTS.get(value, value) if isinstance(value, type) else value
        assert getattr(here, name) is expected, name


@pytest.mark.parametrize("place", [place for place in MODULES if "NexiosApp" in vars(import_module(f"nexios{place}"))])
def test_an_application_from_anywhere_has_sessions(place: str) -> None:
    """``NexiosApp`` of every module that has it takes `SessionMiddleware` and counts visits."""
    app: NexiosApp = import_module(f"limpet.adapters.nexios{place}").NexiosApp()
    app.add_middleware(SessionMiddleware(secret_key=SECRET))

    @app.get("/")
    async def page(req: Any, res: Any) -> Any:
        return res.json(req.session.increment("n"))

    browser = client(app)
    assert [browser.get("/").json(), browser.get("/").json()] == [1, 2]


@pytest.mark.parametrize(
    "place",
    ["", ".session", ".session.middleware", ".sessions", ".sessions.middleware", ".middleware"],
)
def test_the_middleware_is_in_every_documented_place(place: str) -> None:
    """Five places of three generations, and the top."""
    found = import_module(f"limpet.adapters.nexios{place}").SessionMiddleware
    app = NexiosApp()
    app.add_middleware(found(secret_key=SECRET, manager="memory:"))

    @app.get("/")
    async def page(req: Any, res: Any) -> Any:
        return res.json(req.session.increment("n"))

    browser = client(app)
    assert [browser.get("/").json(), browser.get("/").json()] == [1, 2]


def test_names_of_the_middleware_package_are_nexios_own() -> None:
    """Beside `SessionMiddleware`, ``nexios.middleware`` has what it has."""
    here = import_module("limpet.adapters.nexios.middleware")
    assert here.CORSMiddleware is import_module("nexios.middleware").CORSMiddleware
    assert importlib.util.find_spec("limpet.adapters.nexios.middleware.no_such_module") is None


def test_a_missing_secret_is_said_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """Before any request, in one sentence with the cure; a page without a session is served all the same."""
    app = NexiosApp()
    app.add_middleware(SessionMiddleware())

    @app.get("/")
    async def home(req: ours.Request, res: ours.Response) -> Any:
        return res.text("home")

    with caplog.at_level(logging.ERROR, "limpet"), client(app) as browser:
        (said,) = caplog.messages
        assert said.startswith("sessions cannot be used: sessions need secret_key, and it is not set: make one with")
        assert browser.get("/").text == "home"
