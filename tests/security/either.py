"""A site that either middleware serves, asked by plain functions: what tests of a client's device are written with."""

from __future__ import annotations

from typing import Any

from limpet.testing import client
from limpet.wsgi import SessionMiddleware
from tests.site import Handler, Site
from tests.wsgi.client import Browser, application

__all__ = ["EitherSite"]


class EitherSite(Site):
    """A `Site` that is served over ASGI or WSGI, and notes the devices of its clients.

    Args:
        kind: ``"asgi"`` or ``"wsgi"``.

    Attributes:
        agent: What clients call themselves, unless a request says otherwise.
        address: Where they are.
    """

    agent = "Guess/1"
    address = "127.0.0.1"

    def __init__(self, kind: str, store: str = "memory:", **settings: Any) -> None:
        super().__init__(store, devices=True, **settings)
        self.kind = kind

    def visit(
        self, handler: Handler, token: str | None = None, agent: str | None = None, address: str | None = None
    ) -> tuple[Any, str | None]:
        """Send one request; return what the handler returned, and the cookie that the browser has then."""
        agent, address = agent or self.agent, address or self.address
        said: list[Any] = []
        name = self.manager.cookie_name
        cookies = {} if token is None else {name: token}

        def page(session: Any) -> None:
            said.append(handler(session))

        if self.kind == "wsgi":
            visitor = Browser(SessionMiddleware(application(page), self.manager), cookies=cookies)
            reply = visitor.get(HTTP_USER_AGENT=agent, REMOTE_ADDR=address)
            assert reply.status == 200
            return said[0], visitor.cookies.get(name)
        self.pages["/"] = page
        sent = {"user-agent": agent} | ({} if token is None else {"cookie": f"{name}={token}"})
        answer = client(self.app, client=(address, 5000)).get("/", headers=sent)
        assert answer.status_code == 200
        return said[0], answer.cookies.get(name) or token
