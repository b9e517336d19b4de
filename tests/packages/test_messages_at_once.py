"""Messages of packages that keep a list of them in the session: two requests that leave or show some at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import httpx2
import pytest
import sqladmin.flash
import starlette_flash
from litestar import Litestar, get
from litestar import Request as LitestarRequest
from litestar.params import FromPath
from litestar.plugins import flash as litestar_flash
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from limpet import SessionManager, SessionPolicy
from limpet.adapters.litestar import SessionPlugin
from limpet.adapters.starlette import SessionMiddleware
from limpet.asgi import ASGIApp
from limpet.testing import async_client

Leave = Callable[[Any, str], Any]
Show = Callable[[Any], list[str]]


async def during(app: ASGIApp, request: Any, what: str, other: str, leave: Leave, show: Show) -> list[str]:
    """Leave a message, or show all, while another request of the same browser does something else."""
    shown = show(request) if what == "show" else []
    cookie = {"cookie": request.headers["cookie"]}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="https://testserver") as second:
        assert (await second.get(f"/{other}", headers=cookie)).status_code == 200
    if what != "show":
        leave(request, what)
    return shown


def in_starlette(leave: Leave, show: Show, manager: SessionManager) -> ASGIApp:
    """Return an application over Starlette whose page ``/during/…`` is overtaken by another request."""

    async def leaves(request: Request) -> Response:
        leave(request, request.path_params["text"])
        return JSONResponse([])

    async def shows(request: Request) -> Response:
        return JSONResponse(show(request))

    async def both(request: Request) -> Response:
        return JSONResponse(await during(app, request, **request.path_params, leave=leave, show=show))

    app = Starlette(
        routes=[Route("/leave/{text}", leaves), Route("/show", shows), Route("/during/{what}/{other:path}", both)],
        middleware=[Middleware(SessionMiddleware, manager=manager)],
    )
    return app


AnyRequest: TypeAlias = "LitestarRequest[Any, Any, Any]"


def in_litestar(leave: Leave, show: Show, manager: SessionManager) -> ASGIApp:
    """Return the same application over Litestar."""

    @get("/leave/{text:str}")
    async def leaves(request: AnyRequest, text: FromPath[str]) -> list[str]:
        leave(request, text)
        return []

    @get("/show")
    async def shows(request: AnyRequest) -> list[str]:
        return show(request)

    @get("/during/{what:str}/{other:path}")
    async def both(request: AnyRequest, what: FromPath[str], other: FromPath[str]) -> list[str]:
        return await during(app, request, what, str(other).strip("/"), leave, show)

    app = cast("ASGIApp", Litestar([leaves, shows, both], plugins=[SessionPlugin(manager)]))
    return app


def texts(messages: Any) -> list[str]:
    return [each["message"] for each in messages]


Site = tuple[Callable[[Leave, Show, SessionManager], ASGIApp], Leave, Show]

SITES: dict[str, Site] = {
    "starlette-flash": (
        in_starlette,
        lambda request, text: starlette_flash.flash(request).info(text),
        lambda request: texts(starlette_flash.flash(request)),
    ),
    "starlette-flash, by category": (
        in_starlette,
        lambda request, text: starlette_flash.flash(request).info(text),
        lambda request: texts(starlette_flash.flash(request).get_by_category("info")),
    ),
    "SQLAdmin": (
        in_starlette,
        sqladmin.flash.Flash.info,
        lambda request: texts(sqladmin.flash.get_flashed_messages(request)),
    ),
    "Litestar": (
        in_litestar,
        lambda request, text: litestar_flash.flash(request, text, "info"),
        lambda request: texts(litestar_flash.get_flashes({"request": request})),
    ),
    "as FastHTML does": (  # importing it changes Starlette
        in_starlette,
        lambda request, text: request.session.setdefault("toasts", []).append((text, "info", False)),
        lambda request: [text for text, *_ in request.session.pop("toasts", [])],
    ),
    "a list of the application's": (
        in_starlette,
        lambda request, text: request.session.setdefault("notices", []).append(text),
        lambda request: [request.session["notices"].pop(0) for _ in list(request.session.get("notices", ()))],
    ),
}
SESSIONS = [
    ("/during/a/leave/b", ["old", "b", "a"]),
    ("/during/show/leave/b", ["b"]),
    ("/during/a/show", ["a"]),
    ("/during/show/show", []),
]


@pytest.mark.parametrize("strict", [False, True], ids=["", "strict_merge"])
@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
@pytest.mark.parametrize(("overtaken", "left"), SESSIONS)
async def test_messages_of_two_requests_are_both_kept(
    site: Site, overtaken: str, left: list[str], *, strict: bool
) -> None:
    """What was shown is not shown again, and what was left is not lost."""
    make, leave, show = site
    manager = SessionManager("memory:", policy=SessionPolicy(merge={"notices": "queue"}, strict_merge=strict))
    async with async_client(make(leave, show, manager)) as browser:
        for path in ("/leave/old", overtaken):
            assert (await browser.get(path)).status_code == 200
        assert (await browser.get("/show")).json() == left
        assert (await browser.get("/show")).json() == []
