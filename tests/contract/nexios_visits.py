"""What the tests of the Nexios documents share: an application that counts visits, and visitors."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx

from limpet.adapters.nexios import MakeConfig, NexiosApp, SessionConfig, SessionMiddleware
from limpet.testing import FakeClock, client
from limpet.testing.clients import SessionClient

__all__ = ["SECRET", "attributes", "configured", "cookie_lines", "counting", "replay", "turn_clock", "visitor"]

SECRET = "mQ3x0Jq7bT1vYk9sZr5wLc2hNf8dGp4uEa6iXo-_RtV"


def counting(app: NexiosApp) -> NexiosApp:
    """Add routes that count visits, peek at the count, do not touch the session, and end it; return the app."""

    @app.get("/")
    async def count(req: Any, res: Any) -> Any:
        req.session["visits"] = req.session.get("visits", 0) + 1
        return res.text(str(req.session["visits"]))

    @app.get("/peek")
    async def peek(req: Any, res: Any) -> Any:
        return res.json(req.session.get("visits"))

    @app.get("/plain")
    async def plain(req: Any, res: Any) -> Any:
        return res.text("nothing to remember")

    @app.get("/end")
    async def end(req: Any, res: Any) -> Any:
        req.session.clear()
        return res.text("bye")

    return app


def configured(**session: Any) -> NexiosApp:
    """Return a counting application of the third generation with these session options."""
    app = NexiosApp(config=MakeConfig(secret_key=SECRET, session=SessionConfig(**session)))
    app.add_middleware(SessionMiddleware())
    return counting(app)


def visitor(app: NexiosApp, base_url: str = "http://testserver", **options: Any) -> SessionClient:
    """Return a browser with an empty cookie jar, over plain http."""
    return client(app, base_url=base_url, **options)


def replay(app: NexiosApp, cookie: str, path: str = "/peek", name: str = "session_id") -> httpx.Response:
    """Return what somebody is answered who sends just this cookie."""
    return visitor(app).get(path, headers={"cookie": f"{name}={cookie}"})


def cookie_lines(response: httpx.Response, name: str = "session_id") -> list[str]:
    """Return the ``Set-Cookie`` lines for one cookie."""
    return [line for line in response.headers.get_list("set-cookie") if line.startswith(f"{name}=")]


def attributes(app: NexiosApp, name: str = "session_id", base_url: str = "http://testserver") -> list[str]:
    """Return the attributes of the cookie that a first visit sets."""
    [line] = cookie_lines(visitor(app, base_url).get("/"), name)
    return line.split("; ")[1:]


def turn_clock(app: NexiosApp) -> FakeClock:
    """Give an application's sessions a clock that the test turns."""
    clock = app.session_manager.clock = FakeClock()
    return clock
