"""``limpet revoke``: looking first, being asked, cookie sessions, and what a program makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from limpet import SessionManager
from tests.cli.running import Shell, in_process_of_its_own, on_site
from tests.site import Site

URL = "sqlite:///sessions.db"
SECRET = "kJ2mX9vQ4tR7wZ1nB6cY3fH8sD5gL0pA"


def application(url: str, work: Callable[[Site], Coroutine[Any, Any, Any]]) -> Any:
    """Do something as the application does, and close its store."""
    return on_site(SessionManager(url, secret=SECRET, dev=False), work)


def signed_in(url: str) -> dict[str, str]:
    """Return the cookies of three logins, two of them ann's."""

    async def fill(site: Site) -> dict[str, str]:
        return {
            "phone": await site.login("ann", tags={"oidc_sid": "s1"}),
            "desk": await site.login("ann"),
            "bob": await site.login("bob"),
        }

    found: dict[str, str] = application(url, fill)
    return found


def alive(url: str, cookies: dict[str, str]) -> set[str]:
    """Return which of them are somebody's still."""

    async def look(site: Site) -> set[str]:
        return {name for name, cookie in cookies.items() if await site.whose(cookie)}

    found: set[str] = application(url, look)
    return found


@pytest.mark.parametrize(
    ("how", "count"),
    [(("--everyone",), 3), (("--subject", "ann"), 2), (("--tag", "oidc_sid=s1"), 1), (("--subject", "eve"), 0)],
    ids=["everyone", "subject", "tag", "nobody"],
)
@pytest.mark.parametrize("url", [URL, "file:./sessions"], ids=["sqlite", "file"])
def test_a_dry_run_counts_what_would_end(shell: Shell, url: str, how: tuple[str, ...], count: int) -> None:
    """It says the number that the same command ends then, asks nothing and ends nothing."""
    cookies = signed_in(url)
    looked = shell.run("revoke", "--store", url, "--dry-run", "--json", *how)
    assert json.loads(looked.stdout) == {"would_revoke": count, "unknown": []}
    assert "would end" in shell.run("revoke", "--store", url, "--dry-run", *how).output
    assert alive(url, cookies) == {"phone", "desk", "bob"}
    ended = shell.run("revoke", "--store", url, "--yes", "--json", *how)
    assert json.loads(ended.stdout) == {"revoked": count, "unknown": []}
    assert len(alive(url, cookies)) == 3 - count


def test_a_dry_run_by_public_id(shell: Shell) -> None:
    """Ids that name no session are told, with exit code 1, as the command itself does."""
    signed_in(URL)
    [first, *_] = json.loads(shell.run("list", "--store", URL, "--json").stdout)
    looked = shell.run("revoke", first["public_id"], "0" * 64, "--store", URL, "--dry-run", "--json")
    assert looked.exit_code == 1
    assert json.loads(looked.stdout) == {"would_revoke": 1, "unknown": ["0" * 64]}


@pytest.mark.parametrize(("answer", "says"), [("n\n", "no session was ended\n"), ("", "(--yes leaves it out)\n")])
def test_everyone_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, says: str) -> None:
    """A no ends nobody, and so does a script without an answer: exit code 1, and a sentence that names the store."""
    monkeypatch.chdir(tmp_path)
    cookies = signed_in(URL)
    run = [sys.executable, "-m", "limpet", "revoke", "--everyone", "--store", URL]
    done = subprocess.run(run, input=answer, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "everybody out of sqlite:///sessions.db" in done.stderr
    assert done.stderr.endswith(says)
    assert len(alive(URL, cookies)) == 3


def test_everyone_shows_how_far_it_is(shell: Shell) -> None:
    """On a terminal there is a bar, on standard error; what is piped on stays clean."""
    signed_in(URL)
    ours, theirs = os.openpty()
    run = [sys.executable, "-m", "limpet", "revoke", "--everyone", "--yes", "--store", URL]
    with os.fdopen(ours, "rb", 0) as terminal:
        done = subprocess.run(run, cwd=shell.folder, stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True)
        seen = os.read(terminal.fileno(), 65_536).decode()
        os.close(theirs)
    assert "deleting" in seen
    assert done.stdout == b"3 sessions ended.\n"


def test_cookie_sessions_of_a_subject(shell: Shell) -> None:
    """Where the application looks for epochs, all cookies of a subject are dead at its next request."""
    url = "cookie:?revocation=epoch&store=sqlite:///ended.db"
    cookies = signed_in(url)
    done = shell.run("revoke", "--subject", "ann", "--store", url)
    assert (done.exit_code, done.output) == (0, "Recorded: the next request with such a cookie is anonymous.\n")
    assert alive(url, cookies) == {"bob"}
    again = shell.run("revoke", "--subject", "ann", "--store", url, "--json")
    assert json.loads(again.stdout) == {"revoked": None, "unknown": []}


def test_one_cookie_session(shell: Shell) -> None:
    """Where the application looks into a denylist, one session is dead by its public id."""
    url = "cookie:?revocation=denylist&store=sqlite:///ended.db"
    cookies = signed_in(url)

    async def public_id(site: Site) -> str | None:
        session = site.begin(cookies["phone"])
        await site.manager.load(session)
        return session.public_id

    assert shell.run("revoke", application(url, public_id), "--store", url).exit_code == 0
    assert alive(url, cookies) == {"desk", "bob"}


@pytest.mark.parametrize(
    ("url", "how", "says"),
    [
        ("cookie:", ("--subject", "ann"), "keys rotate --keep 0"),
        ("cookie:", ("--everyone", "--yes"), "keys rotate --keep 0"),
        ("cookie:?revocation=epoch&store=sqlite:///typo.db", ("--subject", "ann"), "there is nothing at"),
        ("cookie:?revocation=epoch&store=sqlite:///ended.db", ("--tag", "a=b"), "cannot be found by a tag"),
        ("cookie:?revocation=denylist&store=sqlite:///ended.db", ("--subject", "ann"), "revocation='epoch'"),
        ("cookie:?revocation=epoch&store=sqlite:///ended.db", ("0" * 64,), "revocation='denylist'"),
    ],
    ids=["subject", "everyone", "typo", "tag", "epoch-needed", "denylist-needed"],
)
def test_cookie_sessions_that_cannot_be_ended_so(shell: Shell, url: str, how: tuple[str, ...], says: str) -> None:
    """What the notes cannot say is refused with the cure, exit code 1, and no database is made by it."""
    if "ended.db" in url:
        signed_in(url)
    done = shell.run("revoke", "--store", url, *how)
    assert done.exit_code == 1
    assert says in done.output
    assert not (shell.folder / "typo.db").exists()


def test_cookie_sessions_are_not_counted(shell: Shell) -> None:
    """A dry run over cookies is wrong usage: nobody knows how many there are."""
    assert shell.run("revoke", "--subject", "ann", "--dry-run", "--store", "cookie:").exit_code == 2


def test_a_program_reads_exit_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0: ended; 1: no such session, or no such store; 2: wrong usage. Errors go to standard error."""
    monkeypatch.chdir(tmp_path)
    signed_in(URL)
    codes = [
        in_process_of_its_own("revoke", *arguments, folder=tmp_path, LIMPET_STORE=store)
        for arguments, store in (
            (("--subject", "ann"), URL),
            (("0" * 64,), URL),
            (("--subject", "ann"), "sqlite:///typo.db"),
            ((), URL),
        )
    ]
    assert [done.returncode for done in codes] == [0, 1, 1, 2]
    assert [bool(done.stderr) for done in codes] == [False, True, True, True]
