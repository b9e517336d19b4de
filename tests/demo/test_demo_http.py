"""The demo over plain HTTP, without JavaScript: what it shows is what sessions do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from limpet.demo.app import POLICY, create_app
from limpet.demo.device import BOUND
from limpet.demo.watch import WatchedManager
from limpet.runtime import AsyncioRuntime
from tests.bound.device import Browser, asgi
from tests.demo.visitor import Visitor

START = 1_800_000_000_000
Serve = Callable[..., FastAPI]


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Serve:
    """Return a function that starts the demo on a store; each call is a new server over the same files."""
    monkeypatch.setenv("LIMPET_DEV_ANNOUNCED", "1")
    monkeypatch.chdir(tmp_path)

    def start(store: str = "sqlite:///s.db", *, bound: bool = False) -> FastAPI:
        manager = WatchedManager(store, policy=POLICY, dev=True, clock=clock, bound=BOUND if bound else False)
        manager.runtime = AsyncioRuntime()
        return create_app(manager, store=store)

    return start


@pytest.fixture
def visitor(serve: Serve) -> Visitor:
    return Visitor(serve())


async def test_looking_costs_nothing(visitor: Visitor) -> None:
    """A page for somebody without a cookie sets none and asks the store nothing."""
    answer = await visitor.look()
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "Store: not asked" in visitor.part("log")
    assert "There is none yet" in visitor.part("facts")


async def test_the_first_change_begins_a_session(visitor: Visitor) -> None:
    """It sets one cookie, which scripts cannot read; the next change sets none."""
    await visitor.look()
    answer = await visitor.do("/count")
    assert len(answer.headers.get_list("set-cookie")) == 1
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert visitor.part("count") == "1"
    answer = await visitor.do("/count")
    assert "set-cookie" not in answer.headers
    assert "POST /count no cookie Store: 1 read, 1 write POST /count new cookie Store: 1 read, 1 new record" in (
        visitor.part("log")
    )


async def test_the_cart_is_changed_in_its_depth(visitor: Visitor) -> None:
    """Pieces are added and taken out three levels down, with prices that stay decimals."""
    await visitor.look()
    for item in ("tea", "bread", "tea"):
        await visitor.do("/cart/add", item=item)
    assert visitor.part("cart").count("2 × tea") == 1
    assert "Total 11.90" in visitor.part("cart")
    await visitor.do("/cart/remove", item="tea")
    await visitor.do("/cart/remove", item="bread")
    assert "1 × tea" in visitor.part("cart")
    assert "bread last added" not in visitor.part("cart")
    assert "Total 4.20" in visitor.part("cart")
    await visitor.do("/cart/remove", item="tea")
    assert "The cart is empty." in visitor.part("cart")


async def test_what_is_not_sold_is_not_stored(visitor: Visitor) -> None:
    """An invented item begins no session, and removing what is not there is no error."""
    await visitor.look()
    for action in ("/cart/add", "/cart/remove"):
        answer = await visitor.http.post(action, data={"item": "gold"})
        assert answer.status_code == 303
        assert "set-cookie" not in answer.headers


async def test_signing_in_keeps_the_cart_and_changes_the_id(visitor: Visitor, serve: Serve) -> None:
    """The new id has everything, the old one opens nothing."""
    await visitor.look()
    await visitor.do("/cart/add", item="honey")
    before, tag = httpx.Cookies(visitor.http.cookies), visitor.part("tag")
    await visitor.do("/sign-in", name="Ann")
    assert "Signed in as Ann" in visitor.part("who")
    assert "1 × honey" in visitor.part("cart")
    assert visitor.part("tag") not in ("", tag)
    thief = Visitor(serve(), before)
    await thief.look()
    assert "Not signed in" in thief.part("who")
    assert "The cart is empty." in thief.part("cart")


async def test_signing_out_is_for_good(visitor: Visitor, serve: Serve) -> None:
    """The record is ended and the cookie deleted, the page says so, and the old cookie put back is anonymous."""
    await visitor.look()
    await visitor.do("/sign-in", name="Ann")
    before = httpx.Cookies(visitor.http.cookies)
    answer = await visitor.do("/sign-out")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert "POST /sign-out cookie deleted Store: 1 read, 1 ended id" in visitor.part("log")
    assert "You are signed out" in visitor.part("log")
    thief = Visitor(serve(), before)
    await thief.look()
    assert "Not signed in" in thief.part("who")


async def test_a_new_id_has_the_same_session(visitor: Visitor) -> None:
    """`Change the id` sends a new cookie and keeps the counter."""
    await visitor.look()
    await visitor.do("/count")
    tag = visitor.part("tag")
    answer = await visitor.do("/new-id")
    assert "set-cookie" in answer.headers
    assert visitor.part("tag") != tag
    assert visitor.part("count") == "1"


@pytest.mark.parametrize("store", ["memory:", "sqlite:///s.db"])
async def test_fifty_at_once_all_count(serve: Serve, store: str) -> None:
    """Fifty requests on their way at the same time add exactly fifty, and the log counts them in one line."""
    visitor = Visitor(serve(store))
    await visitor.look()
    await visitor.do("/count")
    answers = await asyncio.gather(*(visitor.send("/count") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {303}
    await visitor.look()
    assert visitor.part("count") == "51"
    assert "POST /count × 50 no cookie" in visitor.part("log")


async def test_two_tabs_fill_one_cart(visitor: Visitor) -> None:
    """Four additions at once, of two kinds, are all in the cart."""
    await visitor.look()
    await visitor.do("/count")
    await asyncio.gather(*(visitor.send("/cart/add", item=item) for item in ("tea", "bread", "tea", "bread")))
    await visitor.look()
    assert "2 × tea" in visitor.part("cart")
    assert "2 × bread" in visitor.part("cart")


async def test_a_restart_is_survived_and_told(visitor: Visitor, serve: Serve, clock: Clock) -> None:
    """Another server over the same file knows the visitor, and the page says that the session is older than it."""
    await visitor.look()
    await visitor.do("/sign-in", name="Ann")
    assert "outlived a restart" not in visitor.page
    clock.forward(60)
    after = Visitor(serve(), httpx.Cookies(visitor.http.cookies))
    await after.look()
    assert "Signed in as Ann" in after.part("who")
    assert "outlived a restart" in after.part("facts")


async def test_a_click_moves_the_end_and_no_click_brings_it(visitor: Visitor, clock: Clock) -> None:
    """The time left counts down, a look at the page pushes it back to fifteen minutes, and then it runs out."""
    await visitor.look()
    await visitor.do("/sign-in", name="Ann")
    assert visitor.part("left") == "15:00"
    clock.forward(5)
    await visitor.look()
    assert visitor.part("left") == "14:55"
    clock.forward(600)
    await visitor.look()
    assert visitor.part("left") == "15:00"
    assert "Store: 1 read, 1 note of use" in visitor.part("log")
    clock.forward(15 * 60)
    await visitor.look()
    assert "Not signed in" in visitor.part("who")


async def test_keep_me_signed_in(visitor: Visitor) -> None:
    """The box makes it thirty days."""
    await visitor.look()
    await visitor.do("/sign-in", name="Ann", remember="yes")
    assert visitor.part("left") == "30 d 0:00:00"


@pytest.mark.parametrize("name", ["", "   ", "x" * 41, "a\x00b", "a\u202eb"])
async def test_a_name_that_cannot_be_shown_is_asked_for_again(visitor: Visitor, name: str) -> None:
    """The form comes back with a sentence beside the field; nobody is signed in and no session begins."""
    await visitor.look()
    answer = await visitor.send("/sign-in", name=name)
    assert answer.status_code == 422
    assert 'aria-describedby="name-problem"' in answer.text
    assert "set-cookie" not in answer.headers


async def test_a_name_is_text_and_never_markup(visitor: Visitor) -> None:
    """Angle brackets and quotes come back as typed."""
    await visitor.look()
    await visitor.do("/sign-in", name="<b onclick='x'>Ann</b>")
    assert "<b onclick" not in visitor.page
    assert "&lt;b onclick" in visitor.page


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://demo.example", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_a_form_of_another_site_is_refused(visitor: Visitor, headers: dict[str, str]) -> None:
    """With the right token or with no session at all: 403, and nothing changes."""
    answer = await visitor.http.post("/sign-in", data={"name": "Mallory"}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    await visitor.look()
    await visitor.do("/count")
    answer = await visitor.http.post("/count", data={"csrf": visitor.token("/count")}, headers=headers)
    assert answer.status_code == 403
    assert "another site" in answer.text
    await visitor.look()
    assert visitor.part("count") == "1"


async def test_a_form_with_the_wrong_token_is_refused(visitor: Visitor) -> None:
    """None, a made-up one, or the one from before the sign-in: 403, a way back, and nothing changes."""
    await visitor.look()
    await visitor.do("/count")
    earlier = visitor.token("/count")
    await visitor.do("/sign-in", name="Ann")
    for token in ("", "made-up", "t\u00f6ken", earlier):
        answer = await visitor.http.post("/count", data={"csrf": token})
        assert answer.status_code == 403
        assert 'href="/"' in answer.text
    await visitor.look()
    assert visitor.part("count") == "1"


@pytest.mark.parametrize("path", ["/", "/static/demo.css", "/static/demo.js", "/nowhere"])
async def test_every_answer_has_a_strict_policy(visitor: Visitor, path: str) -> None:
    """Scripts and styles come from here alone, nothing is inline, and no other site may frame the page."""
    answer = await visitor.look(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_page_needs_nothing_from_elsewhere(visitor: Visitor) -> None:
    """It names no other host, has no inline script or style, and its files never touch a session."""
    await visitor.look()
    await visitor.do("/sign-in", name="Ann")
    assert "//" not in visitor.page.replace("sqlite:///s.db", "")
    assert "<style" not in visitor.page
    assert "style=" not in visitor.page
    answer = await visitor.http.get("/static/demo.js")
    assert answer.status_code == 200
    assert "vary" not in answer.headers


@pytest.mark.parametrize("store", ["cookie:", "cookie:signed"])
async def test_cookie_sessions_work_and_say_what_they_cannot(serve: Serve, store: str) -> None:
    """The page signs in and counts, and promises neither that requests add up nor that a sign-out ends copies."""
    visitor = Visitor(serve(store))
    await visitor.look()
    await visitor.do("/sign-in", name="Ann")
    await visitor.do("/count")
    assert visitor.part("count") == "1"
    assert "live in the cookie" in visitor.part("counter")
    assert "outlived" not in visitor.page
    for promise in ("for good", "dead at once", "you are not signed in", "kill -9", "Change the id"):
        assert promise not in visitor.page
    await visitor.do("/sign-out")
    assert "A copy would still be good" in visitor.part("log")


async def test_sessions_in_memory_are_not_promised_to_survive(serve: Serve) -> None:
    """Where a restart forgets everybody, the page does not invite to one."""
    visitor = Visitor(serve("memory:"))
    await visitor.look()
    assert "kill -9" not in visitor.page
    assert "end with the server" in visitor.part("try")


async def test_accessible_names_hold_what_is_seen(serve: Serve) -> None:
    """The name of a button holds the text that is seen on it (WCAG 2.2, success criterion 2.5.3)."""
    visitor = Visitor(serve())
    await visitor.look()
    await visitor.do("/cart/add", item="tea")
    for attributes, inside in re.findall(r"<button([^>]*)>(.*?)</button>", visitor.page, re.DOTALL):
        seen = re.sub(r'<span (?:aria-hidden="true"|class="unseen")>[^<]*</span>', "", inside)
        seen = " ".join(re.sub(r"<[^>]+>", " ", seen).split())
        label = re.search(r'aria-label="([^"]*)"', attributes)
        assert label is None or seen in label[1], f"{seen!r} is seen, and the name is {label[1]!r}"
        assert re.sub(r"<span aria-hidden[^<]*</span>|<[^>]+>", "", inside).strip() or label, "a button without a name"


async def test_a_copied_cookie_opens_a_session_that_no_device_has_bound(serve: Serve) -> None:
    visitor = Visitor(serve(bound=True))
    await visitor.look()
    assert "Sign in, and a browser that can" in visitor.part("device")
    await visitor.do("/sign-in", name="Ann")
    assert visitor.part("unbound") != ""
    assert "limpet demo --tls" in visitor.part("device")
    visitor.page = (await visitor.send("/copy")).text
    assert visitor.part("copied") == "Somebody with a copy of your session cookie is signed in as Ann."


async def test_over_https_the_page_says_how_to_see_that_the_session_is_bound(serve: Serve) -> None:
    visitor = Visitor(serve(bound=True))
    await visitor.look()
    await visitor.do("/sign-in", name="Ann")
    visitor.http.base_url = httpx.URL("https://demo.example")
    await visitor.look()
    assert "load this page again" in visitor.part("device")
    assert "limpet demo --tls" not in visitor.part("device")


async def test_a_copied_cookie_opens_nothing_once_a_device_has_bound_the_session(serve: Serve, clock: Clock) -> None:
    app = serve(bound=True)
    visitor = Visitor(app)
    await visitor.look()
    answer = await visitor.do("/sign-in", name="Ann")
    browser = Browser(asgi(app), cookies=dict(visitor.http.cookies))
    browser.heed(answer.headers["secure-session-registration"])
    await browser.register()
    assert (await browser.refresh()).status == 200
    visitor.http.cookies.update(browser.cookies)
    clock.forward(60)
    await visitor.look()
    assert "bound to this device" in visitor.part("bound")
    visitor.page = (await visitor.send("/copy")).text
    assert visitor.part("copied") == "Somebody with a copy of your session cookie is not signed in."
    assert visitor.part("device") != ""


async def test_a_session_in_its_cookie_is_bound_to_nothing(serve: Serve) -> None:
    visitor = Visitor(serve("cookie:"))
    await visitor.look()
    assert visitor.part("device") == ""
