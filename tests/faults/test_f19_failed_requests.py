"""F19: what is kept of a request that failed: a logout, and nothing else. A 4xx is no failure."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from limpet import Session, SessionManager
from limpet.asgi import SessionMiddleware
from tests.faults.service import Service, add, read, refused
from tests.races.counted import CountedSite
from tests.site import Handler


def log_in(session: Session) -> None:
    session.login("ada")


def clear(session: Session) -> None:
    session.clear()


def after(handler: Handler) -> Handler:
    """Return a handler that fails when it has done its work."""

    def fails(session: Session) -> None:
        handler(session)
        raise RuntimeError("the handler failed")

    return fails


async def breaks(site: CountedSite, handler: Handler, token: str) -> None:
    """Send a request whose exception reaches the server."""
    with pytest.raises(RuntimeError, match="the handler failed"):
        await site.ask(handler, token)


@pytest.mark.parametrize("handler", [add, log_in, Session.regenerate])
async def test_f19_an_exception_drops_what_was_written(service: Service, handler: Handler) -> None:
    """Writes, a login and a new id of a request that raised are as if they had not been."""
    site = await service.site()
    token = await site.session(n=1)
    await breaks(site, after(handler), token)
    reply = await site.ask(lambda session: (session.subject, dict(session)), token)
    assert reply.result == (None, {"n": 1})


@pytest.mark.parametrize("handler", [Session.logout, clear])
async def test_f19_an_exception_keeps_the_end_of_a_session(service: Service, handler: Handler) -> None:
    """Who logged out is out, whatever failed after that."""
    site = await service.site()
    token = await site.session(n=1)
    await breaks(site, after(handler), token)
    assert await site.read(token) is None


@pytest.mark.parametrize(("status", "saved"), [(200, True), (403, True), (422, True), (500, False), (503, False)])
async def test_f19_the_status_decides(service: Service, status: int, saved: bool) -> None:
    """A 4xx saves what the handler wrote, a 5xx does not; a logout is kept with either."""
    site = await service.site()
    token = await site.session(n=0)
    assert (await site.ask(add, token, status=status)).status == status
    assert await site.read(token) == {"n": int(saved)}
    reply = await site.ask(log_in, token, status=status)
    assert (reply.token is not None) == saved
    assert (await site.ask(Session.logout, reply.token or token, status=status)).status == status
    assert await site.read(reply.token or token) is None


async def test_f19_save_on_error(service: Service) -> None:
    """With ``save_on_error=True`` a 500 saves like any other response."""
    site = await service.site(save_on_error=True)
    token = await site.session(n=0)
    await site.ask(add, token, status=500)
    assert await site.read(token) == {"n": 1}


async def test_f19_an_exception_beside_an_outage(service: Service) -> None:
    """The handler fails and the store is down: its own exception is what comes out, and nothing was done."""
    site = await service.site()
    token = await site.session(n=1)

    async def broken(session: Session) -> None:
        session.logout()
        await service.proxy.refuse()
        raise RuntimeError("the handler failed")

    await breaks(site, broken, token)
    assert refused(await site.ask(read, token))
    await service.proxy.start()
    assert await site.read(token) == {"n": 1}


class Framework:
    """A real application, whose exceptions come from where frameworks have them."""

    def __init__(self, service: Service) -> None:
        self.site = CountedSite(service.store())

        def route(path: str, answer: Callable[[Session], Response]) -> Route:
            def endpoint(request: Request) -> Response:
                session: Session = request.scope["session"]
                session.increment("n")
                return answer(session)

            return Route(path, endpoint)

        def later(session: Session) -> Callable[[], None]:
            def task() -> None:
                session.increment("n")
                raise RuntimeError("the background task failed")

            return task

        def refuse(status: int) -> Response:
            raise HTTPException(status)

        app = Starlette(
            routes=[
                route("/forbidden", lambda session: refuse(403)),
                route("/unavailable", lambda session: refuse(503)),
                route("/fine", lambda session: PlainTextResponse("fine")),
                route("/task", lambda session: PlainTextResponse("ok", background=BackgroundTask(later(session)))),
            ]
        )
        middleware = SessionMiddleware(app, self.site.manager)
        transport = httpx.ASGITransport(middleware, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="https://testserver")


@pytest.mark.parametrize(
    ("path", "status", "saved"),
    [("/fine", 200, 1), ("/forbidden", 403, 1), ("/unavailable", 503, 0), ("/task", 200, 1)],
)
async def test_f19_in_a_framework(service: Service, path: str, status: int, saved: int) -> None:
    """An exception that the framework answers counts by its status; a background task that failed saves nothing."""
    await service.site()
    framework = Framework(service)
    async with framework.client as client:
        token = await framework.site.session(n=0)
        reply = await client.get(path, headers={"cookie": f"{framework.site.manager.cookie_name}={token}"})
        assert reply.status_code == status
        assert await framework.site.read(token) == {"n": saved}


async def test_f19_the_cookie_of_a_logout_that_failed() -> None:
    """An error page from outside the middleware cannot delete the cookie, which opens nothing; one from inside does."""

    async def page(request: Request) -> Response:
        session: Session = request.scope["session"]
        if request.method == "GET":
            return PlainTextResponse(str(session.subject))
        if request.query_params["then"] == "login":
            session.login("ada")
            return PlainTextResponse("")
        session.logout()
        if request.query_params["then"] == "raise":
            raise RuntimeError("the handler failed")
        raise HTTPException(500)

    app = Starlette(routes=[Route("/", page, methods=["GET", "POST"])])
    app.add_middleware(SessionMiddleware, manager=SessionManager("memory:", dev=True))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    for then, kept in (("raise", True), ("refuse", False)):
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as browser:
            await browser.post("/", params={"then": "login"})
            before = dict(browser.cookies)
            failed = await browser.post("/", params={"then": then})
            assert (failed.status_code, bool(browser.cookies)) == (500, kept)
            browser.cookies.update(before)
            assert (await browser.get("/")).text == "None"
