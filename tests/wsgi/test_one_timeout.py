"""A blocking application, too, waits for a server that hangs for one time limit a request."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from limpet import SessionManager, StoreUnavailable
from limpet.wsgi import BlockingSession, SessionMiddleware
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer
from tests.wsgi.client import Browser, application

LIMIT = 1.0  # seconds, the stores' timeout; psycopg is given a fifth more, as the server says sooner what kept it
ALLOWANCE = 0.8  # far below a second limit, and room for a busy machine

STEPS: dict[str, Callable[[BlockingSession], object]] = {
    "write": lambda session: session.update(n=2),
    "log in": lambda session: session.login("eve"),
    "log out": lambda session: session.logout(),
    "new id": lambda session: session.regenerate(),
    "lock": lambda session: lock(session),
    "questions": lambda session: ask(session),
}


def lock(session: BlockingSession) -> None:
    """Take a lock, and go on without it."""
    for _ in range(3):
        with suppress(StoreUnavailable), session.blocking.exclusive("token"):
            session["n"] = 2
    session["n"] = 3


def ask(session: BlockingSession) -> None:
    """Ask three times, and go on without an answer."""
    for _ in range(3):
        with suppress(StoreUnavailable):
            session.blocking.is_live()
    session["n"] = 3


@pytest.fixture(params=["valkey", "postgres"])
def server(request: pytest.FixtureRequest) -> ValkeyServer | PostgresServer:
    """Return a server that this test may freeze."""
    found: ValkeyServer | PostgresServer = request.getfixturevalue(f"own_{request.param}")
    return found


def _refused_after(browser: Browser, server: ValkeyServer | PostgresServer) -> float:
    """Check that a request is refused, wake the server that hangs, and return the seconds that it took."""
    begun = time.monotonic()
    try:
        assert browser.get().status == 503
        return time.monotonic() - begun
    finally:
        server.thaw()


@pytest.mark.parametrize("step", STEPS)
def test_a_server_that_hangs_while_the_handler_runs(server: ValkeyServer | PostgresServer, step: str) -> None:
    """What is to be saved then is a 503 after one limit, however many steps saving has."""
    manager = SessionManager(server.url, dev=False)
    steps: list[Callable[[BlockingSession], object]] = [lambda session: session.login("ada")]
    browser = Browser(SessionMiddleware(application(lambda session: steps[-1](session)), manager))
    assert browser.get().status == 200

    def hangs(session: BlockingSession) -> None:
        assert session.subject == "ada"
        server.freeze()
        STEPS[step](session)

    steps.append(hangs)
    seconds = _refused_after(browser, server)
    assert seconds < LIMIT + ALLOWANCE, f"{step} took {seconds:.2f} s"


@pytest.mark.parametrize("step", ["read", "log in"])
def test_a_server_that_hangs_before_there_is_a_connection(server: ValkeyServer | PostgresServer, step: str) -> None:
    """A new process gives up opening its first connection within the limit, too."""
    steps: list[Callable[[BlockingSession], object]] = [lambda session: session.login("ada")]
    app = application(lambda session: steps[-1](session))
    browser = Browser(SessionMiddleware(app, SessionManager(server.url, dev=False)))
    assert browser.get().status == 200
    browser = Browser(SessionMiddleware(app, SessionManager(server.url, dev=False)), cookies=browser.cookies)
    steps.append(lambda session: session.login("eve") if step == "log in" else session.subject)
    server.freeze()
    seconds = _refused_after(browser, server)
    assert seconds < LIMIT + 0.3, f"it took {seconds:.2f} s"


@pytest.mark.parametrize("moment", ["taken", "given back"])
def test_a_server_that_hangs_beside_a_lock(server: ValkeyServer | PostgresServer, moment: str) -> None:
    """A lock that may have been taken, or is held still, is not waited for once more: it ends with its life."""
    manager = SessionManager(server.url, dev=False)
    blocking = manager.blocking

    def work(*, hangs: bool) -> None:
        with blocking.exclusive("job", life=5):
            if hangs:
                server.freeze()
            blocking.revoke("0" * 64)

    work(hangs=False)
    if moment == "taken":
        server.freeze()
    begun = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable):
            work(hangs=True)
        seconds = time.monotonic() - begun
    finally:
        server.thaw()
    assert seconds < LIMIT + ALLOWANCE, f"{moment} took {seconds:.2f} s"
