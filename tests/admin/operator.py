"""An application with the admin page in it, and an operator without JavaScript who reads pages and sends forms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from limpet import SessionManager
from limpet.adapters.starlette import SessionMiddleware, get_session
from limpet.admin import Admin, Allow
from limpet.testing import FakeClock

__all__ = ["ORIGIN", "Operator", "Site", "is_root"]

ORIGIN = "https://shop.example"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
SECRET = "kJ2mX9vQ4tR7wZ1nB6cY3fH8sD5gL0pA"


async def login(request: Request) -> Response:
    session = get_session(request)
    session.login(request.query_params["as"])
    session["basket"] = "a-secret-wish"
    return PlainTextResponse("in")


async def public_id(request: Request) -> Response:
    return PlainTextResponse(get_session(request).public_id or "")


async def write(request: Request) -> Response:
    get_session(request)["seen"] = "yes"
    return PlainTextResponse("written")


async def logout(request: Request) -> Response:
    get_session(request).logout()
    return PlainTextResponse("out")


async def whoami(request: Request) -> Response:
    return PlainTextResponse(get_session(request).subject or "nobody")


def is_root(request: Request) -> bool:
    """Let in who is signed in as root."""
    return get_session(request).subject == "root"


@dataclass
class Site:
    """An application whose page for operators is at /sessions."""

    store: Any = "memory:"
    allow: Allow = field(default=lambda request: request.headers.get("x-role") == "operator")
    show_values: bool = False
    bound: bool = False
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.manager = SessionManager(self.store, secret=SECRET, devices=True, bound=self.bound, clock=self.clock)
        self.admin = Admin(self.manager, allow=self.allow, show_values=self.show_values)
        self.app = Starlette(
            routes=[
                Route("/login", login),
                Route("/public-id", public_id),
                Route("/write", write),
                Route("/logout", logout),
                Route("/whoami", whoami),
                Mount("/sessions", self.admin),
            ],
            middleware=[Middleware(SessionMiddleware, manager=self.manager)],
        )

    def browser(self, agent: str = FIREFOX) -> httpx.AsyncClient:
        """Return a visitor's browser."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app), base_url=ORIGIN, headers={"user-agent": agent}
        )

    async def visitor(self, name: str | None, agent: str | None = None) -> httpx.AsyncClient:
        """Return a browser with a session, signed in under that name if there is one."""
        browser = self.browser(agent or FIREFOX)
        answer = await (browser.get("/write") if name is None else browser.get("/login", params={"as": name}))
        assert answer.status_code == 200, answer.text
        return browser

    async def ids(self, name: str) -> list[str]:
        """Return the public ids of a subject's sessions, the last used first."""
        return [info.public_id for info in await self.manager.sessions_of(name)]


class Operator:
    """Somebody whom the application lets in."""

    def __init__(self, site: Site) -> None:
        self.http = site.browser()
        self.http.headers["x-role"] = "operator"
        self.page = ""
        self.path = ""

    async def look(self, path: str = "/sessions/", **query: str) -> httpx.Response:
        """Load a page, as a link or a search would."""
        answer = await self.http.get(path, params=query or None, follow_redirects=True)
        self.page, self.path = answer.text, answer.url.raw_path.decode()
        return answer

    async def send(self, headers: Mapping[str, str] | None = None, /, **fields: str) -> httpx.Response:
        """Send the form of the page that was loaded last; return the answer before it is followed."""
        form = re.search(r'<form method="post" action="([^"]+)".*?</form>', self.page, re.DOTALL)
        assert form, "the page has no form to send"
        sent = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[0]))
        return await self.http.post(unescape(form[1]), data={**sent, **fields}, headers=headers or {"origin": ORIGIN})

    async def confirm(self, **fields: str) -> None:
        """Send the form and follow its answer."""
        answer = await self.send(**fields)
        assert answer.status_code == 303, answer.text
        await self.look(answer.headers["location"])

    @property
    def text(self) -> str:
        """What the page says, without its markup, white space made single."""
        return _words(re.sub(r"<(style|script)\b.*?</\1>", " ", self.page, flags=re.DOTALL))

    def part(self, name: str) -> str:
        """Return the text of one element of the page."""
        found = re.search(rf'<(\w+)[^>]*\bid="{name}".*?</\1>', self.page, re.DOTALL)
        assert found, f"the page has no {name}"
        return _words(found[0])

    def rows(self) -> list[str]:
        """Return the text of each row of the table of sessions."""
        table = re.search(r'<table class="sessions".*?</table>', self.page, re.DOTALL)
        found = re.findall(r'<tr role="row">(.*?)</tr>', table[0], re.DOTALL)[1:] if table else []
        return [_words(row) for row in found]

    def link(self, text: str) -> str:
        """Return where the link of that text leads."""
        found = re.search(rf'<a [^>]*href="([^"]+)"[^>]*>{re.escape(text)}</a>', self.page)
        assert found, f"the page has no link {text!r}"
        return unescape(found[1])

    def end_all(self) -> str:
        """Return where the link to end all sessions of somebody leads."""
        found = re.search(r'href="(/sessions/end-all[^"]+)"', self.page)
        assert found, "the page does not offer to end all sessions of somebody"
        return unescape(found[1])


def _words(html: str) -> str:
    within_a_sentence = re.sub(r"</?(?:bdi|strong|span)\b[^>]*>", "", html)
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", within_a_sentence).split()))
