"""What users of Litestar expect of a session, beyond what every framework has."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, Response, Router, asgi, get, post
from litestar.exceptions import NotFoundException
from litestar.middleware import DefineMiddleware
from litestar.plugins.flash import FlashConfig, FlashPlugin, flash
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template.config import TemplateConfig
from litestar.types import Receive, Scope, Send

from limpet import ConfigurationError, SessionManager, SessionPolicy, StoreUnavailable
from limpet.adapters.litestar import Session, SessionDep, SessionPlugin, get_session
from limpet.asgi import SessionMiddleware
from limpet.csrf import CSRFMiddleware, csrf_token
from limpet.stores.memory import MemoryStore
from limpet.testing import client
from limpet.testing._adapter_site import WatchedStore
from tests.adapters.litestar_app import AnyRequest, app_of, data, visits


@get("/has")
async def has(request: AnyRequest) -> bool:
    return "session" in request.scope


def test_request_session_is_the_dependency() -> None:
    """``request.session``, the dependency and ``get_session`` are one object."""

    @get("/same")
    async def same(request: AnyRequest, session: SessionDep) -> bool:
        held: Any = request.session
        return isinstance(session, Session) and held is session is get_session(request)

    with client(app_of(same)) as browser:
        assert browser.get("/same").json() is True


@pytest.mark.parametrize("where", ["route", "router", "app"])
def test_opt_out(where: str) -> None:
    """``skip_session=True`` on a route, or ``opt`` on a layer above it, does without session and store."""
    store = WatchedStore(MemoryStore())
    plain = get("/plain", opt={"skip_session": True} if where == "route" else None)(has.fn)
    inner: Any = plain if where == "route" else Router("/in", route_handlers=[plain], opt={"skip_session": True})
    if where == "app":
        app = Litestar([plain], plugins=[SessionPlugin(SessionManager(store))], opt={"skip_session": True})
        path = "/plain"
    else:
        app, path = app_of(inner, has, manager=SessionManager(store)), "/plain" if where == "route" else "/in/plain"
    with client(app) as browser:
        if where != "app":
            browser.get("/visits")
            assert browser.get("/has").json() is True
        store.calls.clear()
        answer = browser.get(path)
        assert answer.json() is False
        assert "set-cookie" not in answer.headers
        assert store.calls == []


def test_opt_out_under_another_name() -> None:
    """The key of the opt-out can be chosen."""
    plain = get("/plain", anonymous=True)(has.fn)
    with client(app_of(plain, exclude_opt_key="anonymous")) as browser:
        assert browser.get("/plain").json() is False


@pytest.mark.parametrize("exclude", ["^/ha", ["^/other", "as$"], re.compile("^/HA", re.I), (re.compile("as$"),)])
def test_exclude_is_a_pattern(exclude: Any) -> None:
    """``exclude`` is searched in the path, as Litestar's middlewares do."""
    with client(app_of(has, exclude=exclude)) as browser:
        assert browser.get("/has").json() is False
        assert browser.get("/visits").json() == 1


@pytest.mark.parametrize("exclude", ["*/has", ["("], [5]])
def test_exclude_that_is_no_pattern(exclude: Any) -> None:
    """It is refused with the sentence that says what to write."""
    with pytest.raises(ConfigurationError, match=r"write .*\^/health"):
        SessionPlugin("memory:", exclude=exclude)


def test_dependency_on_an_excluded_route() -> None:
    """A handler that asks for a session where there is none is a mistake, and answers so."""
    broken = get("/broken", skip_session=True)(visits.fn)
    with client(app_of(broken)) as browser:
        assert browser.get("/broken").status_code == 500


def test_middlewares_of_the_application_have_the_session() -> None:
    """The session is outside of every other middleware, however they are listed."""
    seen: list[bool] = []

    def look(app: Any) -> Any:
        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(isinstance(scope.get("session"), Session))
            await app(scope, receive, send)

        return middleware

    app = Litestar([visits], plugins=[SessionPlugin("memory:")], middleware=[look])
    with client(app) as browser:
        browser.get("/visits")
    assert seen == [True]


def test_exception_handlers_have_the_session() -> None:
    """An exception handler may read and write the session of a route; its 4xx is saved."""

    class Refused(Exception):
        pass

    def refuse(request: AnyRequest, error: Refused) -> Response[str]:
        request.session["refused"] = True
        return Response("no", status_code=403)

    @get("/refuse")
    async def fail() -> None:
        raise Refused

    app = Litestar([fail, data], plugins=[SessionPlugin("memory:")], exception_handlers={Refused: refuse})
    with client(app) as browser:
        assert browser.get("/refuse").status_code == 403
        assert browser.get("/data").json() == {"refused": True}


def test_unknown_paths() -> None:
    """On a path without a route there is no session; with the middleware around the application there is."""

    def lost(request: AnyRequest, error: NotFoundException) -> Response[bool]:
        return Response("session" in request.scope, status_code=404)

    manager = SessionManager("memory:")
    app = Litestar([visits], plugins=[SessionPlugin(manager)], exception_handlers={NotFoundException: lost})
    with client(app) as browser:
        assert browser.get("/nowhere").json() is False
    with client(SessionMiddleware(app, manager)) as browser:
        assert browser.get("/nowhere").json() is True
        assert [browser.get("/visits").json() for _ in range(2)] == [1, 2]


