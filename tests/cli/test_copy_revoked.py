"""``limpet copy`` and revocations: what was revoked at either store holds at the destination, in the order taken."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from limpet._core.positions import subject_key
from limpet._wire import marks
from limpet._wire.journal import JOURNAL
from limpet._wire.tokens import new_version
from limpet.cli._copied_marks import Marks
from limpet.contract import Record
from tests.cli.running import Shell
from tests.cli.test_copy import NEW, OLD, copy, logins, logout, site, using, whose
from tests.site import Site


def revoke(url: str, subject: str) -> None:
    """End all sessions of a subject, as the application does."""
    using(url, lambda site: site.manager.revoke_all(subject))


def noted(url: str, subject: str | None) -> None:
    """Note a revocation (of everyone: None) as a process does that dies before it deletes a record."""
    name = None if subject is None else subject_key(subject)
    using(url, lambda site: site.manager.engine.storage.positions.advance(name))


def last(url: str) -> int:
    """Return the number of the last revocation that a store has taken."""

    async def look(site: Site) -> int:
        return await site.manager.engine.storage.positions.current(now=True)

    found: int = using(url, look)
    return found


def records(url: str) -> dict[str, Record]:
    """Return all that a store keeps."""

    async def look(site: Site) -> dict[str, Record]:
        page, _ = await site.manager.engine.storage.server.scan(None, 1000)  # type: ignore[attr-defined]
        return dict(page)

    found: dict[str, Record] = using(url, look)
    return found


@pytest.mark.parametrize("whom", ["ann", None], ids=["subject", "everyone"])
def test_what_was_revoked_and_not_deleted_is_not_copied_to_life(shell: Shell, whom: str | None) -> None:
    """The destination judges a copied session as the source does, whose records nobody has deleted yet."""
    cookies = logins(OLD, "ann", "bob")
    noted(OLD, whom)
    more = logins(OLD, "ann")
    assert copy(shell)["copied"] == 3
    assert whose(NEW, cookies) == [None, "bob" if whom else None]
    assert whose(NEW, more) == ["ann"]


def test_revocations_are_in_place_before_sessions(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed at its first session has copied every revocation, the journal last."""
    logins(OLD, "ann")
    noted(OLD, "ann")

    async def killed(*arguments: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("limpet.cli.copy._put", killed)
        assert shell.run("copy", OLD, NEW).exit_code != 0
    assert set(records(NEW)) == {subject_key("ann"), JOURNAL}
    assert copy(shell) == {"copied": 1}


def test_run_after_run_the_numbers_stay_the_same(shell: Shell) -> None:
    """As long as only the source takes revocations, both journals are one, and who logs in again stays logged in."""
    numbers: list[int] = []
    for _ in range(3):
        revoke(OLD, "ann")
        cookies = logins(OLD, "ann")
        copy(shell)
        numbers.append(last(OLD))
        assert last(NEW) == numbers[-1]
        assert whose(NEW, cookies) == ["ann"]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    assert "marks" not in copy(shell)


def test_a_revocation_at_the_destination_holds(shell: Shell) -> None:
    """Its number does not go back when the source is copied again, and neither does any that the source takes."""
    cookies = logins(OLD, "ann", "bob", "eve")
    revoke(OLD, "zoe")
    copy(shell)
    first = last(NEW)
    revoke(NEW, "ann")
    assert last(NEW) == first + 1
    copy(shell)
    assert (last(NEW), whose(NEW, cookies)) == (first + 1, [None, "bob", "eve"])
    noted(OLD, "bob")
    copy(shell)
    assert (last(NEW), whose(NEW, cookies)) == (first + 2, [None, None, "eve"])
    copy(shell)
    assert last(NEW) == first + 2


def test_both_stores_in_use(shell: Shell) -> None:
    """A revocation at the source ends a session that began at the destination, whatever numbers the two have."""
    copy_of = logins(OLD, "bob")
    copy(shell)
    for _ in range(3):
        revoke(NEW, "zoe")
    there = logins(NEW, "ann", "eve")
    revoke(OLD, "ann")
    again = logins(OLD, "ann")
    copy(shell)
    assert whose(NEW, there) == [None, "eve"]
    assert whose(NEW, copy_of) == ["bob"]
    assert whose(NEW, again) == [None]  # it cannot be told from those before: better ended than brought back


@pytest.mark.parametrize("during", [False, True], ids=["before", "during"])
def test_a_revocation_at_the_destination_ends_what_was_copied(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, during: bool
) -> None:
    """Also a copied session that has seen more revocations than the destination has taken, however late they came."""
    logins(OLD, "bob")
    copy(shell)
    revoke(NEW, "zoe")
    found: list[str] = []

    async def busy(site: Site) -> None:
        for _ in range(4):
            await site.manager.revoke_all("eve")
        found.append(await site.login("ann"))

    if during:
        begin = Marks.begin

        async def begin_and_go_on(*arguments: Any, **more: Any) -> None:
            await begin(*arguments, **more)
            async with site(OLD) as application:
                await busy(application)

        monkeypatch.setattr(Marks, "begin", begin_and_go_on)
    else:
        using(OLD, busy)
    assert copy(shell)["copied"] == 1
    assert whose(NEW, found) == ["ann"]
    assert using(NEW, lambda site: site.manager.revoke_all("ann")) == 1
    assert whose(NEW, found) == [None]


def test_revocations_during_a_run_come_with_the_next(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the numbers of both stay the same, who logs in after one is not logged out by it."""
    cookies = logins(OLD, "ann", "bob")
    noted(OLD, "zoe")
    first = last(OLD)
    again: list[str] = []
    begin = Marks.begin

    async def begin_and_go_on(*arguments: Any, **more: Any) -> None:
        await begin(*arguments, **more)
        async with site(OLD) as application:
            await application.manager.engine.storage.positions.advance(subject_key("ann"))
            again.append(await application.login("ann"))

    with monkeypatch.context() as patch:
        patch.setattr(Marks, "begin", begin_and_go_on)
        copy(shell)
    assert last(OLD) == last(NEW) == first + 1
    copy(shell)
    assert whose(NEW, [*cookies, *again]) == [None, "bob", "ann"]


def test_everyone_revoked_with_both_in_use(shell: Shell) -> None:
    """So does a revocation of everybody, once."""
    logins(OLD, "bob")
    copy(shell)
    revoke(NEW, "zoe")
    there = logins(NEW, "ann")
    noted(OLD, None)
    copy(shell)
    assert whose(NEW, there) == [None]
    again = logins(NEW, "ann")
    copy(shell)
    assert whose(NEW, again) == ["ann"]


def test_a_tag_of_both(shell: Shell) -> None:
    """A tag lists the subjects of both stores afterwards, so that a revocation by tag finds all of them."""

    async def tagged(site: Site) -> str:
        return await site.login("ann", tags={"sid": "1"})

    ann = using(OLD, tagged)
    copy(shell)
    bob = using(NEW, lambda site: site.login("bob", tags={"sid": "1"}))
    eve = using(OLD, lambda site: site.login("eve", tags={"sid": "1"}))
    copy(shell)
    assert json.loads(shell.run("revoke", "--tag", "sid=1", "--store", NEW, "--json").stdout)["revoked"] == 3
    assert whose(NEW, [ann, bob, eve]) == [None, None, None]


def test_what_an_ended_id_leaves_is_not_copied(shell: Shell) -> None:
    """A session that has ended at the source before it was ever copied is nothing at the destination."""
    [cookie] = logins(OLD, "ann")
    logout(OLD, cookie)
    assert copy(shell) == {}
    assert records(NEW) == {}


def test_a_lock_stays_and_a_taken_over_session_does_not(shell: Shell) -> None:
    """A lock is its holder's, at the source; that a session of another library was taken over is known at both."""
    logins(OLD, "ann")
    imported = marks.mark_key("imported", "flask", "session", "token")

    async def write(site: Site) -> None:
        storage, now = site.manager.engine.storage, site.manager.clock()
        for key, facts in (
            (marks.mark_key("lock", "name", "report"), {"until": now + 9000, "life": 9.0}),
            (imported, {"gone": now + 60_000, "how": "import", "next": "0" * 64}),
        ):
            await storage.create(key, Record(new_version(), marks.write(facts), now, now + 90_000))

    using(OLD, write)
    assert copy(shell) == {"copied": 1, "marks": 1}
    assert imported in records(NEW)


def test_a_number_that_a_session_has_and_no_revocation(shell: Shell) -> None:
    """A process at the source died with its number in the session that it spared: it holds for nothing there."""
    names = ["ann", "bob", "eve"]
    cookies = logins(OLD, *names)
    revoke(OLD, "zoe")
    revoke(NEW, "zoe")  # from now on the destination has numbers of its own
    copy(shell)

    async def die(site: Site) -> None:
        for name in names:
            [info] = await site.manager.sessions_of(name)
            spare = partial(site.manager.directory._spare, info.public_id)
            with pytest.raises(InterruptedError):
                await site.manager.engine.storage.positions.advance(subject_key(name), spare=partial(_dies, spare))

    using(OLD, die)
    copy(shell)
    assert whose(NEW, cookies) == names
    noted(NEW, None)
    assert whose(NEW, cookies) == [None, None, None]


async def _dies(spare: Callable[[int], Awaitable[list[str]]], number: int) -> None:
    await spare(number)
    raise InterruptedError
