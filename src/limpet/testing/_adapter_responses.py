"""`AdapterSuite`, the part about responses: errors, caching, streams, background tasks, WebSockets, outages."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from limpet.errors import answer_to
from limpet.policy import CookiePolicy, SessionPolicy
from limpet.refusals import Refusal
from limpet.testing._adapter_site import Site
from limpet.testing.adapter_app import ANSWERED, Boom
from limpet.testing.clients import WebSocketClosed

__all__ = ["ResponseRules"]

Opener = Callable[..., Awaitable[Site]]

CACHING = [
    # what the route does, what the application says, what is sent
    ("read", None, "private"),
    ("read", "public, max-age=60", "public, max-age=60"),
    ("read", "no-cache", "no-cache"),
    ("write", None, "no-store"),
    ("write", "public, max-age=60", "no-store"),
    ("write", "no-cache", "no-store"),
    ("write", "private, max-age=60", "private, max-age=60"),
    ("write", "no-store", "no-store"),
    ("logout", None, "no-store"),
]


class ResponseRules:
    """Errors, caching, streams, background tasks, WebSockets, outages."""

    async def test_an_exception_drops_writes(self, anywhere: Opener) -> None:
        """A handler that raises answers with 500, saves nothing and sets no cookie."""
        site = await anywhere()
        response = await site.first.get("/boom", params={"first": "write", "key": "a", "value": "1"})
        assert response.status_code == 500
        assert site.cookies(response) == []
        await site.get("/write", key="b", value="1")
        await site.first.get("/boom", params={"first": "write", "key": "a", "value": "1"})
        assert await site.get("/keys") == ["b"]

    async def test_an_exception_keeps_a_logout(self, server: Opener) -> None:
        """A handler that raises after `logout` has logged out."""
        site = await server()
        await site.get("/login")
        token = site.token()
        response = await site.first.get("/boom", params={"first": "logout"})
        assert response.status_code == 500
        assert (await site.replay(token, "/facts"))["subject"] is None

    @pytest.mark.parametrize("error", ANSWERED)
    async def test_an_error_of_the_session_has_an_answer(self, anywhere: Opener, error: str) -> None:
        """What the engine raises, and the handler lets pass, is answered in the same words whatever the framework."""
        site = await anywhere()
        await site.get("/write", key="b", value="1")
        query = {"first": "write", "key": "a", "value": "1", "error": error}
        response = await site.first.get("/boom", params=query)
        answer = answer_to(ANSWERED[error]())
        assert answer is not None
        assert (response.status_code, response.text) == (answer.status, answer.text)
        headers = {name.decode(): value.decode() for name, value in answer.headers}
        assert {name: response.headers.get(name) for name in headers} == headers
        assert site.cookies(response) == []
        assert await site.get("/keys") == ["b"]

    @pytest.mark.parametrize("error", ANSWERED)
    async def test_an_error_of_the_session_has_a_page_of_the_application(self, anywhere: Opener, error: str) -> None:
        """With ``SessionManager(on_refused=...)`` the application answers in its own words, as HTML or as JSON."""
        site = await anywhere()
        seen: list[Refusal] = []

        def page(refusal: Refusal) -> str | dict[str, str]:
            seen.append(refusal)
            return f"<h1>{refusal.text}</h1>" if refusal.wants_html else {"reason": refusal.reason}

        site.manager.on_refused = page
        query = {"first": "write", "key": "a", "value": "1", "error": error}
        shown = await site.first.get("/boom", params=query, headers={"accept": "text/html"})
        usual = answer_to(ANSWERED[error]())
        assert usual is not None
        assert (shown.status_code, shown.text) == (usual.status, f"<h1>{usual.text.strip()}</h1>")
        assert shown.headers["content-type"] == "text/html; charset=utf-8"
        told = await site.first.get("/boom", params=query, headers={"accept": "*/*"})
        assert (told.status_code, told.json()) == (usual.status, {"reason": seen[0].reason})
        for response in (shown, told):
            assert response.headers["cache-control"] == "no-store"
            assert (response.headers.get("retry-after") is not None) is (usual.status == 503)
            assert site.cookies(response) == []
        assert [type(refusal.error) for refusal in seen] == [type(ANSWERED[error]())] * 2

    @pytest.mark.parametrize("error", ANSWERED)
    async def test_an_error_of_the_session_takes_back_a_new_id(self, server: Opener, error: str) -> None:
        """A first ``session.save()`` before such an error leaves no session behind, and no cookie goes out."""
        site = await server()
        response = await site.first.get("/boom", params={"first": "save", "key": "a", "value": "1", "error": error})
        answer = answer_to(ANSWERED[error]())
        assert answer is not None
        assert (response.status_code, site.cookies(response)) == (answer.status, [])
        calls = site.calls()
        assert (calls.count("create"), calls.count("delete")) == (1, 1), calls

    @pytest.mark.parametrize("error", ANSWERED)
    async def test_an_error_of_the_session_keeps_a_logout(self, server: Opener, error: str) -> None:
        """A handler that logs out and lets such an error pass has logged out."""
        site = await server()
        await site.get("/login")
        token = site.token()
        response = await site.first.get("/boom", params={"first": "logout", "error": error})
        answer = answer_to(ANSWERED[error]())
        assert answer is not None
        assert response.status_code == answer.status
        assert (await site.replay(token, "/facts"))["subject"] is None

    @pytest.mark.parametrize("error", ANSWERED)
    async def test_an_error_of_the_session_closes_a_websocket(self, anywhere: Opener, error: str) -> None:
        """Such an error before the acceptance closes the WebSocket with the code that it has."""
        site = await anywhere()
        answer = answer_to(ANSWERED[error]())
        assert answer is not None
        with pytest.raises(WebSocketClosed) as closed:
            async with site.first.websocket_connect(f"/socket?first=fail&error={error}"):
                pytest.fail("the WebSocket was accepted")
        assert closed.value.code == answer.close_code

    async def test_a_websocket_whose_handler_fails_drops_writes(self, server: Opener) -> None:
        """What a handler wrote in an open WebSocket and then raised goes nowhere; a logout holds."""
        site = await server()
        await site.get("/write", key="b", value="1")
        await self._fail_in_a_websocket(site, "boom?first=write&key=a&value=1")
        assert await site.get("/keys") == ["b"]
        await self._fail_in_a_websocket(site, "boom?first=logout")
        assert await site.get("/keys") == []

    async def _fail_in_a_websocket(self, site: Site, message: str) -> None:
        async def converse() -> None:
            async with site.first.websocket_connect("/socket") as socket:
                await socket.send(message)
                await socket.receive()

        with pytest.raises((WebSocketClosed, Boom)):  # some frameworks hand the exception on to the server
            await converse()

    @pytest.mark.parametrize("change", ["regenerate", "login"])
    async def test_an_exception_leaves_the_old_id_alive(self, anywhere: Opener, change: str) -> None:
        """A handler that raises after `regenerate` or `login` has changed no id and logged nobody in."""
        site = await anywhere()
        await site.get("/write", key="a", value="1")
        token = site.token()
        response = await site.first.get("/boom", params={"first": change})
        assert response.status_code == 500
        assert site.cookies(response) == []
        assert await site.replay(token) == ["a"]
        assert (await site.replay(token, "/facts"))["subject"] is None

    async def test_a_4xx_saves(self, anywhere: Opener) -> None:
        """A response that blames the client saves what the handler wrote."""
        site = await anywhere()
        response = await site.first.get("/status", params={"first": "write", "key": "a", "value": "1", "status": 422})
        assert response.status_code == 422
        assert await site.get("/keys") == ["a"]

    async def test_a_5xx_drops(self, anywhere: Opener) -> None:
        """A response that blames the server saves nothing, sets no cookie and keeps a logout."""
        site = await anywhere()
        response = await site.first.get("/status", params={"first": "write", "key": "a", "value": "1", "status": 503})
        assert response.status_code == 503
        assert site.cookies(response) == []
        await site.get("/login")
        await site.first.get("/status", params={"first": "write", "key": "a", "value": "1", "status": 500})
        assert await site.get("/keys") == []
        response = await site.first.get("/status", params={"first": "logout", "status": 500})
        assert response.status_code == 500
        assert "Max-Age=0" in site.cookies(response)[0]
        assert (await site.get("/facts"))["subject"] is None

    async def test_save_on_error(self, server: Opener) -> None:
        """``save_on_error=True`` saves whatever the response is."""
        site = await server(policy=SessionPolicy(save_on_error=True))
        await site.first.get("/status", params={"first": "write", "key": "a", "value": "1", "status": 500})
        await site.first.get("/boom", params={"first": "write", "key": "b", "value": "1"})
        assert await site.get("/keys") == ["a", "b"]

    async def test_a_404_has_no_session(self, anywhere: Opener) -> None:
        """The framework's own 404 sets no cookie, and a session survives it."""
        site = await anywhere()
        response = await site.first.get("/no/such/page")
        assert response.status_code == 404
        assert "set-cookie" not in response.headers
        await site.get("/write", key="a", value="1")
        response = await site.first.get("/no/such/page")
        assert response.status_code == 404
        assert "set-cookie" not in response.headers
        assert await site.get("/keys") == ["a"]

    @pytest.mark.parametrize(("first", "said", "sent"), CACHING)
    async def test_caching(self, anywhere: Opener, first: str, said: str | None, sent: str) -> None:
        """``Vary: Cookie`` on every response that depends on the session, and a fitting ``Cache-Control``."""
        site = await anywhere()
        await site.get("/login")
        query: dict[str, Any] = {"first": first, "key": "subject" if first == "read" else "fresh", "value": "1"}
        if first == "write":
            query["first"] = "regenerate"  # a write that sends a cookie with every kind of store
        response = await site.first.get("/cache", params=query | ({"cache-control": said} if said else {}))
        assert response.status_code == 200
        assert response.headers["vary"].lower() == "cookie"
        assert response.headers["cache-control"] == sent
        assert bool(site.cookies(response)) is (first != "read")

    @pytest.mark.parametrize(("said", "sent"), [(None, "no-store"), ("public, max-age=60", "public, max-age=60")])
    async def test_pages_are_kept_by_no_cache_where_that_is_asked_for(
        self, anywhere: Opener, said: str | None, sent: str
    ) -> None:
        """With ``CookiePolicy(no_store=True)``, unless the application says how a page may be kept."""
        site = await anywhere(cookie=CookiePolicy(no_store=True))
        await site.get("/write", key="a", value="1")
        query = {"first": "read", "key": "a"} | ({"cache-control": said} if said else {})
        response = await site.first.get("/cache", params=query)
        assert site.cookies(response) == []
        assert response.headers["cache-control"] == sent

    async def test_vary_is_appended(self, anywhere: Opener) -> None:
        """What the application varies on stays."""
        site = await anywhere()
        for said, sent in (("Accept-Encoding", "accept-encoding, cookie"), ("*", "*"), ("COOKIE", "cookie")):
            query = {"first": "read", "key": "a", "vary": said}
            response = await site.first.get("/cache", params=query)
            assert ", ".join(response.headers.get_list("vary")).lower() == sent

    async def test_a_late_write_in_a_stream_is_saved(self, server: Opener) -> None:
        """While the body is streamed, a write to a session that has an id is saved."""
        site = await server()
        await site.get("/write", key="a", value="1")
        response = await site.first.get("/stream", params={"key": "late", "value": "2"})
        assert response.text == "begun written"
        assert await site.get("/read", key="late") == "2"

    async def test_a_late_first_write_is_refused(self, anywhere: Opener) -> None:
        """While the body is streamed no cookie can be set any more: a first write raises `SessionClosed`."""
        site = await anywhere()
        response = await site.first.get("/stream", params={"key": "late", "value": "2"})
        assert response.text == "begun SessionClosed"
        assert site.cookies(response) == []

    async def test_a_late_write_to_a_cookie_session_is_refused(self, anywhere: Opener) -> None:
        """A cookie session cannot be saved any more once the response has started; one on the server can."""
        site = await anywhere()
        await site.get("/write", key="a", value="1")
        response = await site.first.get("/stream", params={"key": "late", "value": "2"})
        assert response.text == ("begun SessionClosed" if site.kind == "cookie" else "begun written")

    async def test_a_background_task_may_write(self, server: Opener) -> None:
        """What a background task writes to a session that has an id is saved."""
        site = await server()
        await site.get("/write", key="a", value="1")
        assert (await site.first.get("/background", params={"key": "late", "value": "2"})).status_code == 200
        assert await site.get("/read", key="late") == "2"

    async def test_a_websocket_has_the_session(self, anywhere: Opener) -> None:
        """A WebSocket reads what requests wrote."""
        site = await anywhere()
        await site.get("/write", key="a", value="1")
        async with site.first.websocket_connect("/socket") as socket:
            await socket.send("read?key=a")
            assert json.loads(await socket.receive()) == "1"
            await socket.send("bye")

    async def test_a_websocket_may_write_before_it_is_accepted(self, anywhere: Opener) -> None:
        """The acceptance of a WebSocket carries the cookie of a first write."""
        site = await anywhere()
        async with site.first.websocket_connect("/socket?first=write&key=a&value=1") as socket:
            names = [name for name, value in socket.headers if value.startswith(site.name.encode())]
            assert names == [b"set-cookie"]
            await socket.send("bye")
        assert await site.get("/read", key="a") == "1"

    async def test_a_websocket_may_write_late(self, server: Opener) -> None:
        """What is written in an open WebSocket is saved when it ends, or at ``await session.save()``."""
        site = await server()
        await site.get("/write", key="a", value="1")
        async with site.first.websocket_connect("/socket") as socket:
            await socket.send("save?key=now&value=1")
            await socket.receive()
            assert await site.get("/read", key="now") == "1"
            await socket.send("late?key=end&value=1")
            assert json.loads(await socket.receive()) == "written"
            await socket.send("bye")
            with pytest.raises(WebSocketClosed):
                await socket.receive()
        assert await site.get("/keys") == ["a", "end", "now"]

    async def test_a_websocket_that_hangs_up_is_saved(self, server: Opener) -> None:
        """A client that goes away takes nothing with it: what was written is saved."""
        site = await server()
        await site.get("/write", key="a", value="1")
        async with site.first.websocket_connect("/socket") as socket:
            await socket.send("late?key=end&value=1")
            await socket.receive()
        assert await site.get("/keys") == ["a", "end"]

    async def test_a_late_first_write_in_a_websocket_is_refused(self, anywhere: Opener) -> None:
        """After the acceptance no cookie can be set: a first write raises `SessionClosed`."""
        site = await anywhere()
        async with site.first.websocket_connect("/socket") as socket:
            await socket.send("late?key=a&value=1")
            assert json.loads(await socket.receive()) == "SessionClosed"
            await socket.send("bye")

    async def test_a_late_logout_of_nobody_in_a_websocket_does_nothing(self, anywhere: Opener) -> None:
        """After the acceptance too: a visitor without a session has none that would have to be ended."""
        site = await anywhere()
        async with site.first.websocket_connect("/socket") as socket:
            for _ in range(2):
                await socket.send("logout")
                assert json.loads(await socket.receive()) is None
            await socket.send("bye")
        await site.get("/write", key="a", value="1")
        assert await site.get("/read", key="a") == "1"

    async def test_an_outage_spares_routes_without_sessions(self, server: Opener) -> None:
        """While the store is down, a route that does not use the session answers."""
        site = await server()
        await site.get("/write", key="a", value="1")
        site.store.down = True
        assert (await site.first.get("/untouched")).status_code == 200
        assert (await site.first.get("/no/such/page")).status_code == 404

    async def test_an_outage_is_a_503(self, server: Opener) -> None:
        """While the store is down, a route that reads the session is a 503 with ``Retry-After``; then all is well.

        The store is asked once for each request: one that hangs costs one time limit, and not two.
        """
        site = await server()
        await site.get("/write", key="a", value="1")
        site.store.down = True
        site.store.calls.clear()
        response = await site.first.get("/keys")
        assert response.status_code == 503
        assert site.store.calls == ["load"]
        assert int(response.headers["retry-after"]) > 0
        assert site.cookies(response) == []
        site.store.down = False
        assert await site.get("/keys") == ["a"]

    @pytest.mark.parametrize("change", ["write", "login", "logout"])
    async def test_a_save_that_fails_is_a_503(self, server: Opener, change: str) -> None:
        """A response is never a success when its session was not saved: 503, and no cookie."""
        site = await server()
        query = {"key": "b", "value": "2"}
        site.store.writes_down = True
        if change != "logout":
            response = await site.first.get(f"/{change}", params=query)
            assert (response.status_code, site.cookies(response)) == (503, [])
        site.store.writes_down = False
        await site.get("/write", key="a", value="1")
        site.store.writes_down = True
        response = await site.first.get(f"/{change}", params=query)
        assert (response.status_code, site.cookies(response)) == (503, [])
        assert "retry-after" in response.headers
        site.store.writes_down = False
        assert await site.get("/keys") == ["a"]
