"""A person without JavaScript: loads the page, fills in its forms, follows what the answer says."""

from __future__ import annotations

import re
from html import unescape

import httpx
from fastapi import FastAPI

__all__ = ["Visitor"]


class Visitor:
    """One browser of the demo, in this process."""

    def __init__(self, app: FastAPI, cookies: httpx.Cookies | None = None) -> None:
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://demo.example", cookies=cookies
        )
        self.page = ""

    async def look(self, path: str = "/") -> httpx.Response:
        """Load the page."""
        answer = await self.http.get(path)
        self.page = answer.text
        return answer

    async def send(self, action: str, **fields: str) -> httpx.Response:
        """Send a form of the page that was loaded last, with its token; return the answer before it is followed."""
        return await self.http.post(
            action, data={"csrf": self.token(action), **fields}, headers={"origin": "http://demo.example"}
        )

    async def do(self, action: str, **fields: str) -> httpx.Response:
        """Send a form and follow its answer back to the page; return the answer itself."""
        answer = await self.send(action, **fields)
        assert answer.status_code == 303, answer.text
        await self.look(answer.headers["location"])
        return answer

    def token(self, action: str) -> str:
        """Return the token in the form with that action."""
        form = re.search(rf'<form method="post" action="{action}".*?</form>', self.page, re.DOTALL)
        assert form, f"the page has no form for {action}"
        token = re.search(r'name="csrf" value="([^"]*)"', form[0])
        assert token, f"the form for {action} has no token"
        return token[1]

    def part(self, name: str) -> str:
        """Return the text of one section of the page, white space made single."""
        found = re.search(rf'<(\w+)[^>]*\bid="{name}".*?</\1>', self.page, re.DOTALL)
        return unescape(" ".join(re.sub(r"<[^>]+>", " ", found[0]).split())) if found else ""