def test_mounted_application() -> None:
    """An ASGI application that is mounted finds the session in its scope, and may be left out by its path."""

    @asgi("/mounted", is_mount=True, copy_scope=True)
    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        text = b"yes" if "session" in scope else b"no"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text, "more_body": False})

    with client(app_of(mounted)) as browser:
        assert browser.get("/mounted/deep").text == "yes"
    with client(app_of(mounted, exclude="^/mounted")) as browser:
        assert browser.get("/mounted/deep").text == "no"


def test_conflicts_are_a_409() -> None:
    """What the engine raises in a handler has the status that it has everywhere."""

    policy = SessionPolicy(merge={"key": "strict"})
    manager = SessionManager("memory:", policy=policy)

    @get("/strict")
    async def strict(request: AnyRequest, session: SessionDep) -> None:
        other = await manager.begin(list(request.scope["headers"])).load()
        other["key"], session["key"] = 1, 2
        await other.save()
        await session.save()

    with client(app_of(strict, manager=manager)) as browser:
        browser.get("/visits")
        assert browser.get("/strict").status_code == 409


def test_an_answer_of_your_own_to_an_outage() -> None:
    """The application's own exception handler for an outage is not overridden."""

    def sorry(request: AnyRequest, error: StoreUnavailable) -> Response[str]:
        return Response("sorry", status_code=503)

    @get("/down")
    async def down() -> None:
        raise StoreUnavailable

    answers: list[tuple[dict[Any, Any], str]] = [({StoreUnavailable: sorry}, "sorry"), ({}, "not available")]
    for handlers, said in answers:
        with client(Litestar([down], plugins=[SessionPlugin("memory:")], exception_handlers=handlers)) as browser:
            answer = browser.get("/down")
            assert answer.status_code == 503
            assert said in answer.text


def test_two_managers() -> None:
    """Two plugins give two sessions under two names."""

    @get("/both")
    async def both(session: SessionDep, staff: SessionDep) -> list[int]:
        return [session.increment("visits"), staff.increment("visits", by=10)]

    app = Litestar(
        [both],
        plugins=[
            SessionPlugin("memory:"),
            SessionPlugin(SessionManager("memory:", label="staff"), scope_key="staff"),
        ],
    )
    with client(app) as browser:
        assert browser.get("/both").json() == [1, 10]
        assert browser.get("/both").json() == [2, 20]


def test_seeding_in_tests() -> None:
    """``client(app)`` finds the manager by itself, with or without a route at the root."""

    @get("/")
    async def root(session: SessionDep) -> str | None:
        return session.subject

    with client(app_of(root)) as browser:
        with browser.session() as session:
            session.login("ann")
        assert browser.get("/").text == "ann"
    with client(app_of()) as browser, browser.session() as session:
        assert session.is_new


def test_store_is_opened_and_closed_with_the_application() -> None:
    """The application's start opens the store, and its end closes it."""
    calls: list[str] = []

    class Noting(MemoryStore):
        async def open(self) -> None:
            calls.append("open")

        async def close(self) -> None:
            calls.append("close")

    with client(app_of(manager=Noting())):
        assert calls == ["open"]
    assert calls == ["open", "close"]


@pytest.mark.parametrize("token", [csrf_token, lambda request: csrf_token(request.scope)])
def test_csrf(token: Callable[[Any], str]) -> None:
    """The CSRF middleware is one like any other, and its tokens survive ``set_session``."""

    @get("/form")
    async def form(request: AnyRequest) -> str:
        return token(request)

    @post("/send")
    async def send(request: AnyRequest) -> str:
        request.set_session({"a": 1})
        return "sent"

    app = Litestar([form, send], plugins=[SessionPlugin("memory:")], middleware=[DefineMiddleware(CSRFMiddleware)])
    with client(app) as browser:
        good = browser.get("/form").text
        assert browser.post("/send").status_code == 403
        for _ in range(2):
            assert browser.post("/send", headers={"x-csrf-token": good}).status_code == 201
        assert browser.post("/send", data={"csrf_token": good}).status_code == 201


def test_get_session_after_set_session() -> None:
    """`get_session` is the session itself even then; without the plugin it says what is missing."""

    @get("/held")
    async def held(request: AnyRequest) -> bool:
        request.set_session({"a": 1})
        return isinstance(get_session(request), Session)

    with client(app_of(held)) as browser:
        assert browser.get("/held").json() is True

    @get("/bare")
    async def bare(request: AnyRequest) -> str:
        with pytest.raises(ConfigurationError, match="SessionMiddleware"):
            get_session(request)
        return "said"

    with client(Litestar([bare])) as browser:
        assert browser.get("/bare").text == "said"


@pytest.mark.parametrize("everywhere", [True, False])
def test_litestars_flash_plugin_takes_ours_for_a_session_middleware(everywhere: bool, tmp_path: Path) -> None:
    """`FlashPlugin` refuses to work without one, and knows it by its class."""
    (tmp_path / "page.html").write_text("{% for told in get_flashes() %}{{ told.message }}{% endfor %}")
    templates = TemplateConfig(directory=tmp_path, engine=JinjaTemplateEngine)
    sessions = SessionPlugin("memory:", everywhere=everywhere)

    @post("/tell")
    async def tell(request: AnyRequest) -> None:
        flash(request, "saved", "info")

    @get("/page")
    async def page() -> Template:
        return Template("page.html")

    app = Litestar(
        [tell, page],
        middleware=[] if everywhere else [sessions.middleware],
        plugins=[sessions, FlashPlugin(FlashConfig(template_config=templates))],
        template_config=templates,
    )
    with client(app) as browser:
        assert browser.get("/page").text == ""
        browser.post("/tell")
        browser.post("/tell")
        assert [browser.get("/page").text for _ in range(2)] == ["savedsaved", ""]
