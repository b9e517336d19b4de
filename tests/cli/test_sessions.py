"""``limpet list``, ``show``, ``revoke``, ``stats`` and ``migrate``: what an operator does to sessions."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from limpet import SessionManager
from limpet._core.positions import subject_key
from limpet._wire.journal import JOURNAL
from limpet.serializers.json import JSONSerializer
from tests.cli.running import Shell, on_site
from tests.site import Site

URL = "sqlite:///sessions.db"


def application(work: Callable[[Site], Coroutine[Any, Any, Any]], **settings: Any) -> Any:
    """Do something as the application does, and close its store."""
    return on_site(SessionManager(URL, dev=False, **settings), work)


@pytest.fixture
def cookies(shell: Shell) -> dict[str, str]:
    """Sessions of three visitors; the last one is anonymous."""

    async def fill(site: Site) -> dict[str, str]:
        return {
            "ann": await site.login("ann", tags={"oidc_sid": "s1"}),
            "bob": await site.login("bob"),
            "": await site.run(lambda session: session.update(cart=["secret tea"])) or "",
        }

    found: dict[str, str] = application(fill)
    return found


def alive(cookies: dict[str, str]) -> dict[str, str | None]:
    """Return whose session each cookie is now."""

    async def look(site: Site) -> dict[str, str | None]:
        return {name: await site.whose(cookie) for name, cookie in cookies.items()}

    found: dict[str, str | None] = application(look)
    return found


def listed(shell: Shell, *more: str) -> list[dict[str, Any]]:
    """Return what ``limpet list --json`` says."""
    result = shell.run("list", "--store", URL, "--json", *more)
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_list(shell: Shell, cookies: dict[str, str]) -> None:
    """All live sessions are listed, or those of a subject, or so many; no value and no cookie is shown."""
    assert sorted(one["subject"] or "" for one in listed(shell)) == ["", "ann", "bob"]
    [ann] = listed(shell, "--subject", "ann")
    assert ann["tags"] == {"oidc_sid": "s1"}
    assert len(listed(shell, "--limit", "2")) == 2
    plain = shell.run("list", "--store", URL)
    assert plain.output.count("\n") == 4, "a header, and a line for each"
    for secret in ("secret tea", *cookies.values()):
        assert secret not in plain.output + json.dumps(listed(shell))
    assert "No sessions of eve" in shell.run("list", "--store", URL, "--subject", "eve").output


def test_show(shell: Shell, cookies: dict[str, str]) -> None:
    """One session is shown with the names of its keys; values only when asked for; none is exit code 1."""
    [anonymous] = [one for one in listed(shell) if one["subject"] is None]
    shown = json.loads(shell.run("show", anonymous["public_id"], "--store", URL, "--json").stdout)
    assert shown["keys"] == ["cart"]
    assert "secret tea" not in shell.run("show", anonymous["public_id"], "--store", URL).output
    assert "secret tea" in shell.run("show", anonymous["public_id"], "--store", URL, "--values").output
    shown = json.loads(shell.run("show", anonymous["public_id"], "--store", URL, "--values", "--json").stdout)
    assert shown["values"] == {"cart": ["secret tea"]}
    for unknown in ("0" * 64, "nonsense"):
        result = shell.run("show", unknown, "--store", URL)
        assert result.exit_code == 1
        assert "limpet list" in result.output


def test_revoke_by_public_id(shell: Shell, cookies: dict[str, str]) -> None:
    """A session ends by its public id; the second time there is none, and the exit code says so."""
    [ann] = listed(shell, "--subject", "ann")
    assert "1 session ended" in shell.run("revoke", ann["public_id"], "--store", URL).output
    assert alive(cookies) == {"ann": None, "bob": "bob", "": None}
    again = shell.run("revoke", ann["public_id"], "--store", URL, "--json")
    assert again.exit_code == 1
    assert '"revoked": 0' in again.stdout


@pytest.mark.parametrize(("how", "left"), [(("--subject", "ann"), {"bob"}), (("--tag", "oidc_sid=s1"), {"bob"})])
def test_revoke_many(shell: Shell, cookies: dict[str, str], how: tuple[str, ...], left: set[str]) -> None:
    """All sessions of a subject, or with a tag, end."""
    result = shell.run("revoke", "--store", URL, "--json", *how)
    assert json.loads(result.stdout) == {"revoked": 1, "unknown": []}
    assert {name for name in alive(cookies).values() if name} == left


def test_revoke_everyone_asks(shell: Shell, cookies: dict[str, str]) -> None:
    """Everybody is logged out after a question, or with --yes; a refusal ends nothing."""
    refused = shell.run("revoke", "--everyone", "--store", URL, stdin="n\n")
    assert refused.exit_code == 1
    assert alive(cookies)["ann"] == "ann"
    assert "3 sessions ended" in shell.run("revoke", "--everyone", "--yes", "--store", URL).output
    assert set(alive(cookies).values()) == {None}


def test_revoking_here_voids_a_login_there(shell: Shell, cookies: dict[str, str]) -> None:
    """The mark that the command writes is the one that an application looks for, whatever its cookie is called."""

    async def login_under_way(site: Site) -> str | None:
        session = site.begin()
        session.login("ann")
        await asyncio.to_thread(revoke)
        await site.manager.commit(session)
        return session.subject

    def revoke() -> None:
        assert shell.run("revoke", "--subject", "ann", "--store", URL).exit_code == 0

    assert application(login_under_way, label="admin") is None


@pytest.mark.parametrize("wrong", [(), ("--everyone", "--subject", "ann"), ("--tag", "nothing")])
def test_revoke_given_wrongly(shell: Shell, wrong: tuple[str, ...]) -> None:
    """Nothing to revoke, or two things at once, is wrong usage: exit code 2."""
    assert shell.run("revoke", "--store", URL, *wrong).exit_code == 2


def test_json_sessions_are_read(shell: Shell) -> None:
    """Sessions that an application writes as JSON are listed and revoked by tag just so."""

    async def fill(site: Site) -> str:
        return await site.login("ann", tags={"sid": "s1"})

    cookie = application(fill, serializer=JSONSerializer())
    assert listed(shell)[0]["tags"] == {"sid": "s1"}
    assert json.loads(shell.run("revoke", "--tag", "sid=s1", "--store", URL, "--json").stdout)["revoked"] == 1
    assert cookie


def test_stats(shell: Shell, cookies: dict[str, str]) -> None:
    """Sessions are counted by what they are; the records of locks and revocations are not sessions."""
    shell.run("revoke", "--subject", "nobody", "--store", URL)
    counted = json.loads(shell.run("stats", "--store", URL, "--json").stdout)
    wanted = {"sessions": 3, "logged_in": 2, "anonymous": 1, "subjects": 2, "expired": 0, "unreadable": 0}
    assert {name: counted[name] for name in wanted} == wanted
    # the revocation, who did it, the journal of revocations, the tag of ann's login, and whose that tag is
    assert counted["marks"] == 5
    assert counted["bytes"] > counted["largest"] > 0
    assert "logged in" in shell.run("stats", "--store", URL).output


@pytest.mark.parametrize(("command", "label"), [("stats", "reading"), ("sweep", "sweeping")])
def test_long_work_shows_how_far_it_is(shell: Shell, cookies: dict[str, str], command: str, label: str) -> None:
    """On a terminal there is a bar, on standard error; what is piped on stays clean."""
    ours, theirs = os.openpty()
    run = [sys.executable, "-m", "limpet", command, "--store", URL]
    with os.fdopen(ours, "rb", 0) as terminal:
        done = subprocess.run(run, cwd=shell.folder, stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True)
        seen = os.read(terminal.fileno(), 65_536).decode()
        os.close(theirs)
    assert label in seen
    assert label not in done.stdout.decode()


def test_a_session_past_its_own_deadline_is_over(shell: Shell, cookies: dict[str, str]) -> None:
    """What ``expire_in`` has shortened is not listed or counted as live when that time is over."""

    async def shorten(site: Site) -> None:
        now = site.manager.clock()
        site.manager.clock = lambda: now - 60_000
        await site.run(lambda session: session.expire_in(30), cookies["bob"])

    application(shorten)
    assert sorted(one["subject"] or "" for one in listed(shell)) == ["", "ann"]
    assert listed(shell, "--subject", "bob") == []
    counted = json.loads(shell.run("stats", "--store", URL, "--json").stdout)
    assert (counted["sessions"], counted["expired"]) == (2, 1)


def test_migrate(shell: Shell) -> None:
    """What a store needs is made, again without harm, and then a store that may not make anything opens."""
    for made in ([str(shell.folder / "sessions.db")], []):
        result = shell.run("migrate", "--store", URL, "--json")
        assert json.loads(result.stdout) == {"ok": True, "store": "SQLiteStore", "made": made, "problems": []}
    assert (shell.folder / "sessions.db").exists()
    assert shell.run("list", "--store", URL + "?create=false").exit_code == 0


@pytest.mark.parametrize("name", ["list", "stats", "show", "revoke"])
def test_what_there_is_not(shell: Shell, name: str) -> None:
    """A store that is not there is said so and not made; cookie sessions are not on the server."""
    more = {"show": ["0" * 64], "revoke": ["--subject", "ann"]}.get(name, [])
    missing = shell.run(name, "--store", URL, *more)
    assert missing.exit_code == 1
    assert "there is nothing at" in missing.output
    assert not Path(shell.folder / "sessions.db").exists()
    cookie = shell.run(name, "--store", "cookie:", *more)
    assert cookie.exit_code == 1
    assert "browsers' cookies" in cookie.output


def test_marks_are_shown_to_nobody(shell: Shell, cookies: dict[str, str]) -> None:
    """The record of a revocation is no session: not listed, not shown."""
    shell.run("revoke", "--subject", "ann", "--store", URL)
    for key in (subject_key("ann"), JOURNAL):
        assert key not in [one["public_id"] for one in listed(shell)]
        assert shell.run("show", key, "--store", URL).exit_code == 1
        assert shell.run("revoke", key, "--store", URL).exit_code == 1


def test_what_an_ended_id_leaves_is_no_session(shell: Shell, cookies: dict[str, str]) -> None:
    """After a logout, what says so for a minute is not listed, shown, counted or revoked as a session."""
    [ann] = listed(shell, "--subject", "ann")
    application(lambda site: site.run(lambda session: session.logout(), cookies["ann"]))
    assert len(listed(shell)) == 2
    assert listed(shell, "--subject", "ann") == []
    for name in ("show", "revoke"):
        assert shell.run(name, ann["public_id"], "--store", URL).exit_code == 1
    assert json.loads(shell.run("stats", "--store", URL, "--json").stdout)["sessions"] == 2


def test_what_was_revoked_and_not_deleted_is_over(shell: Shell, cookies: dict[str, str]) -> None:
    """A revocation holds before the records are deleted: a session that only the journal ends is not listed."""

    async def interrupted(site: Site) -> None:
        await site.manager.engine.storage.positions.advance(subject_key("ann"))

    [ann] = listed(shell, "--subject", "ann")
    application(interrupted)
    assert alive(cookies)["ann"] is None
    assert listed(shell, "--subject", "ann") == []
    assert [one["subject"] for one in listed(shell) if one["subject"]] == ["bob"]
    assert shell.run("show", ann["public_id"], "--store", URL).exit_code == 1
    counted = json.loads(shell.run("stats", "--store", URL, "--json").stdout)
    assert (counted["sessions"], counted["revoked"]) == (2, 1)
    dry = json.loads(shell.run("revoke", "--everyone", "--dry-run", "--json", "--store", URL).stdout)
    assert dry["would_revoke"] == 2
