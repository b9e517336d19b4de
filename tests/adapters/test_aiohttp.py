"""The aiohttp adapter: every promise, on a real server of aiohttp's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import web

from limpet.adapters.aiohttp import csrf_middleware, get_session, setup
from limpet.asgi import ASGIApp
from limpet.csrf import csrf_token
from limpet.testing import AdapterSuite
from limpet.testing.suite_adapter import AppSpec, Opener
from tests.adapters.aiohttp_served import Served

PARSER = "aiohttp answers 400 to control characters in a header, before any middleware runs."


class TestAiohttp(AdapterSuite):
    """Every promise, through aiohttp on a server of its own."""

    impossible: ClassVar = {
        "test_an_error_of_the_session_closes_a_websocket": (
            "A WebSocket that is refused before its handshake gets the HTTP status of the error, not a close code."
        ),
        "test_hostile_cookies_are_anonymous": PARSER,
        "test_s12_a_malformed_cookie_is_no_cookie": PARSER,
        "test_s20_a_disguised_name_is_another_name": PARSER,
    }
    documented_in = Path(__file__).parents[2] / "docs" / "frameworks" / "aiohttp.md"

    def build(self, spec: AppSpec) -> ASGIApp:
        app = web.Application()
        setup(app, spec.manager, exclude=spec.exclude, lazy=spec.lazy)

        async def page(request: web.Request) -> web.StreamResponse:
            reply = await spec.run(request.match_info["name"], request.query, lambda: get_session(request))
            if reply.stream is not None:
                streamed = web.StreamResponse()
                await streamed.prepare(request)
                async for part in reply.stream:
                    await streamed.write(part)
                return streamed
            answer = web.Response(
                text=reply.text, status=reply.status, headers=reply.headers, content_type="application/json"
            )
            if reply.background is not None:
                await answer.prepare(request)
                await answer.write_eof()
                await reply.background()
            return answer

        async def socket(request: web.Request) -> web.WebSocketResponse:
            held = web.WebSocketResponse()

            async def accept() -> None:
                await held.prepare(request)

            await spec.converse(request.query, lambda: get_session(request), accept, held.receive_str, held.send_str)
            await held.close()
            return held

        app.router.add_get("/socket", socket)
        app.router.add_get("/{name}", page)
        return Served(app)

    async def test_cookies_that_are_no_token_are_anonymous(self, server: Opener) -> None:
        """What aiohttp lets through, every flip and truncation of a signed cookie in text: no error, no store call."""
        site = await server(signed=True)
        await site.get("/write", key="a", value="1")
        good = site.token().encode()
        site.calls()
        flips = [good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :] for at in range(len(good)) for bit in (0, 6)]
        cuts = [good[:cut] for cut in range(len(good))]
        browser = site.browser()
        for value in [*flips, *cuts, b"=" * 5000, b"\xff", b"%00", b'"' + good + b"x", b"\xc3\x28"]:
            if min(value, default=32) < 32 or 127 in value or value.strip(b" ;") == good:
                continue
            cookie = [(b"cookie", b"%b=%b" % (site.name.encode(), value))]
            response = await browser.get("/keys", headers=cookie)
            assert (response.status_code, response.text) == (200, "[]"), value
            assert "set-cookie" not in response.headers
        assert site.calls() == []

    @pytest.mark.parametrize("sent", ["header", "form", "multipart"])
    async def test_csrf(self, anywhere: Opener, sent: str) -> None:
        """A form with the session's token goes through whole, and one without is refused."""
        site = await anywhere()
        app = web.Application()
        setup(app, site.manager)
        app.middlewares.append(csrf_middleware())

        async def form(request: web.Request) -> web.Response:
            return web.Response(text=csrf_token(await get_session(request)))

        async def receive(request: web.Request) -> web.Response:
            sent: Any = await request.post()
            return web.Response(text=f"sent {sent['x']}")

        app.router.add_get("/form", form)
        app.router.add_post("/send", receive)
        await site.stop()
        await site.start(Served(app))
        token = (await site.first.get("/form")).text
        refused = await site.first.post("/send", data={"x": "1"})
        assert (refused.status_code, refused.headers["cache-control"]) == (403, "no-store")
        assert (await site.first.post("/send", data={"x": "1", "csrf_token": "é" + token})).status_code == 403
        if sent == "header":
            answer = await site.first.post("/send", data={"x": "1"}, headers={"X-CSRF-Token": token})
        elif sent == "form":
            answer = await site.first.post("/send", data={"x": "1", "csrf_token": token})
        else:
            answer = await site.first.post("/send", data={"x": "1", "csrf_token": token}, files={"f": b"1"})
        assert answer.text == "sent 1"
