"""Every place that BlackSheep's names can be imported from has this adapter's classes, below the prefix."""

from __future__ import annotations

import base64
import json
import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import blacksheep
import pytest
from blacksheep import Request, Response, Router
from blacksheep.server.application import Application as BlackSheepApplication
from blacksheep.sessions import SessionMiddleware as BlackSheepMiddleware
from blacksheep.sessions import abc as real_abc
from blacksheep.sessions.cookies import CookieSessionStore as BlackSheepCookies
from blacksheep.sessions.json import JSONSerializer as BlackSheepJSON
from blacksheep.sessions.memory import InMemorySessionStore as BlackSheepMemory
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

from limpet import ConfigurationError, SessionManager
from limpet.adapters import blacksheep as ours
from limpet.adapters.blacksheep import Application, Session
from limpet.adapters.blacksheep.sessions import JSONSerializer, SessionMiddleware, SessionSerializer, SessionStore
from limpet.adapters.blacksheep.sessions.cookies import CookieSessionStore
from limpet.adapters.blacksheep.sessions.memory import InMemorySessionStore
from limpet.testing import client
from tests.adapters.short_stack import on_a_short_stack

KEY = "8Wc1kqvD3nXf5hZ_0tLrYb7JpM2sGuAe9oTi4KxRzQE"

COUNTERPARTS: dict[Any, Any] = {
    BlackSheepApplication: Application,
    real_abc.Session: Session,
    real_abc.SessionStore: SessionStore,
    real_abc.SessionSerializer: SessionSerializer,
    BlackSheepMiddleware: SessionMiddleware,
    BlackSheepCookies: CookieSessionStore,
    BlackSheepJSON: JSONSerializer,
    BlackSheepMemory: InMemorySessionStore,
}


def modules() -> list[str]:
    """Return the names of all modules of BlackSheep that can be imported here, without ``blacksheep`` in front."""
    found = [""]
    for each in pkgutil.walk_packages(blacksheep.__path__, "blacksheep."):
        try:
            import_module(each.name)
        except ImportError:
            continue  # it needs a package that is not installed
        found.append(each.name.removeprefix("blacksheep"))
    return found


MODULES = modules()
PLACES = [
    (place, name)
    for place in MODULES
    for name, value in vars(import_module(f"blacksheep{place}")).items()
    if value is BlackSheepApplication
]


@pytest.mark.parametrize("place", MODULES)
def test_every_name_is_ours_or_the_frameworks_own(place: str) -> None:
    """Below the prefix each name of each module is BlackSheep's own object, or what takes its place."""
    real = import_module(f"blacksheep{place}")
    here = import_module(f"limpet.adapters.blacksheep{place}")
    for name, value in vars(real).items():
        if name.startswith("_") or isinstance(value, ModuleType):
            continue
        expected = COUNTERPARTS.get(value, value) if isinstance(value, type) else value
        assert getattr(here, name) is expected, name


def test_the_documented_places_are_among_them() -> None:
    """The places that BlackSheep's documentation and docstrings import an application from."""
    assert {"", ".server", ".server.application"} <= {place for place, _ in PLACES}


@pytest.mark.parametrize(("place", "name"), PLACES)
def test_a_url_is_a_store_wherever_the_application_comes_from(place: str, name: str, tmp_path: Path) -> None:
    """``use_sessions("sqlite:///...")`` opens that store, and a cookie that is signed with the URL is ignored."""
    made: Any = getattr(import_module(f"limpet.adapters.blacksheep{place}"), name)
    url = f"sqlite:///{tmp_path}/sessions.db"
    router = Router()
    app = on_a_short_stack(lambda: made(router=router))
    app.use_sessions(url)

    def me(request: Request) -> str:
        return str(request.session.get("user_id"))

    def login(request: Request) -> str:
        request.session["user_id"] = "ann"
        return "welcome"

    router.add_get("/me", me)
    router.add_get("/login", login)
    forger, browser = client(app), client(app)
    text = base64.b64encode(json.dumps({"user_id": "admin"}).encode()).decode()
    forger.cookies.set("session", URLSafeTimedSerializer(url).dumps(text))
    assert forger.get("/me").text == "None"
    browser.get("/login")
    assert browser.get("/me").text == "ann"
    assert (tmp_path / "sessions.db").exists()


@pytest.mark.parametrize("url", ["sqlite:///sessions.db", "memory:", " SQLITE:///a.db", "redis://localhost", "cookie:"])
@pytest.mark.parametrize(
    "use",
    [
        CookieSessionStore,
        lambda url: Application(router=Router()).use_sessions(KEY, signer=URLSafeSerializer(url)),
        lambda url: Application(router=Router()).use_sessions(KEY, signer=URLSafeTimedSerializer([KEY, url])),
        lambda url: Application(router=Router()).use_sessions(BlackSheepCookies(url)),
        lambda url: CookieSessionStore(KEY, signer=URLSafeSerializer(url)),
    ],
    ids=[
        "cookie store",
        "signer",
        "one of a signer's keys",
        "BlackSheep's own cookie store",
        "a cookie store's signer",
    ],
)
def test_no_url_becomes_a_key(use: Any, url: str) -> None:
    """Where a key is asked for, a store's URL is refused, with the sentence that says where it belongs."""
    with pytest.raises(ConfigurationError, match="URL of a store"):
        use(url)


