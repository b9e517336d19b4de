"""Who gets in, and what keeps others out: authorisation, forms of other sites, headers."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import httpx
import pytest
from litestar import Litestar, asgi
from litestar.types import Receive, Scope, Send
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.testclient import TestClient

from limpet import ConfigurationError, SessionManager
from limpet.admin import Admin
from tests.admin.operator import ORIGIN, Operator, Site, is_root

NOBODY = "0" * 64
PATHS = ("/sessions/", "/sessions/live", f"/sessions/id/{NOBODY}", "/sessions/end-all?subject=ann", "/sessions/no-such")


@pytest.mark.parametrize("allow", [None, True, "operator"])
def test_it_needs_a_function_that_allows(allow: Any) -> None:
    """Without a way to tell operators from others there is no page."""
    with pytest.raises(ConfigurationError, match=r"allow=.* cannot be called"):
        Admin(SessionManager("memory:"), allow=allow)


def test_leaving_it_out_is_an_error() -> None:
    """There is no default, not even a closed one that somebody would open for a moment."""
    with pytest.raises(TypeError, match="allow"):
        Admin(SessionManager("memory:"))  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


def test_it_needs_a_manager() -> None:
    """A store is not enough: the page would judge deadlines that are not the application's."""
    with pytest.raises(ConfigurationError, match="SessionMiddleware"):
        Admin("memory:", allow=lambda request: True)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT"])
async def test_nobody_else_sees_anything(path: str, method: str) -> None:
    """Every path answers strangers with 403, says nothing of sessions and hands out nothing."""
    site = Site()
    await site.visitor("ann")
    answer = await site.browser().request(method, path)
    assert answer.status_code == 403
    assert "ann" not in re.sub(r"<(style|script)\b.*?</\1>", "", answer.text, flags=re.DOTALL).replace("cannot", "")
    assert "set-cookie" not in answer.headers


async def test_a_coroutine_may_decide() -> None:
    """``allow`` may wait for something, such as a database."""

    async def allow(request: Request) -> bool:
        return request.headers.get("x-role") == "operator"

    site = Site(allow=allow)
    assert (await site.browser().get("/sessions/")).status_code == 403
    assert (await Operator(site).look()).status_code == 200


async def test_the_applications_own_session_may_decide() -> None:
    """``request.session`` is there, as in any handler."""
    site = Site(allow=is_root)
    assert (await (await site.visitor("ann")).get("/sessions/")).status_code == 403
    assert (await (await site.visitor("root")).get("/sessions/")).status_code == 200


@pytest.mark.parametrize("answer", [None, 1, "yes", {"name": "ann"}])
async def test_what_merely_counts_as_true_lets_nobody_in(answer: Any) -> None:
    """A response or a user returned by mistake is an error that names the cure, and nothing is shown."""
    site = Site(allow=lambda request: answer)
    with pytest.raises(ConfigurationError, match="True or False"):
        await site.browser().get("/sessions/")


