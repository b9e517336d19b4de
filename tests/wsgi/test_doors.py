"""The blocking words of a manager, and what cannot be driven."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from limpet import SessionEnded, SessionManager
from limpet._blocking import drive, is_driven
from limpet._caching import mark_response
from limpet._doors import mark
from limpet._serving import as_text
from limpet.errors import ConfigurationError
from limpet.events import Event
from limpet.stores import MemoryStore, Record
from limpet.wsgi import BlockingSession, SessionMiddleware
from tests.wsgi.client import Browser, application, site


class Waiting(MemoryStore):
    """A store whose client is asynchronous."""

    immediate = False  # type: ignore[assignment]

    async def load(self, key: str) -> Record | None:
        await asyncio.sleep(0.001)
        return await super().load(key)


class Pausing(Waiting):
    async def load(self, key: str) -> Record | None:
        await asyncio.sleep(0)
        return None


def test_every_word_of_a_manager_blocks(tmp_path: Path) -> None:
    """What people call from workers and shells: list, open, revoke, sweep, check."""
    manager = SessionManager(f"sqlite:///{tmp_path}/s.db")
    doors = manager.blocking
    doors.startup()
    tags = {"sid": "7"}
    site(lambda session: session.login("ann", tags=tags), manager).get()
    site(lambda session: session.login("ann"), manager).get()
    first, second = doors.sessions_of("ann")
    with doors.open(first.public_id) as session:
        session["report"] = "ready"
        session.blocking.save()
        assert session.blocking.is_live()
    assert {each["data"].get("report") for each in doors.export("ann")} == {"ready", None}
    assert doors.revoke(tag=("sid", "7")) == 1
    assert len(doors.sessions_of("ann")) == 1
    assert doors.revoke_all("ann") == 1
    with pytest.raises(SessionEnded), doors.open(second.public_id):
        pass
    site(lambda session: session.login("bob"), manager).get()
    assert doors.revoke(doors.sessions_of("bob")[0].public_id) == 1
    site(lambda session: session.login("eve"), manager).get()
    assert (doors.revoke_everyone(), doors.erase("eve"), doors.sweep()) == (1, 0, 0)
    assert all("other users" in sentence for sentence in doors.check())
    doors.shutdown()


def test_a_session_that_was_not_read_yet_is_spared_all_the_same() -> None:
    """``revoke_all(except_=session)`` keeps the session of the request, also if nothing has used it so far."""
    manager = SessionManager("memory:")
    first = site(lambda session: session.login("ann"), manager)
    first.get()
    site(lambda session: session.login("ann"), manager).get()
    app = application(lambda session: manager.blocking.revoke_all("ann", except_=session))
    assert Browser(SessionMiddleware(app, manager), cookies=first.cookies).get().text == "1"
    assert len(manager.blocking.sessions_of("ann")) == 1


def test_an_exception_in_an_open_session_saves_nothing() -> None:
    """``with manager.blocking.open(…)`` saves at its end, and nothing after an exception."""
    manager = SessionManager("memory:")
    site(lambda session: session.login("ann"), manager).get()
    (info,) = manager.blocking.sessions_of("ann")

    def fail() -> None:
        with manager.blocking.open(info.public_id) as session:
            session["half"] = 1
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert manager.blocking.export("ann")[0]["data"] == {}


@pytest.mark.parametrize("store", [Waiting, Pausing])
def test_a_store_that_waits_for_a_loop_gets_a_sentence(store: type[MemoryStore]) -> None:
    """A store over an asynchronous client is refused by name of the cure, on its first use."""
    with pytest.raises(ConfigurationError, match="by a URL"):
        drive(store().load("0" * 64))
    assert not is_driven()


def test_other_errors_pass() -> None:
    """Only what says that there is no loop is taken for that."""

    async def fail() -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        drive(fail())


def test_an_asynchronous_listener_is_refused_and_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """An event listener has to be a plain function where nothing runs coroutines."""
    manager = SessionManager("memory:")
    heard: list[Event] = []

    async def listener(event: Event) -> None:
        heard.append(event)

    manager.listen(listener)
    manager.listen(heard.append)
    assert site(lambda session: session.login("ann"), manager).get().status == 200
    assert heard
    assert any("a listener" in record.message for record in caplog.records)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "file"])
async def test_a_blocking_application_works_while_a_loop_runs(kind: str, tmp_path: Path) -> None:
    """A test that is a coroutine may call a blocking application: its stores do not wait for the loop they see."""
    url = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path}/s.db", "file": f"file:{tmp_path}/s"}[kind]
    manager = SessionManager(url)
    browser = site(lambda session: session.increment("n"), manager)
    assert [browser.get().text for _ in range(2)] == ["1", "2"]
    await manager.shutdown()


async def test_one_manager_serves_both_sides(tmp_path: Path) -> None:
    """Coroutines and threads use one manager at once: each waits in its own way, and all count."""
    manager = SessionManager(f"sqlite:///{tmp_path}/s.db")
    await manager.startup()
    site(lambda session: session.login("ann"), manager).get()
    (info,) = await manager.sessions_of("ann")

    def blocking() -> None:
        for _ in range(10):
            with manager.blocking.open(info.public_id) as session:
                session.increment("n")

    async def waiting() -> None:
        for _ in range(10):
            async with manager.open(info.public_id) as session:
                session.increment("n")

    await asyncio.gather(waiting(), asyncio.to_thread(blocking), waiting(), asyncio.to_thread(blocking))
    assert (await manager.export("ann"))[0]["data"] == {"n": 40}
    await manager.shutdown()


def test_a_session_is_read_at_its_first_use_and_by_load() -> None:
    """``session.blocking.load()`` reads now; ``refresh`` shows what others saved."""
    manager = SessionManager("memory:")
    browser = site(lambda session: session.increment("n"), manager)
    browser.get()
    (name,) = browser.cookies
    line = f"{name}={browser.cookies[name]}".encode()
    session = manager.blocking.begin([(b"cookie", line)])
    assert isinstance(session, BlockingSession)
    assert session.blocking.load()["n"] == 1
    browser.get()
    session.blocking.refresh()
    assert session["n"] == 2


@pytest.mark.parametrize("no_store", [False, True])
@pytest.mark.parametrize("tokens", [[], [(b"set-cookie", b"a=1")], [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]])
@pytest.mark.parametrize("said", [[], [("Vary", "Accept")], [("cache-control", "max-age=60")], [("X-Vary", "vary")]])
def test_response_headers_are_marked_as_those_of_asgi(
    said: list[tuple[str, str]], tokens: list[tuple[bytes, bytes]], no_store: bool
) -> None:
    """Whatever the application says of caches, blocking applications and others send the same."""
    headers = [("Content-Type", "text/plain"), *said]
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    asgi = [*mark_response(raw, b"Cookie", tokens[0] if tokens else None, True, no_store), *tokens[1:]]
    assert sorted(mark(headers, b"Cookie", tokens, True, no_store)) == sorted(
        (name if (name, value) in said else name.title(), value) for name, value in as_text(asgi)
    )
    assert mark(headers, b"Cookie", [], False, no_store) == headers
