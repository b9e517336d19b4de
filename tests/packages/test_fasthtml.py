"""FastHTML: its ``session`` parameter, its guards and its toasts, over our sessions."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.packages.served import served


@pytest.fixture(scope="module", params=["class", "store", "fast_app", "manager"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an application for each way to give FastHTML our sessions."""
    with served("fasthtml_site", tmp_path_factory.mktemp("fasthtml"), FASTHTML_SESSIONS=request.param) as at:
        yield at


@pytest.fixture
def browser(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, follow_redirects=True) as browser:
        yield browser


def test_the_session_parameter(browser: httpx.Client) -> None:
    """A handler's ``session``, or ``sess``, is our session: counted, changed inside, kept."""
    for _ in range(2):
        browser.get("/cart/add")
    assert "2 in the cart, seen 1" in browser.get("/cart").text
    assert "2 in the cart, seen 2" in browser.get("/cart").text
    assert len(browser.cookies) == 1


def test_a_guard(browser: httpx.Client) -> None:
    """The login of FastHTML's documentation: a beforeware that lets in who has ``auth``, and a logout by ``del``."""
    assert "please log in" in browser.get("/").text
    assert "hello ann" in browser.get("/login/ann").text
    assert "hello ann" in browser.get("/").text
    assert "please log in" in browser.get("/logout").text
    assert "please log in" in browser.get("/").text


def test_toasts(browser: httpx.Client) -> None:
    """A toast is kept over a redirect, with its type, and shown once."""
    page = browser.get("/toast/say").text
    assert "It is saved" in page
    assert 'class="fh-toast fh-toast-success"' in page
    assert "It is saved" not in browser.get("/toast").text


@pytest.mark.parametrize("address", ["store", "manager"], indirect=True)
def test_a_toast_that_another_request_leaves_meanwhile(browser: httpx.Client) -> None:
    """A page shows the toasts that it has found, and the next page the one that has come meanwhile."""
    browser.get("/toast/say", follow_redirects=False)
    assert browser.get("/toast/meanwhile").text.count("It is saved") == 1
    assert browser.get("/toast").text.count("It is saved") == 1
    assert "It is saved" not in browser.get("/toast").text


def test_what_ours_can_beyond(browser: httpx.Client) -> None:
    """A handler has the whole session: here a login that gives the browser a new id."""
    browser.get("/cart/add")
    before = dict(browser.cookies)
    assert "None" in browser.get("/me").text
    browser.get("/sign-in")
    assert "ann" in browser.get("/me").text
    assert dict(browser.cookies) != before
