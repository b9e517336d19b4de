"""An application that is mounted below a path: what browsers are told leads below it, whatever it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from limpet import SessionManager
from limpet import wsgi as limpet_wsgi
from limpet.asgi import SessionMiddleware, session_in
from limpet.bound import BoundPolicy
from tests.bound.device import Browser, Send, asgi, wsgi
from tests.bound.sites import act, plain
from tests.security.site import SECRET

MOUNTS = ["/shop", "/größe", "/two words", '/in"quotes"', "/a%2Fb", "/a;b,c", "/back\\slash"]
BOUND = BoundPolicy(exclude=("/static",))


def over_asgi(mount: str) -> Send:
    """Return what sends requests to a plain application below a mount."""

    async def page(request: Request) -> JSONResponse:
        return JSONResponse(act(session_in(request.scope), request.path_params["path"]))

    manager = SessionManager("memory:", secret=SECRET, bound=BOUND)
    deep = Starlette(routes=[Route("/{path:path}", page)], middleware=[Middleware(SessionMiddleware, manager)])
    return asgi(Starlette(routes=[Mount(mount, deep)]))


def of_a_proxy(mount: str) -> Send:
    """Return the same behind a proxy that takes the mount away, as a server says it that is started with a path."""
    app = plain(SessionManager("memory:", secret=SECRET, bound=BOUND))

    async def served(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": f"{mount}/", "path": scope["path"].removeprefix(mount)}, receive, send)

    return asgi(served)


def script(app: Any, mount: str) -> Any:
    """Return an application of WSGI below a mount."""

    def mounted(environ: Any, start_response: Any) -> Any:
        name = mount.encode().decode("latin-1")
        path = environ["PATH_INFO"].removeprefix(mount).removeprefix(name)
        return app({**environ, "SCRIPT_NAME": name, "PATH_INFO": path}, start_response)

    return mounted


def over_wsgi(mount: str) -> Send:
    """Return what sends requests to a plain application of WSGI below a mount."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        session = limpet_wsgi.session_in(environ)
        if environ["PATH_INFO"].startswith("/login"):
            session.login("ann")
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b'"ann"' if session.subject else b"null"]

    manager = SessionManager("memory:", secret=SECRET, bound=BOUND)
    return wsgi(script(limpet_wsgi.SessionMiddleware(app, manager), mount))


PLACES: dict[str, Callable[[str], Send]] = {
    "asgi": over_asgi,
    "behind a proxy": of_a_proxy,
    "wsgi": over_wsgi,
    "django": lambda mount: wsgi(script(django_over_wsgi(), mount)),
    "django-async": lambda mount: django_over_asgi(mount),
}


def django_over_wsgi() -> Any:
    """Return Django as an application of WSGI."""
    return WSGIHandler()


def django_over_asgi(mount: str) -> Send:
    """Return what sends requests to Django over ASGI below a mount."""
    handler: Any = ASGIHandler
    handler = handler()

    async def served(scope: Any, receive: Any, send: Any) -> None:
        await handler({**scope, "root_path": mount}, receive, send)

    return asgi(served)


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("place", PLACES)
async def test_what_a_browser_is_told_leads_below_the_mount(place: str, mount: str) -> None:
    """As a URL has it: a header holds ASCII alone, and its strings no quotes."""
    limpet = {"store": "memory:", "secret": SECRET, "bound": BOUND}
    urls = "tests.bound.django_aurls" if "async" in place else "tests.bound.django_urls"
    with override_settings(LIMPET=limpet, ROOT_URLCONF=urls, SESSION_COOKIE_SECURE=True):
        ann, below = Browser(PLACES[place](mount)), quote(mount)
        reply = await ann.get(f"{below}/login/ann")
        line = reply.one("secure-session-registration")
        assert f'path="{below}/device-bound-session/registration"' in line
        assert line.isascii()
        assert (await ann.register()).status == 200
        assert ann.told["refresh_url"] == f"{below}/device-bound-session/refresh"
        assert [rule["path"] for rule in ann.told["scope"]["scope_specification"]] == [f"{below}/static"]
        assert (await ann.refresh()).status == 200
        assert (await ann.get(f"{below}/me")).json() == "ann"
