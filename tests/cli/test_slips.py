"""What an operator types by mistake is answered with what was meant: a path, an option, a public id, a store."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Iterator
from typing import Any

import click
import pytest

from limpet.cli.group import Command, limpet
from limpet.stores import open_store
from tests.cli.running import Shell

URL = "sqlite:///sessions.db"
MEMORY = "cookie:?revocation=epoch&store=memory:"


@pytest.mark.parametrize(
    ("url", "made"),
    [
        ("sqlite:///data/s.db", ["data", "data/s.db"]),
        ("sqlite:///s.db", ["s.db"]),
        ("file:./data/kept", ["data", "data/kept"]),
        ("file:./kept", ["kept"]),
    ],
)
def test_migrate_names_what_was_missing(shell: Shell, url: str, made: list[str]) -> None:
    """The first run says what it made; another one, that nothing was."""
    paths = [str(shell.folder / one) for one in made]
    first = shell.run("migrate", "--store", url)
    assert first.stderr.startswith(f"note: {' and '.join(paths)} did not exist")
    again = shell.run("migrate", "--store", url)
    assert (again.exit_code, again.stderr) == (0, "")
    assert json.loads(shell.run("migrate", "--store", url, "--json").stdout)["made"] == []


def test_copy_names_what_was_missing(shell: Shell) -> None:
    """A mistyped destination is seen as well."""
    assert shell.run("migrate", "--store", URL).exit_code == 0
    done = shell.run("copy", URL, "file:./data/kept")
    assert done.stderr == f"note: {shell.folder}/data and {shell.folder}/data/kept did not exist, and were made.\n"


@pytest.mark.parametrize("url", ["sqlite:///data/s.db", "file:./data"])
async def test_a_folder_that_is_made_is_logged_once(shell: Shell, url: str, caplog: pytest.LogCaptureFixture) -> None:
    """In an application, whose log is read when sessions are missing."""
    caplog.set_level(logging.INFO, "limpet")
    for _ in range(2):
        store: Any = open_store(url)
        await store.open()
        await store.load("0" * 64)
        await store.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"the folder {shell.folder}/data did not exist, and was made for the sessions"
    ]


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ("list ann", "did you mean --subject ann?"),
        ("list 'ann smith'", "did you mean --subject 'ann smith'?"),
        ("list --subject ann smith", "unexpected argument smith"),
        ("list sqlite:///s.db", "did you mean --store sqlite:///s.db?"),
        ("stats file:./sessions", "did you mean --store file:./sessions?"),
        ("sweep redis+cluster://host/0", "did you mean --store redis+cluster://host/0?"),
        ("migrate postgresql://host/db", "did you mean --store postgresql://host/db?"),
        ("doctor shop.main:app", "did you mean --app shop.main:app?"),
        ("demo 9000", "did you mean --port 9000?"),
        ("show 01234567 89abcdef", "unexpected argument 89abcdef"),
        ("stats ann", "unexpected argument ann"),
        ("keys rotate x y", "unexpected arguments x y"),
    ],
)
def test_an_argument_too_many(shell: Shell, words: str, cure: str) -> None:
    """Exit code 2, and the option for which it looks."""
    done = shell.run(*shlex.split(words))
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == f"Error: {cure}" or done.stderr.endswith(f": {cure}\n")


def test_every_subcommand_knows_what_was_meant() -> None:
    """A new one too."""

    def walk(command: click.Command, ctx: click.Context) -> Iterator[click.Command]:
        if not isinstance(command, click.Group):
            yield command
            return
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            assert inner is not None
            yield from walk(inner, ctx)

    commands = list(walk(limpet, click.Context(limpet)))
    assert len(commands) >= 12
    assert [one.name for one in commands if not isinstance(one, Command)] == []


@pytest.mark.parametrize(
    "words",
    [
        ("list", "--store", "memory:"),
        ("show", "0" * 64, "--store", "memory:"),
        ("revoke", "--subject", "ann", "--store", "memory:"),
        ("revoke", "--everyone", "--store", "memory:"),
        ("revoke", "--subject", "ann", "--store", MEMORY),
        ("stats", "--store", "memory:"),
        ("sweep", "--store", "memory:"),
        ("migrate", "--store", "memory:"),
        ("copy", "memory:", URL),
        ("copy", URL, "memory:"),
    ],
    ids=lambda words: " ".join(words)[:24],
)
def test_the_memory_of_another_process(shell: Shell, words: tuple[str, ...]) -> None:
    """A store in memory is empty in each new process: no command answers as if it had looked, and none asks first."""
    assert shell.run("migrate", "--store", URL).exit_code == 0
    done = shell.run(*words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "belongs to one process" in done.stderr


@pytest.mark.parametrize("given", ["07333", "ann", "0" * 65, "0733333z"])
@pytest.mark.parametrize("name", ["show", "revoke"])
def test_what_is_no_public_id(shell: Shell, name: str, given: str) -> None:
    """The message says how long one is, and what is enough of it."""
    assert shell.run("migrate", "--store", URL).exit_code == 0
    done = shell.run(name, given, "--store", URL)
    assert done.exit_code == 1
    assert f"no session {given}: a public id has 64 hexadecimal digits" in done.stderr
    assert "the first eight or more" in done.stderr
    assert "64" not in shell.run(name, "07333aBc", "--store", URL).stderr
