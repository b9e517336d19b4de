"""`limpet.wsgi.SessionMiddleware` around applications of no framework, held to PEP 3333."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx
import pytest

from limpet import LimpetWarning, SessionClosed, SessionManager, SessionPolicy, StoreUnavailable
from limpet.errors import ConfigurationError
from limpet.keyring import generate_secret
from limpet.stores import MemoryStore
from limpet.testing._adapter_site import WatchedStore
from limpet.wsgi import BlockingSession, SessionMiddleware, session_in
from tests.wsgi.client import Browser, application, site

Start = Callable[..., Any]
PLAIN = [("Content-Type", "text/plain")]


def count(session: BlockingSession) -> int:
    return int(session.increment("n"))


@pytest.mark.parametrize("lazy", [True, False])
def test_a_session_lasts(lazy: bool) -> None:
    """What one request writes the next one reads, and the response is marked for caches."""
    browser = site(count, lazy=lazy)
    first = browser.get()
    assert (first.text, first.header("vary"), first.header("cache-control")) == ("1", "Cookie", "no-store")
    assert "Secure; SameSite=Lax" in (first.header("set-cookie") or "")
    second = browser.get()
    assert (second.text, second.header("set-cookie"), second.header("cache-control")) == ("2", None, "private")


def test_a_cookie_session_lasts() -> None:
    """Sessions that live in their cookie work the same."""
    browser = site(count, SessionManager("cookie:", secret=generate_secret()))
    assert [browser.get().text for _ in range(3)] == ["1", "2", "3"]


def test_who_does_not_touch_the_session_pays_nothing() -> None:
    """Without a use there is no store call, no header and no cookie; eagerly read, it is one call."""
    for lazy, calls in ((True, []), (False, ["load"])):
        store = WatchedStore(MemoryStore())
        manager = SessionManager(store)
        Browser(SessionMiddleware(application(count), manager))
        cookies = _logged_in(manager)
        store.calls.clear()
        reply = site(lambda session: "nothing", manager, lazy=lazy).get()
        assert reply.headers == PLAIN
        browser = Browser(SessionMiddleware(application(lambda _: "nothing"), manager, lazy=lazy), cookies=cookies)
        assert browser.get().headers == PLAIN
        assert store.calls == calls


def _logged_in(manager: SessionManager) -> dict[str, str]:
    browser = site(lambda session: session.login("ann"), manager)
    browser.get()
    return browser.cookies


def test_a_header_of_the_application_about_caches_is_kept() -> None:
    """``Vary`` grows, and what the application says to caches stays unless a cookie goes out."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        environ["limpet.session"].get("n")
        start_response("200 OK", [*PLAIN, ("Vary", "Accept"), ("Cache-Control", "max-age=5")])
        return [b""]

    reply = Browser(SessionMiddleware(app, "memory:")).get()
    assert (reply.header("vary"), reply.header("cache-control")) == ("Accept, Cookie", "max-age=5")


def test_a_logout_ends_it_and_a_late_write_revives_nothing() -> None:
    """The cookie is deleted, and a request with the old one is anonymous."""
    manager = SessionManager("memory:")
    cookies = _logged_in(manager)
    reply = Browser(SessionMiddleware(application(lambda s: s.logout()), manager), cookies=cookies).get()
    assert "Max-Age=0" in (reply.header("set-cookie") or "")
    late = Browser(SessionMiddleware(application(count), manager), cookies=cookies)
    assert late.get().header("set-cookie") is None
    assert manager.blocking.sessions_of("ann") == []


def test_a_generator_application_saves_when_it_starts_the_response() -> None:
    """An application may call ``start_response`` at its first part, and write to the session until its last."""
    manager = SessionManager("memory:")

    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        session = environ["limpet.session"]
        session["early"] = 1
        start_response("200 OK", PLAIN)
        yield b"a"
        session["late"] = 2
        yield b"b"

    browser = Browser(SessionMiddleware(app, manager))
    assert browser.get().text == "ab"
    seen = Browser(SessionMiddleware(application(lambda s: dict(s)), manager), cookies=browser.cookies)
    assert seen.get().text == "{'early': 1, 'late': 2}"


