"""``limpet copy``: into another store, live, repeatable, without logging anybody out."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from hashlib import sha256
from typing import Any

import pytest

from limpet import Session, SessionManager
from limpet.cli import copy as copying
from limpet.cli._copied import State
from limpet.cli.options import operator
from limpet.contract import Outcome, Record
from limpet.stores import FileStore
from tests.cli.running import Shell
from tests.site import Site

OLD, NEW = "sqlite:///old.db", "file:./new"


@asynccontextmanager
async def site(url: str) -> AsyncIterator[Site]:
    """The application over one of the stores."""
    manager = SessionManager(url, dev=False)
    await manager.startup()
    try:
        yield Site(manager)
    finally:
        await manager.shutdown()


def using(url: str, work: Callable[[Site], Coroutine[Any, Any, Any]]) -> Any:
    """Do something as the application does over a store."""

    async def run() -> Any:
        async with site(url) as opened:
            return await work(opened)

    return asyncio.run(run())


def whose(url: str, cookies: list[str]) -> list[str | None]:
    """Return whose sessions the cookies are in a store."""

    async def look(site: Site) -> list[str | None]:
        return [await site.whose(cookie) for cookie in cookies]

    found: list[str | None] = using(url, look)
    return found


def logins(url: str, *names: str) -> list[str]:
    """Log in and return the cookies."""

    async def work(site: Site) -> list[str]:
        return [await site.login(name) for name in names]

    found: list[str] = using(url, work)
    return found


@contextmanager
def killed_at(session: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a run be killed when it is about to write that session, counted from 1, and those before it are there."""
    put, calls = copying._put, 0

    async def killed(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls >= session:
            await asyncio.sleep(0.3 if calls == session else 60)
            raise OSError("killed")
        await put(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("limpet.cli.copy._put", killed)
        yield


def copy(shell: Shell, *more: str) -> dict[str, int]:
    """Run the command and return what it counted."""
    result = shell.run("copy", OLD, NEW, "--json", *more)
    assert result.exit_code == 0, result.output
    counted: dict[str, int] = json.loads(result.stdout)
    return {name: count for name, count in counted.items() if count}


def change(url: str, cookie: str, **values: Any) -> None:
    """Write into a session."""
    using(url, lambda site: site.run(lambda session: session.update(values), cookie))


def logout(url: str, cookie: str) -> None:
    """End a session."""
    using(url, lambda site: site.run(lambda session: session.logout(), cookie))


def data(url: str, cookie: str) -> dict[str, Any]:
    """Return what is in a session."""

    async def look(site: Site) -> dict[str, Any]:
        session = site.begin(cookie)
        await site.manager.load(session)
        return dict(session)

    found: dict[str, Any] = using(url, look)
    return found


def test_nobody_is_logged_out(shell: Shell) -> None:
    """Each cookie of the old store is a session in the new one, with its data and its subject's index."""
    cookies = logins(OLD, "ann", "bob", "ann")
    change(OLD, cookies[0], cart=["tea"])
    assert copy(shell) == {"copied": 3}
    assert whose(NEW, cookies) == ["ann", "bob", "ann"]
    assert data(NEW, cookies[0]) == {"cart": ["tea"]}
    assert len(using(NEW, lambda site: site.manager.sessions_of("ann"))) == 2


def test_a_second_run_brings_what_is_new(shell: Shell) -> None:
    """Again, it brings what was written meanwhile, and keeps what is newer at the destination."""
    cookies = logins(OLD, "ann", "bob", "eve")
    copy(shell)
    change(OLD, cookies[0], a="from the old store")
    change(NEW, cookies[1], b="from the new store")
    more = logins(OLD, "zoe")
    assert copy(shell) == {"copied": 1, "updated": 1, "unchanged": 1, "kept": 1}
    assert data(NEW, cookies[0]) == {"a": "from the old store"}
    assert data(NEW, cookies[1]) == {"b": "from the new store"}
    assert whose(NEW, more) == ["zoe"]


def test_what_was_ended_there_stays_ended(shell: Shell) -> None:
    """A session that was copied and then logged out at the destination is not brought back by another run."""
    cookies = logins(OLD, "ann", "bob")
    copy(shell)
    logout(NEW, cookies[0])
    assert copy(shell) == {"unchanged": 1, "ended": 1}
    assert whose(NEW, cookies) == [None, "bob"]


def test_what_was_ended_here_ends_there(shell: Shell) -> None:
    """With --mirror, a session that was logged out at the source since the first run ends at the destination."""
    cookies = logins(OLD, "ann", "bob")
    copy(shell)
    logout(OLD, cookies[0])
    assert copy(shell, "--mirror") == {"unchanged": 1, "removed": 1}
    assert whose(NEW, cookies) == [None, "bob"]


def test_an_interrupted_copy_goes_on(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure the next run knows what is there as its copies, and nothing is missing."""
    monkeypatch.setattr("limpet.cli.copy.PAGE", 4)
    cookies = logins(OLD, *(f"user{number}" for number in range(10)))
    with killed_at(7, monkeypatch):
        assert shell.run("copy", OLD, NEW).exit_code != 0
    with closing(sqlite3.connect(shell.folder / "limpet-copy.state")) as state:
        assert state.execute("SELECT count(*) FROM copied").fetchone() == (6,)
    assert copy(shell) == {"copied": 4, "unchanged": 6}
    assert None not in whose(NEW, cookies)


def test_traffic_while_it_copies(shell: Shell) -> None:
    """Sessions that are written while the copy runs are complete at the destination after one more run."""
    cookies = logins(OLD, *(f"user{number}" for number in range(20)))

    async def run() -> None:
        async with site(OLD) as application:

            async def traffic() -> None:
                for generation in range(5):
                    for cookie in cookies:
                        await application.run(partial(Session.update, generation=generation), cookie)

            source, destination = operator(OLD).engine.storage.server, operator(NEW).engine.storage.server
            state = State(shell.folder / "limpet-copy.state", sha256(f"{OLD}\n{NEW}".encode()).hexdigest())
            await asyncio.gather(traffic(), copying._copy(source, destination, state, False, False))
            state.close()

    asyncio.run(run())
    copy(shell)
    assert [data(NEW, cookie) for cookie in cookies] == [{"generation": 4}] * 20


def test_expired_sessions_are_left_out(shell: Shell) -> None:
    """What has expired is not copied."""

    async def fill(site: Site) -> None:
        now = site.manager.clock()
        site.manager.clock = lambda: now - 20 * 86_400_000
        await site.login("ann")

    using(OLD, fill)
    assert copy(shell) == {"expired": 1}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((OLD, OLD), 2, "same store"),
        (("sqlite:///nowhere.db", NEW), 1, "there is nothing at"),
        (("cookie:", NEW), 1, "browsers' cookies"),
    ],
)
def test_impossible_copies(shell: Shell, arguments: tuple[str, str], code: int, says: str) -> None:
    """What cannot be copied is said in one sentence, with an exit code."""
    logins(OLD, "ann")
    result = shell.run("copy", *arguments)
    assert result.exit_code == code
    assert says in result.output


def test_the_state_of_another_copy(shell: Shell) -> None:
    """A state file of a copy between other stores, or of something else, is refused and left alone."""
    logins(OLD, "ann")
    copy(shell)
    other = shell.run("copy", OLD, "file:./elsewhere")
    assert other.exit_code == 1
    assert "between other stores" in other.output
    (shell.folder / "letter.txt").write_text("Dear Ann")
    assert shell.run("copy", OLD, NEW, "--state", "letter.txt").exit_code == 1
    assert (shell.folder / "letter.txt").read_text() == "Dear Ann"


def test_killed_between_a_write_and_its_note(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run has not noted has not begun there: the next one copies it as it is by then."""
    cookies = logins(OLD, "ann", "bob", "eve")
    with monkeypatch.context() as patch:

        def killed(*arguments: Any) -> None:
            raise OSError("killed")

        patch.setattr("limpet.cli.copy.State.note", killed)
        assert shell.run("copy", OLD, NEW).exit_code != 0
    assert whose(NEW, cookies) == [None] * 3
    for cookie in cookies:
        change(OLD, cookie, cart=["tea"])
    assert copy(shell) == {"copied": 3}
    assert [data(NEW, cookie) for cookie in cookies] == [{"cart": ["tea"]}] * 3


def test_sessions_are_copied_side_by_side(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A destination that takes ten milliseconds for each write gets many at once."""
    create, at_once = FileStore.create, Counter[str]()

    async def slow(self: FileStore, key: str, record: Record, *, now: int) -> Outcome:
        at_once["now"] += 1
        at_once["most"] = max(at_once.values())
        await asyncio.sleep(0.01)
        at_once["now"] -= 1
        return await create(self, key, record, now=now)

    logins(OLD, *(f"user {at}" for at in range(300)))
    monkeypatch.setattr(FileStore, "create", slow)
    assert copy(shell)["copied"] == 300
    assert 50 < at_once["most"] <= 128