async def test_it_may_send_people_to_a_login() -> None:
    """What ``allow`` raises goes to the application, whose redirect it is."""

    def allow(request: Request) -> bool:
        raise HTTPException(303, headers={"location": "/login"})

    answer = await Site(allow=allow).browser().get("/sessions/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_a_socket_is_refused() -> None:
    """There is nothing behind a WebSocket, and it gets no session either."""
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await Site(allow=lambda request: True).admin({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert [message["type"] for message in said] == ["websocket.close"]


def test_it_can_be_served_by_itself() -> None:
    """Without an application around it, as behind a proxy that lets only operators through."""
    with TestClient(Admin(SessionManager("memory:", dev=True), allow=lambda request: True)) as client:
        assert "There are no sessions" in client.get("/").text


def test_under_litestar_it_is_told_where_it_is() -> None:
    """Litestar mounts an application without telling it where; links lead there all the same."""
    page = Admin(SessionManager("memory:"), allow=lambda request: True, path="/sessions")

    @asgi("/sessions", is_mount=True, copy_scope=True)
    async def sessions(scope: Scope, receive: Receive, send: Send) -> None:
        await page(scope, receive, send)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

    app: Any = Litestar([sessions])
    with TestClient(app) as client:
        assert 'href="/sessions/?range=day"' in client.get("/sessions/").text
        assert "Last hour" in client.get("/sessions/live?range=day").text


def test_a_path_begins_with_a_slash() -> None:
    """What could not be mounted is refused at construction."""
    with pytest.raises(ConfigurationError, match="/sessions"):
        Admin(SessionManager("memory:"), allow=lambda request: True, path="sessions")


# -- forms


async def asked(site: Site, operator: Operator) -> httpx.AsyncClient:
    """Bring the operator to the question whether ann's session is to be ended; return ann's browser."""
    ann = await site.visitor("ann")
    [public_id] = await site.ids("ann")
    await operator.look(f"/sessions/id/{public_id}/end")
    return ann


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://shop.example.evil.example"},
        {"origin": "https://other.shop.example", "sec-fetch-site": "same-site"},
        {"origin": ORIGIN, "sec-fetch-site": "cross-site"},
    ],
)
async def test_a_form_of_another_site_ends_nothing(site: Site, operator: Operator, headers: dict[str, str]) -> None:
    """Even with the right token in it."""
    ann = await asked(site, operator)
    answer = await operator.send(headers)
    assert (answer.status_code, "another site" in answer.text) == (403, True)
    assert (await ann.get("/whoami")).text == "ann"


@pytest.mark.parametrize("token", ["", "x", "é" * 80, "0" * 80])
async def test_a_form_without_its_token_ends_nothing(site: Site, operator: Operator, token: str) -> None:
    """A made-up token is as good as none, and the question is asked again."""
    ann = await asked(site, operator)
    answer = await operator.send(token=token)
    assert (answer.status_code, "confirm again" in answer.text) == (403, True)
    assert (await ann.get("/whoami")).text == "ann"


async def test_a_token_is_good_for_what_it_was_given_for(site: Site, operator: Operator) -> None:
    """The token for one session ends no other, and not all of somebody's."""
    ann, bob = await site.visitor("ann"), await site.visitor("bob")
    [anns], [bobs] = await site.ids("ann"), await site.ids("bob")
    await operator.look(f"/sessions/id/{anns}/end")
    token = re.search(r'name="token" value="([^"]+)"', operator.page)
    assert token
    for path in (f"/sessions/id/{bobs}/end", "/sessions/end-all?subject=bob"):
        answer = await operator.http.post(path, data={"token": token[1]}, headers={"origin": ORIGIN})
        assert answer.status_code == 403
    assert ((await ann.get("/whoami")).text, (await bob.get("/whoami")).text) == ("ann", "bob")


async def test_a_token_of_another_browser_is_worth_nothing(site: Site, operator: Operator) -> None:
    """It is tied to a secret in a cookie, which scripts cannot read and other hosts cannot plant."""
    await asked(site, operator)
    [held] = [cookie for cookie in operator.http.cookies.jar if cookie.name.endswith("limpet-admin")]
    assert (held.name, held.secure, held.path) == ("__Host-Http-limpet-admin", True, "/")
    operator.http.cookies.delete(held.name)
    assert (await operator.send()).status_code == 403
    assert await site.ids("ann")


async def test_looking_at_the_question_ends_nothing(site: Site, operator: Operator) -> None:
    """A link, a preview or a prefetch of any page changes nothing."""
    ann = await asked(site, operator)
    for path in ("/sessions/", "/sessions/live", "/sessions/end-all?subject=ann"):
        assert (await operator.look(path)).status_code == 200
    assert (await ann.get("/whoami")).text == "ann"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_not_done(site: Site, operator: Operator, method: str) -> None:
    """They say which are."""
    answer = await operator.http.request(method, "/sessions/")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


# -- headers


@pytest.mark.parametrize("role", ["operator", "stranger"])
@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_is_closed_off(site: Site, role: str, path: str) -> None:
    """Nothing may frame it, keep it, or run in it but its own style and script, which it names by digest."""
    await site.visitor("ann")
    answer = await site.browser().get(path, headers={"x-role": role})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        for text in re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", answer.text, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert policy[rule] == f"'sha256-{digest}'"


async def test_it_loads_nothing(site: Site, operator: Operator) -> None:
    """No page names an address elsewhere, and none has an inline handler or style."""
    await asked(site, operator)
    for path in ("/sessions/", operator.path, "/sessions/?q=ann", "/sessions/end-all?subject=ann"):
        await operator.look(path)
        body = re.sub(r"<(style|script)\b.*?</\1>", "", operator.page, flags=re.DOTALL)
        assert not re.search(r"<(?:link|script|img|iframe)[^>]+(?:src|href)=\"(?!data:)", body)
        assert not re.search(r"\s(?:style|on\w+)=", body)