def test_a_client_that_hangs_up_loses_nothing_that_was_written() -> None:
    """``close()`` of the body is the end of the session: what was written by then is saved."""
    manager = SessionManager("memory:")

    def app(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        session = environ["limpet.session"]
        session["n"] = 1
        start_response("200 OK", PLAIN)
        session["n"] = 2
        yield b"a"
        session["n"] = 3
        yield b"b"

    browser = Browser(SessionMiddleware(app, manager))
    browser.get(stop_after=1)
    seen = Browser(SessionMiddleware(application(lambda s: s["n"]), manager), cookies=browser.cookies)
    assert seen.get().text == "2"


def test_after_the_end_nothing_is_written() -> None:
    """A session that was kept beyond its request says so when it is written to."""
    kept: list[BlockingSession] = []
    site(kept.append).get()
    with pytest.raises(SessionClosed):
        kept[0]["n"] = 5


def test_the_callable_that_start_response_returns_works() -> None:
    """PEP 3333, "The write() Callable": what is written goes out before the body."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        write = start_response("200 OK", PLAIN)
        write(environ["limpet.session"].get("n", "none").encode())
        return [b"!"]

    assert Browser(SessionMiddleware(app, "memory:")).get().text == "none!"


class Boom(Exception):
    pass


def _fail() -> bytes:
    raise Boom


@pytest.mark.parametrize("as_generator", [False, True])
def test_a_handler_that_raises_saves_nothing_but_a_logout(as_generator: bool) -> None:
    """What was written is dropped; a logout is carried out, and the error goes on to the server."""
    manager = SessionManager("memory:")
    cookies = _logged_in(manager)

    def failing(act: Callable[[BlockingSession], object]) -> Browser:
        def plain(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
            act(environ["limpet.session"])
            raise Boom

        def generator(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
            act(environ["limpet.session"])
            yield from (_fail() for _ in range(1))

        app: Any = generator if as_generator else plain
        return Browser(SessionMiddleware(app, manager), cookies=cookies)

    with pytest.raises(Boom):
        failing(count).get()
    assert Browser(SessionMiddleware(application(lambda s: s.get("n")), manager), cookies=cookies).get().text == "None"
    assert len(manager.blocking.sessions_of("ann")) == 1
    with pytest.raises(Boom):
        failing(lambda session: session.logout()).get()
    assert manager.blocking.sessions_of("ann") == []


def test_an_answer_of_500_saves_nothing() -> None:
    """A response of 500 and more is a failure, and hands out no cookie."""
    reply = Browser(SessionMiddleware(application(count, "500 Internal Server Error"), "memory:")).get()
    assert (reply.status, reply.header("set-cookie")) == (500, None)


def test_an_error_page_after_the_start_carries_the_cookie() -> None:
    """``start_response`` with ``exc_info`` replaces headers that were not sent: the new id goes out all the same."""
    manager = SessionManager("memory:")

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        environ["limpet.session"].login("ann")
        start_response("200 OK", PLAIN)
        try:
            raise Boom
        except Boom:
            start_response("500 Oops", PLAIN, sys.exc_info())
            return [b"oops"]

    browser = Browser(SessionMiddleware(app, manager))
    reply = browser.get()
    assert (reply.status, reply.text, len(browser.cookies)) == (500, "oops", 1)
    assert len(manager.blocking.sessions_of("ann")) == 1


@pytest.mark.parametrize("as_generator", [False, True])
def test_a_store_that_fails_on_saving_is_answered_with_503(as_generator: bool) -> None:
    """The client gets an error and no cookie, and the application's own body goes nowhere."""
    store = WatchedStore(MemoryStore())
    store.writes_down = True

    def generator(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        count(environ["limpet.session"])
        start_response("200 OK", PLAIN)
        yield b"saved!"
        yield b"really!"

    app = generator if as_generator else application(count)
    reply = Browser(SessionMiddleware(app, SessionManager(store))).get()
    assert (reply.status, reply.header("retry-after"), reply.header("set-cookie")) == (503, "1", None)
    assert reply.text == "The session store is not available. Try again in a moment.\n"


@pytest.mark.parametrize("lazy", [True, False])
def test_a_store_that_fails_on_reading(lazy: bool) -> None:
    """A route that does not use the session stays up; one that does is answered with 503."""
    store = WatchedStore(MemoryStore())
    manager = SessionManager(store)
    cookies = _logged_in(manager)
    store.down = True

    def serve(handler: Callable[[BlockingSession], object]) -> Browser:
        return Browser(SessionMiddleware(application(handler), manager, lazy=lazy), cookies=cookies)

    assert serve(lambda session: "up").get().text == "up"
    assert serve(lambda session: session.get("n")).get().status == 503

    def handles(session: BlockingSession) -> str:
        with pytest.raises(StoreUnavailable):
            session.get("n")
        return "handled"

    assert serve(handles).get().text == "handled"


def test_excluded_paths_have_no_session() -> None:
    """A path of ``exclude`` and all below it are left alone, below a mount as well."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        return [str("limpet.session" in environ).encode()]

    browser = Browser(SessionMiddleware(app, "memory:", exclude=("/health", "/straße")))
    found = [browser.get(path).text for path in ("/health", "/health/a", "/healthy", "/")]
    assert found == ["False", "False", "True", "True"]
    assert browser.get("/straße".encode().decode("latin-1")).text == "False"
    with pytest.raises(ConfigurationError, match="no session"):
        session_in({})


def test_passive_paths_keep_no_session_alive() -> None:
    """A request that a page sends by itself is no use of the session."""
    now = [1_800_000_000_000]
    manager = SessionManager("memory:", policy=SessionPolicy(idle_timeout=600), clock=lambda: now[0])
    cookies = _logged_in(manager)
    browser = Browser(SessionMiddleware(application(lambda s: s.subject), manager, passive=("/poll",)), cookies=cookies)

    def visit(path: str) -> str:
        now[0] += 250_000
        return browser.get(path).text

    assert [visit("/poll") for _ in range(3)] == ["ann", "ann", "None"]
    cookies = _logged_in(manager)
    browser.cookies = cookies
    assert [visit("/page") for _ in range(3)] == ["ann"] * 3


def test_two_managers_have_two_sessions_and_one_cookie_steps_aside(caplog: pytest.LogCaptureFixture) -> None:
    """Labels keep two sessions apart; without, the inner middleware steps aside and says so once."""
    shop, admin = SessionManager("memory:"), SessionManager("memory:", label="admin")

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        count(session_in(environ, shop))
        count(session_in(environ, admin))
        start_response("200 OK", PLAIN)
        return [str("other" in environ).encode()]

    inner = SessionMiddleware(SessionMiddleware(app, admin, environ_key="admin"), shop)
    browser = Browser(inner)
    browser.get()
    assert len(browser.cookies) == 2
    twin = SessionMiddleware(inner, SessionManager("memory:"), environ_key="other")
    browser = Browser(SessionMiddleware(SessionMiddleware(application(count), "memory:", environ_key="other"), shop))
    assert [browser.get().text for _ in range(2)] == ["1", "2"]
    assert [record.message for record in caplog.records if "two session managers" in record.message]
    assert twin is not None


def test_a_login_from_another_site_begins_no_session_for_a_write() -> None:
    """A cross-site POST without a cookie leaves no session behind, as under ASGI; a login does."""
    write, login = site(count), site(lambda session: session.login("ann"))
    foreign: dict[str, Any] = {"REQUEST_METHOD": "POST", "HTTP_SEC_FETCH_SITE": "cross-site", "CONTENT_LENGTH": "0"}
    assert write.get(**foreign).header("set-cookie") is None
    assert login.get(**foreign).header("set-cookie") is not None
    old: dict[str, Any] = {"REQUEST_METHOD": "POST", "HTTP_ORIGIN": "https://evil.example", "HTTP_HOST": "shop.example"}
    assert site(count).get(**old).header("set-cookie") is None


def test_what_hides_the_session_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """An application that assigns to ``environ["limpet.session"]`` changes nothing, and is told."""

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        environ["limpet.session"] = {"n": 1}
        start_response("200 OK", PLAIN)
        return [b""]

    browser = Browser(SessionMiddleware(app, "memory:"))
    browser.get()
    browser.get()
    assert sum("builtins.dict" in record.message for record in caplog.records) == 1


def test_a_page_that_is_fetched_in_advance_shows_no_flash() -> None:
    """A browser says of a prefetch that it is one, and the message stays for the page that is looked at."""
    manager = SessionManager("memory:")
    browser = site(lambda session: session.flash("saved"), manager)
    browser.get()
    shown = Browser(
        SessionMiddleware(application(lambda session: len(session.flashes())), manager), cookies=browser.cookies
    )
    assert [shown.get(HTTP_SEC_PURPOSE="prefetch").text, shown.get().text, shown.get().text] == ["0", "1", "0"]


def test_an_application_makes_its_own_page_of_a_refusal() -> None:
    """``on_refused`` sees the WSGI environment."""
    store = WatchedStore(MemoryStore())
    store.writes_down = True
    manager = SessionManager(store, on_refused=lambda refusal: f"{refusal.reason} {refusal.wants_html}")
    reply = site(count, manager).get(HTTP_ACCEPT="text/html")
    assert (reply.status, reply.text, reply.header("retry-after")) == (503, "store-unavailable True", "1")


def test_devices_are_noted() -> None:
    """User agent and truncated address come from the environ."""
    manager = SessionManager("memory:", devices=True)
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
    site(lambda session: session.login("ann"), manager).get(HTTP_USER_AGENT=agent, REMOTE_ADDR="203.0.113.9")
    (info,) = manager.blocking.sessions_of("ann")
    assert (info.user_agent, info.address) == (agent, "203.0.113.0/24")


def test_a_test_client_over_http_is_warned() -> None:
    """A Secure cookie that a test client will drop is told of once."""
    browser = site(count)
    with pytest.warns(LimpetWarning, match="http test client"):
        browser.get(SERVER_NAME="testserver", scheme="http")


def test_a_login_is_the_first_use_of_a_session_that_has_ended() -> None:
    """It is read for the login, and found ended; the login leaves that behind as it does in a session read before."""
    manager = SessionManager("memory:")

    def app(environ: Any, start_response: Any) -> list[bytes]:
        session = session_in(environ)
        if environ["PATH_INFO"] == "/login":
            session.login("ann")
        elif environ["PATH_INFO"] == "/new-id":
            session.regenerate()
        start_response("200 OK", [])
        return [str(session.subject).encode()]

    def visitor(cookies: Any = None) -> httpx.Client:
        transport = httpx.WSGITransport(SessionMiddleware(app, manager))
        return httpx.Client(transport=transport, base_url="https://testserver", cookies=cookies)

    with visitor() as ann:
        ann.get("/login")
        before = httpx.Cookies(ann.cookies)
        ann.get("/new-id")
    with visitor(before) as again:
        again.get("/login")
        assert again.get("/").text == "ann"