def test_a_url_in_any_spelling_is_a_store() -> None:
    """White space and capitals do not turn a store's URL into a key."""
    app = Application(router=Router())
    app.use_sessions("  Memory: ")
    assert client(app).get("/nothing").status_code == 404
    assert app._sessions is not None
    assert app._sessions.manager.engine.is_server_side


@pytest.mark.parametrize(
    "make",
    [lambda: CookieSessionStore(KEY, session_max_age=60), InMemorySessionStore],
    ids=["in cookies", "in memory"],
)
def test_the_frameworks_middleware_over_our_stores(make: Any) -> None:
    """``app.middlewares.append(SessionMiddleware(store))`` counts, keeps visitors apart and forgets on ``clear``."""
    router = Router()
    app = Application(router=router)
    app.middlewares.append(SessionMiddleware(make()))

    def home(request: Request) -> str:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return str(request.session["visits"])

    def end(request: Request) -> str:
        request.session.clear()
        return "bye"

    router.add_get("/", home)
    router.add_get("/end", end)
    one, other = client(app), client(app)
    assert [one.get("/").text, one.get("/").text, other.get("/").text, one.get("/").text] == ["1", "2", "1", "3"]
    one.get("/end")
    assert one.get("/").text == "1"


def test_the_frameworks_middleware_over_a_store_of_ones_own() -> None:
    """A `SessionStore` of the application's own goes through BlackSheep's middleware as it is."""

    class Own(SessionStore):
        values: dict[str, Any] = {}

        async def load(self, request: Request) -> Session:
            return Session(self.values)

        async def save(self, request: Request, response: Response, session: Session) -> None:
            self.values.update(session.to_dict())

    router = Router()
    app = Application(router=router)
    app.middlewares.append(SessionMiddleware(Own()))
    router.add_get("/", lambda request: str(request.session.set("seen", 1)))
    assert client(app).get("/").status_code == 200
    assert Own.values == {"seen": 1}


def test_use_sessions_takes_each_store_class() -> None:
    """The store classes of the documentation, from below the prefix, are used with everything that the engine does."""
    for store in (CookieSessionStore(KEY, session_max_age=60), InMemorySessionStore("session")):
        router = Router()
        app = Application(router=router)
        app.use_sessions(store)
        router.add_get("/", lambda request: str(ours.get_session(request).increment("n")))
        browser = client(app)
        assert [browser.get("/").text, browser.get("/").text] == ["1", "2"]
        assert app._sessions is not None
        assert app._sessions.manager is store.manager


@pytest.mark.parametrize("given", ["a key", "memory:", None, SessionManager("memory:"), KEY.encode()])
def test_a_middleware_without_a_store_names_the_cure(given: Any) -> None:
    """A string, a URL or a manager where a store object is expected is refused with what to call instead."""
    with pytest.raises(ConfigurationError, match="use_sessions"):
        SessionMiddleware(given)


@pytest.mark.parametrize("given", [None, 7, SessionManager("memory:")])
def test_a_cookie_store_without_a_key_names_the_cure(given: Any) -> None:
    """None, from a variable of the environment that is not set, is no key."""
    with pytest.raises(ConfigurationError, match="environment variable is not set"):
        CookieSessionStore(given)


def test_one_prefix_too_few_is_said() -> None:
    """With an application imported from ``blacksheep`` itself, `get_session` says which import line to change."""
    router = Router()
    app = BlackSheepApplication(router=router, show_error_details=False)
    app.use_sessions(KEY)
    told: list[str] = []

    def home(request: Request) -> str:
        with pytest.raises(ConfigurationError, match=r"import Application.* from limpet.adapters.blacksheep") as caught:
            ours.get_session(request)
        told.append(str(caught.value))
        return "told"

    router.add_get("/", home)
    assert client(app).get("/").text == "told"
    assert told


def test_patches_can_be_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test may patch a name of a module below the prefix; afterwards it is BlackSheep's again."""
    here = import_module("limpet.adapters.blacksheep.server.csrf")
    real = import_module("blacksheep.server.csrf")
    before = real.use_anti_forgery
    monkeypatch.setattr(here, "use_anti_forgery", "patched")
    assert here.use_anti_forgery == "patched"
    monkeypatch.undo()
    assert here.use_anti_forgery is before is real.use_anti_forgery
    assert "use_anti_forgery" in dir(here)
    assert import_module("limpet.adapters.blacksheep.server.env") is import_module("blacksheep.server.env")


def test_star_imports_bring_the_counterparts() -> None:
    """``from limpet.adapters.blacksheep.server.csrf import *`` gives what BlackSheep's gives, with our application."""
    names: dict[str, Any] = {}
    exec("from limpet.adapters.blacksheep.server.csrf import *", names)  # noqa: S102 - only an import line does this
    assert names["Application"] is Application
    assert names["AntiForgeryHandler"] is import_module("blacksheep.server.csrf").AntiForgeryHandler
