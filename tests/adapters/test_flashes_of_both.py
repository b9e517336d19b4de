"""Flask and Quart: their `flash()` and `session.flash()` keep their messages together, and each shows all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import flask
import pytest
import quart

from limpet import SessionManager
from limpet.adapters import flask as in_flask
from limpet.adapters import quart as in_quart

SECRET = "sF0cUAtE0CPdJkSJY3zJl8cUqZr5ck2qXr5tQbbY2Tg"
PAIRS = "{% for category, text in get_flashed_messages(with_categories=true) %}{{ category }}={{ text }};{% endfor %}"
FILTERED = "{{ get_flashed_messages(category_filter=['info']) | join }}/{{ get_flashed_messages() | join }}"

Ask = Callable[[str], Awaitable[str]]
"""Runs what a path says, one after the other in one request (``a;b``), and returns the last one's answer.

``during:X`` is another request of the same browser, which runs X and is answered meanwhile.
"""


@pytest.fixture(params=["flask", "quart"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """A browser of an application in either framework."""
    return _flask() if request.param == "flask" else _quart()


def _flask() -> Ask:
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY=SECRET, SESSION_COOKIE_SECURE=False)
    in_flask.Limpet(app, "memory:")
    browser, session = app.test_client(), in_flask.session

    def other(path: str) -> str:
        second, cookie = app.test_client(), browser.get_cookie("session")
        assert cookie is not None
        second.set_cookie("session", cookie.value)
        return second.get(f"/{path}").text

    steps: dict[str, Callable[[], Any]] = {
        "ours": lambda: session.flash("ours", "info"),
        "theirs": lambda: flask.flash("theirs", "error"),
        "read": lambda: len(session),
        "begin": lambda: session.update(begun=True),
        "show ours": lambda: "".join(f"{shown.category}={shown.message};" for shown in session.flashes()),
        "show theirs": lambda: flask.render_template_string(PAIRS),
        "show filtered": lambda: flask.render_template_string(FILTERED),
    }

    @app.get("/<path>")
    def page(path: str) -> str:
        answer = ""
        for step in path.split(";"):
            answer = other(step[7:]) if step.startswith("during:") else steps[step]()
        return answer or ""

    async def ask(path: str) -> str:
        response = browser.get(f"/{path}")
        assert response.status_code == 200
        return response.text

    return ask


def _quart() -> Ask:
    app = quart.Quart(__name__)
    in_quart.Limpet(app, SessionManager("memory:", dev=True))
    browser, session = app.test_client(), quart.session

    async def other(path: str) -> str:
        second = app.test_client()
        second.cookie_jar = browser.cookie_jar
        return str(await (await second.get(f"/{path}")).get_data(as_text=True))

    async def ours() -> None:
        in_quart.get_session().flash("ours", "info")

    async def read() -> None:
        len(session)

    async def begin() -> None:
        session["begun"] = True

    async def show() -> str:
        return "".join(f"{shown.category}={shown.message};" for shown in in_quart.get_session().flashes())

    steps: dict[str, Callable[[], Awaitable[Any]]] = {
        "ours": ours,
        "theirs": lambda: quart.flash("theirs", "error"),
        "read": read,
        "begin": begin,
        "show ours": show,
        "show theirs": lambda: quart.render_template_string(PAIRS),
        "show filtered": lambda: quart.render_template_string(FILTERED),
    }

    @app.get("/<path>")
    async def page(path: str) -> str:
        answer = ""
        for step in path.split(";"):
            answer = await (other(step[7:]) if step.startswith("during:") else steps[step]())
        return answer or ""

    async def ask(path: str) -> str:
        response = await browser.get(f"/{path}")
        assert response.status_code == 200
        return str(await response.get_data(as_text=True))

    return ask


OURS, THEIRS = "info=ours;", "error=theirs;"


@pytest.mark.parametrize("show", ["show ours", "show theirs"])
@pytest.mark.parametrize(
    ("requests", "shown"),
    [
        (["ours"], OURS),
        (["theirs"], THEIRS),
        (["ours", "theirs"], OURS + THEIRS),
        (["theirs", "ours"], THEIRS + OURS),
        (["ours;theirs"], OURS + THEIRS),
        (["theirs;ours"], THEIRS + OURS),
        (["read;during:theirs;ours"], THEIRS + OURS),
        (["theirs", "read;during:ours;theirs"], THEIRS + OURS + THEIRS),
        (["ours", "show theirs;during:theirs"], THEIRS),
        (["theirs", "show ours;during:ours"], OURS),
        (["theirs", "theirs;during:show ours"], THEIRS),
        (["ours", "ours;during:show theirs"], OURS),
    ],
)
async def test_either_shows_what_both_left(ask: Ask, requests: list[str], shown: str, show: str) -> None:
    """In whatever order, in one request or in two at once, each message is shown once, with its category."""
    await ask("begin")
    for path in requests:
        await ask(path)
    assert await ask(show) == shown
    assert await ask("show ours") == ""
    assert await ask("show theirs") == ""


async def test_a_filter_by_category_finds_ours(ask: Ask) -> None:
    """`category_filter` goes by the category that `session.flash` was given."""
    await ask("theirs;ours")
    assert await ask("show filtered") == "ours/theirsours"


async def test_what_was_shown_is_not_shown_by_the_other(ask: Ask) -> None:
    """Within one request, too, a message is shown by one of them."""
    await ask("theirs;ours")
    assert await ask("show ours;show theirs") == ""
    await ask("theirs;ours")
    assert await ask("show theirs;show ours") == ""
