"""Each page of recipes is one application; it is asked here for what its recipes promise, in every framework alike."""

from __future__ import annotations

import json
import sys
import time
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from starlette.websockets import WebSocketDisconnect

from limpet import SessionEnded
from limpet.testing import client
from limpet.testing.clients import SessionClient
from tests.docs.test_code_blocks import ROOT, examples

EVENT = "http://schemas.openid.net/event/backchannel-logout"
FRAMEWORKS = ("fastapi", "blacksheep", "nexios", "litestar")
FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"}


@pytest.fixture(params=FRAMEWORKS)
def page(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the Python blocks of a page; return the module that they make, with the application as ``app``."""
    monkeypatch.chdir(tmp_path)
    for variable in ("LIMPET_STORE", "LIMPET_SECRET", "LIMPET_DEV"):
        monkeypatch.delenv(variable, raising=False)
    module = types.ModuleType(f"recipes_{request.param}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    document = examples(ROOT / "docs" / "recipes" / f"{request.param}.md")
    document.namespace = module.__dict__
    for example in document:
        if not str(example.parsed).startswith("$"):
            example.evaluate()
    return module


@pytest.fixture
def shop(page: Any) -> Iterator[Any]:
    """Serve the application of a page as a server does: it starts once, on the one event loop that all requests use."""
    with client(page.app) as server:
        page.portal = server.portal
        yield page


def browser(page: Any, name: str | None = None, query: str = "") -> SessionClient:
    """Return a browser with cookies of its own, signed in if there is a name."""
    found = client(page.app, headers=FIREFOX)
    found.portal = page.portal
    if name is not None:
        assert found.post(f"/login/{name}{query}").status_code < 300
    return found


def is_in(visitor: SessionClient) -> bool:
    """Tell whether the visitor's session is alive and somebody's."""
    status = visitor.get("/devices").status_code
    assert status in (200, 401)
    return status == 200


def test_your_devices(shop: Any) -> None:
    """The list says which is which; one is signed out by its public id, a stranger's is not, then all the others.

    Both ask for a fresh login.
    """
    phone, laptop, tablet, eve = (browser(shop, name) for name in ("ann", "ann", "ann", "eve"))
    listed = laptop.get("/devices").json()
    assert [one["device"] for one in listed] == ["Firefox 141 on Ubuntu"] * 3
    assert sum(one["this"] for one in listed) == 1
    [of_eve] = eve.get("/devices").json()
    assert laptop.delete(f"/devices/{of_eve['id']}").status_code == 404
    [own] = [one["id"] for one in tablet.get("/devices").json() if one["this"]]
    assert laptop.delete(f"/devices/{own}").status_code < 300
    assert [is_in(each) for each in (phone, laptop, tablet, eve)] == [True, True, False, True]
    now = shop.manager.clock
    shop.manager.clock = lambda: now() + 301_000
    [phones] = [one["id"] for one in phone.get("/devices").json() if one["this"]]
    for path in (f"/devices/{phones}", "/devices"):
        refused = laptop.delete(path)
        assert refused.status_code == 401
        assert "max_age=300" in refused.headers["www-authenticate"]
    shop.manager.clock = now
    assert [is_in(each) for each in (phone, laptop, eve)] == [True, True, True]
    assert laptop.delete("/devices").json() == 1
    assert [is_in(each) for each in (phone, laptop, eve)] == [False, True, True]


def test_log_in_remember_me_and_log_out(shop: Any) -> None:
    """A remembered login lives for 30 days and any other for 14; after a logout nobody is signed in."""
    for query, days in (("", 14), ("?remember=true", 30)):
        visitor = browser(shop)
        [line] = visitor.post(f"/login/ann{query}").headers.get_list("set-cookie")
        age = int(line.partition("Max-Age=")[2].partition(";")[0])
        assert age == pytest.approx(days * 86_400, abs=120)
        assert visitor.post("/logout").status_code < 300
        assert not is_in(visitor)


def test_change_of_password(shop: Any) -> None:
    """It gives this device a new id and signs out the others."""
    thief, owner = browser(shop, "zoe"), browser(shop, "zoe")
    [before] = [one["id"] for one in owner.get("/devices").json() if one["this"]]
    assert owner.post("/password").status_code < 300
    assert [is_in(thief), is_in(owner)] == [False, True]
    assert before not in {one["id"] for one in owner.get("/devices").json()}


def test_at_most_three_devices(shop: Any) -> None:
    """A fourth login ends the oldest one."""
    visitors = [browser(shop, "ann") for _ in range(4)]
    assert [is_in(each) for each in visitors] == [False, True, True, True]


def test_the_newest_is_refused_at_a_kiosk(page: Any) -> None:
    """Where the policy refuses, the handler catches that and says where somebody is signed in."""
    with client(page.kiosk) as first:
        second = client(page.kiosk)
        second.portal = first.portal
        assert "welcome" in first.post("/login/ann").text
        assert "signed in at 1 place(s) already" in second.post("/login/ann").text


def test_export_and_erase_after_a_fresh_login(shop: Any) -> None:
    """A person gets what is kept of them; erasing it asks for a fresh login, and ends the session."""
    visitor = browser(shop, "eve")
    visitor.post("/settings")
    [kept] = visitor.get("/account/data").json()
    assert kept["public_id"] == visitor.get("/devices").json()[0]["id"]
    assert browser(shop).get("/account/data").status_code == 401
    now = shop.manager.clock
    shop.manager.clock = lambda: now() + 301_000
    refused = visitor.post("/account/delete")
    assert refused.status_code == 401
    assert "max_age=300" in refused.headers["www-authenticate"]
    shop.manager.clock = now
    assert visitor.post("/account/delete").json() == 1
    assert not is_in(visitor)


def test_messages_are_shown_once(shop: Any) -> None:
    """A message waits for the next page, and only for that one."""
    visitor = browser(shop)
    visitor.post("/settings")
    assert visitor.get("/messages").json() == ["success: Saved"]
    assert visitor.get("/messages").json() == []


def test_a_token_is_refreshed_once(shop: Any) -> None:
    """Eight requests at once all get the one token that the first of them was given."""
    visitor = browser(shop, "ann")
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda path: visitor.get(path).text, ["/mail"] * 8))
    assert len(set(tokens)) == 1
    assert len(tokens[0].strip('"')) == 16


def test_a_background_job_writes_into_the_session(shop: Any) -> None:
    """What the job writes is in the session; after a logout it is told that there is none."""
    visitor = browser(shop, "ann")
    assert "none" in visitor.get("/report").text
    visitor.post("/report")
    shop.portal.call(shop.make_report, shop.jobs[0])
    assert "ready" in visitor.get("/report").text
    visitor.post("/logout")
    with pytest.raises(SessionEnded):
        shop.portal.call(shop.make_report, shop.jobs[0])


def test_a_socket_is_closed_when_its_session_ends(shop: Any) -> None:
    """Another device signs this one out, and its open WebSocket is closed with 1008."""
    phone, laptop = browser(shop, "ann"), browser(shop, "ann")
    with phone.websocket_connect("/live") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "ann: hello"
        assert laptop.delete("/devices").json() == 1
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == 1008


def logout_token(page: Any, typ: str = "logout+jwt", **more: object) -> str:
    """Return what the identity provider would post, or something that it would not."""
    now = int(time.time())
    claims = {"iss": page.ISSUER, "aud": page.CLIENT, "iat": now, "exp": now + 120, "events": {EVENT: {}}}
    return jwt.encode({"alg": "RS256", "kid": "1", "typ": typ}, {**claims, **more}, page.private_key)


def test_back_channel_logout(shop: Any) -> None:
    """The provider ends one session by its ``sid``, or all of a subject; anything else is refused and ends nothing."""
    there, elsewhere, provider = browser(shop), browser(shop, "ann"), browser(shop)
    there.post("/oidc/callback")

    def post(token: str) -> int:
        return provider.post("/signout/back-channel", data={"logout_token": token}).status_code

    refused = (
        "nonsense",
        logout_token(shop, jti="a", sid="08a5019c", aud="another"),
        logout_token(shop, jti="b", sid="08a5019c", nonce="n"),
        logout_token(shop, jti="c", sid="08a5019c", events={}),
        logout_token(shop, jti="d"),
        logout_token(shop, sid="08a5019c"),
        logout_token(shop, "JWT", jti="e", sid="08a5019c"),
    )
    assert [post(token) for token in refused] == [400] * len(refused)
    assert is_in(there)
    answer = provider.post("/signout/back-channel", data={"logout_token": logout_token(shop, jti="x", sid="08a5019c")})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert [is_in(there), is_in(elsewhere)] == [False, True]
    assert post(logout_token(shop, jti="x", sid="08a5019c")) == 400
    assert post(logout_token(shop, jti="y", sub="ann")) == 200
    assert not is_in(elsewhere)


def test_audit_log(shop: Any) -> None:
    """A login is a line in the audit log."""
    browser(shop, "audited")
    events = [json.loads(line) for line in Path("sessions.jsonl").read_text().splitlines()]
    assert ("SessionLoggedIn", "audited") in [(event["event"], event.get("subject")) for event in events]


def test_admin_page(shop: Any) -> None:
    """The operator sees the page and its links stay below the mount; anybody else is refused."""
    root, ann = browser(shop, "root"), browser(shop, "ann")
    assert ann.get("/sessions/").status_code == 403
    shown = root.get("/sessions/", params={"q": "ann"})
    assert shown.status_code == 200
    assert 'href="/sessions/id/' in shown.text
    assert root.get(f"/sessions/id/{ann.get('/devices').json()[0]['id']}").status_code == 200
    assert browser(shop).get("/sessions/").status_code == 403


def test_everybody_is_logged_out(shop: Any) -> None:
    """The command of the page, run from a shell, ends sessions of the running application."""
    visitors = [browser(shop, name) for name in ("ann", "bob")]
    page = ROOT / "docs" / "recipes" / f"{shop.__name__.removeprefix('recipes_')}.md"
    [terminal] = [example for example in examples(page) if str(example.parsed).startswith("$")]
    terminal.evaluate()
    assert [is_in(each) for each in visitors] == [False, False]
