"""When a WSGI response starts: with the first part of its body, before which nothing of it was sent (PEP 3333)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from limpet import SessionManager
from limpet.wsgi import SessionMiddleware
from tests.wsgi.client import Browser, application

Start = Callable[..., Any]
PLAIN = [("Content-Type", "text/plain")]


class Boom(Exception):
    pass


def raising_at_once(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    environ["limpet.session"].login("ann")
    start_response("200 OK", PLAIN)
    raise Boom


def raising_at_the_first_part(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
    environ["limpet.session"].login("ann")
    start_response("200 OK", PLAIN)
    if environ:
        raise Boom
    yield b"never"


def raising_after_an_empty_write(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    environ["limpet.session"].login("ann")
    start_response("200 OK", PLAIN)(b"")
    raise Boom


def raising_after_the_end(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    environ["limpet.session"].login("ann")
    start_response("200 OK", PLAIN)
    return _broken()


def _broken() -> Iterator[bytes]:
    yield from [_boom() for _ in range(1)]


def _boom() -> bytes:
    raise Boom


@pytest.mark.parametrize(
    "app", [raising_at_once, raising_at_the_first_part, raising_after_an_empty_write, raising_after_the_end]
)
@pytest.mark.parametrize("known", [False, True])
def test_an_error_before_the_first_part_leaves_the_browser_what_it_had(app: Any, known: bool) -> None:
    """The server drops the headers of such a response, so a login in it does not happen: the old id lives on."""
    manager = SessionManager("memory:")
    before = Browser(SessionMiddleware(application(lambda session: session.update(cart="tea")), manager))
    if known:
        before.get()
    browser = Browser(SessionMiddleware(app, manager), cookies=before.cookies)
    with pytest.raises(Boom):
        browser.get()
    seen = Browser(SessionMiddleware(application(lambda session: session.get("cart")), manager), cookies=before.cookies)
    assert seen.get().text == ("tea" if known else "None")
    assert manager.blocking.sessions_of("ann") == []


def test_what_is_written_before_the_first_part_is_saved() -> None:
    """Between ``start_response`` and the first part a session can still begin."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        environ["limpet.session"]["n"] = 1
        yield b"a"

    browser = Browser(SessionMiddleware(app, manager := SessionManager("memory:")))
    assert browser.get().text == "a"
    seen = Browser(SessionMiddleware(application(lambda session: session["n"]), manager), cookies=browser.cookies)
    assert seen.get().text == "1"


def test_what_a_body_writes_as_it_is_closed_is_saved() -> None:
    """The client hangs up: what the body cleans up when the server closes it is saved after that."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        session = environ["limpet.session"]
        session["under way"] = True
        start_response("200 OK", PLAIN)
        try:
            yield from [b"a", b"b"]
        finally:
            session["under way"] = False

    browser = Browser(SessionMiddleware(app, manager := SessionManager("memory:")))
    browser.get(stop_after=1)
    handler = application(lambda session: session["under way"])
    assert Browser(SessionMiddleware(handler, manager), cookies=browser.cookies).get().text == "False"


def test_an_error_page_before_the_first_part() -> None:
    """The headers of the page are sent with the new id, once, and those that it replaces are not."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        environ["limpet.session"].login("ann")
        start_response("200 OK", [*PLAIN, ("X-Page", "one")])
        try:
            raise Boom
        except Boom:
            start_response("500 Oops", [*PLAIN, ("X-Page", "two")], sys.exc_info())
        return [b"oops"]

    browser = Browser(SessionMiddleware(app, "memory:"))
    reply = browser.get()
    assert (reply.status, reply.header("x-page"), len(browser.cookies)) == (500, "two", 1)


def test_an_error_page_after_an_empty_part_carries_the_cookie() -> None:
    """A server that has only seen an empty part has sent nothing: the new id that was saved goes out with the page."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        environ["limpet.session"].login("ann")
        start_response("200 OK", PLAIN)
        yield b""
        try:
            raise Boom
        except Boom:
            start_response("500 Oops", PLAIN, sys.exc_info())
        yield b"oops"

    browser = Browser(SessionMiddleware(app, manager := SessionManager("memory:")))
    reply = browser.get()
    assert (reply.status, reply.text, len(browser.cookies)) == (500, "oops", 1)
    assert len(manager.blocking.sessions_of("ann")) == 1


def test_a_second_start_is_refused() -> None:
    """Without ``exc_info`` a response starts once, as the server says."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        start_response("404 Not Found", PLAIN)
        return [b"?"]

    started: list[str] = []

    def server(status: str, headers: Any, exc_info: Any = None) -> None:
        assert not started, "headers already set"
        started.append(status)

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    with pytest.raises(AssertionError, match="already set"):
        SessionMiddleware(app, "memory:")(environ, server)
