"""A server for the web platform tests of Device Bound Session Credentials, in which limpet does what theirs does.

A page of theirs says how the server is to be, logs in, takes cookies away, and looks at what comes back. Here each of
its tests has a manager of its own, and what the page asks for becomes settings of that. What has no setting is refused,
and noted.

Two things stand between. The pages look for a cookie by its value, where limpet has the signed token of a proof: each
stands for the other on the way. And limpet gives the cookie of a proof with the first proof, before the next request,
where their server gives it at once: so beside every page is a script that asks for something after a login, as pages of
applications do.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from limpet import CookiePolicy, SessionManager, events
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.asgi import Message, Receive, Scope, Send
from limpet.bound import BoundPolicy
from limpet.stores.memory import MemoryStore
from tests.security.site import SECRET

__all__ = ["FOLDER", "HOST", "HOSTS", "Pages"]

HOST: Final = "pages.test"
HOSTS: Final = (HOST, f"www1.{HOST}", f"www2.{HOST}")
FOLDER: Final = "/device-bound-session-credentials"
OUTSIDE: Final = ("request_early_challenge", "end_session_via_clear_site_data", "pull_server_state", "set_cookie")
"""Handlers before which their server wants no proof."""

SAID: Final = {
    "{{host}}": HOST,
    "{{domains[www2]}}": f"www2.{HOST}",
    "{{hosts[alt][]}}": "elsewhere.test",
    "{{ports[http][0]}}": "80",
    "{{ports[http][1]}}": "81",
    "{{ports[https][0]}}": "443",
    "{{ports[https][1]}}": "444",
}
REPORT: Final = """
setup({timeout_multiplier: 6, output: false});
add_completion_callback((tests, status) => {
  window.verdict = {
    harness: status.message,
    tests: tests.map(each => ({name: each.name, passed: each.status === each.PASS, message: each.message})),
  };
});
async function goOn() {
  const before = document.cookie;
  for (let times = 0; times < 100 && document.cookie === before; times++) {
    await new Promise(done => setTimeout(done, 50));
    await fetch("going_on.py");
  }
}
new PerformanceObserver(list => {
  if (list.getEntries().some(entry => entry.name.endsWith("/login.py"))) goOn();
}).observe({type: "resource", buffered: true});
"""
"""In the place of ``testharnessreport.js``, which is for those who run the tests to write."""


class Beyond(Exception):
    """A page asks for what limpet has no setting for."""


class Attempt:
    """The server as one test of a page sees it.

    Args:
        secure: The page came over TLS.
    """

    def __init__(self, secure: bool) -> None:
        self._secure = secure
        self._store = MemoryStore()
        self._name, self._value = "auth_cookie", "abcdef0123"
        self._attributes: dict[str, Any] = {"domain": HOST}
        self._whole_site = True
        self._ends = False
        self._proof = ""
        self._bound = False
        self.proven = False
        self._start()

    def _start(self) -> None:
        """Begin to serve with the settings as they are now; the sessions stay."""
        attributes: dict[str, Any] = {"secure": False, "http_only": False, "path": FOLDER, **self._attributes}
        proof = CookiePolicy(name=self._name, **attributes)
        bound = BoundPolicy(
            cookie=proof,
            path=FOLDER,
            exclude=[f"{FOLDER}/{name}.py" for name in OUTSIDE],
            include_site=self._whole_site and proof.domain is not None,
            settle=0,
        )
        account = CookiePolicy(name="account", domain=HOST, secure=self._secure)
        self._manager = SessionManager(self._store, secret=SECRET, bound=bound, cookie=account, dev=False)
        self._manager.listen(self._note)
        pages = (self.configure_server, self.login, self.verify_authenticated, self.pull_server_state, self.going_on)
        routes = [Route(f"{FOLDER}/{page.__name__}.py", page, methods=["GET", "POST"]) for page in pages]
        self._app = SessionMiddleware(Starlette(routes=routes), self._manager)

    def _note(self, event: events.Event) -> None:
        self._bound = self._bound or isinstance(event, events.DeviceBound)
        self.proven = self.proven or isinstance(event, events.DeviceProven)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("/login.py"):
            await asyncio.sleep(0.2)  # the pages do not wait until they have said how the server is to be
        elif scope["path"] == f"{FOLDER}/refresh" and self._ends and self._bound:
            await self._manager.revoke_all("ann")
        theirs, ours = f"{self._name}={self._value}".encode(), f"{self._name}={self._proof}".encode()
        headers = [
            (name, value.replace(theirs, ours) if name == b"cookie" and self._proof else value)
            for name, value in scope["headers"]
        ]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, self._as_theirs(value) if name == b"set-cookie" else value)
                    for name, value in message["headers"]
                ]
            await send(message)

        said = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
        await self._app({**scope, "headers": headers, "said": said.decode().split("; ")}, receive, answer)

    def _as_theirs(self, line: bytes) -> bytes:
        """Return a Set-Cookie line with the value that the page looks for in the place of a proof."""
        pair, _, rest = line.partition(b";")
        name, _, value = pair.decode().partition("=")
        if name != self._name or not value:
            return line
        self._proof = value
        return f"{name}={self._value};".encode() + rest

    def configure(self, asked: dict[str, Any]) -> None:
        """Take over what a page says of the server.

        Raises:
            Beyond: limpet has no setting for it.
        """
        for what, value in asked.items():
            if what == "shouldRefreshEndSession":
                self._ends = value
            elif what == "cookieNameAndValue":
                self._name, _, self._value = value.partition("=")
            elif what == "cookieAttributes":
                found = [each.strip().partition("=") for each in value.split(";") if each.strip()]
                self._attributes = {name.strip().lower(): given or True for name, _, given in found}
            elif what == "scopeOrigin" and value == f"https://{HOST}":
                self._whole_site = False  # then the origin is the one that registers
            elif what == "refreshSendsChallenge" and not value:
                pass  # the answer to a registration brings the challenge of the first proof, and each proof the next
            else:
                raise Beyond(what)
        self._start()

    # -- the handlers that the pages ask

    async def configure_server(self, request: Request) -> Response:
        """Become as the page says."""
        try:
            self.configure(await request.json())
        except Beyond as beyond:
            request.scope["refused"].add(str(beyond))
            return PlainTextResponse(f"limpet has no setting for {beyond}", 501)
        return PlainTextResponse("")

    async def login(self, request: Request) -> Response:
        """Begin a session."""
        get_session(request).login("ann")
        return PlainTextResponse("")

    async def verify_authenticated(self, request: Request) -> Response:
        """Say whether the request has the cookie that the page asks about, and limpet the session."""
        asked = (await request.body()).decode() or "auth_cookie=abcdef0123"
        there = asked in request.scope["said"] and get_session(request).subject == "ann"
        origin = request.headers.get("origin", "*")
        headers = {"access-control-allow-origin": origin, "access-control-allow-credentials": "true"}
        return PlainTextResponse("", 200 if there else 401, headers)

    async def pull_server_state(self, request: Request) -> Response:
        """Say whether there was a proof after the first."""
        return JSONResponse({"hasCalledRefresh": self.proven})

    async def going_on(self, request: Request) -> Response:
        """Be asked for something, by our script beside the page."""
        return PlainTextResponse("")


class Pages:
    """Serves the files of a checkout, and an `Attempt` for each test.

    Attributes:
        refused: What pages have asked for, and limpet has no setting for.

    Args:
        folder: The checkout.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._attempts: list[Attempt] = []
        self.refused: set[str] = set()
        own = (self.setup_sharded_server_state, self.end_session_via_clear_site_data, self.set_cookie)
        handlers = [Route(f"{FOLDER}/{page.__name__}.py", page, methods=["GET", "POST"]) for page in own]
        self._paths = {route.path for route in handlers}
        self._own = Starlette(routes=[*handlers, Route("/{path:path}", self.file)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.endswith(".py") or path in (f"{FOLDER}/registration", f"{FOLDER}/refresh"):
            number = Request(scope).cookies.get("test_id", "")
            if path not in self._paths and number.isdigit() and int(number) < len(self._attempts):
                await self._attempts[int(number)]({**scope, "refused": self.refused}, receive, send)
                return
        await self._own(scope, receive, send)

    async def file(self, request: Request) -> Response:
        """Return a file of the checkout, as theirs, or our own report."""
        path = request.path_params["path"]
        if path == "resources/testharnessreport.js":
            return Response(REPORT, media_type="text/javascript")
        found = (self._folder / path).resolve()
        if not found.is_file() or not found.is_relative_to(self._folder.resolve()):
            return PlainTextResponse(f"nothing at {path}", 404)
        text = found.read_text()
        if found.name.endswith(".sub.js"):
            for name, value in SAID.items():
                text = text.replace(name, value)
        return Response(text, media_type="text/html" if found.suffix == ".html" else "text/javascript")

    async def setup_sharded_server_state(self, request: Request) -> Response:
        """Begin a test, or go on with one whose cookie is gone."""
        number = json.loads(await request.body()).get("testId")
        if number is None:
            self._attempts.append(Attempt(request.url.scheme == "https"))
            number = len(self._attempts) - 1
        return PlainTextResponse("", headers={"set-cookie": f"test_id={number}; Domain={HOST}; Path={FOLDER}"})

    async def end_session_via_clear_site_data(self, request: Request) -> Response:
        """Have the browser clear what the page names, cookies unless it does."""
        return PlainTextResponse("", headers={"clear-site-data": (await request.body()).decode() or '"cookies"'})

    async def set_cookie(self, request: Request) -> Response:
        """Set the cookie that the page sends."""
        return PlainTextResponse("", headers={"set-cookie": (await request.body()).decode()})
