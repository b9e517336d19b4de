"""The command itself, ``keygen`` and ``sweep``."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

import limpet
from limpet import Keyring
from limpet._native import build
from limpet.cli import main
from limpet.cli.group import NAMES
from limpet.stores import Record
from limpet.stores.sqlite import SQLiteStore
from tests.cli.running import Shell, in_process_of_its_own


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    """``python -m limpet --version`` prints name, version and build, and nothing else."""
    done = in_process_of_its_own("--version", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"limpet {limpet.__version__} ({build()})\n", "")


@pytest.mark.parametrize("name", NAMES)
def test_every_subcommand_explains_itself(shell: Shell, name: str) -> None:
    """Each has a help page that begins with its usage."""
    result = shell.run(name, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: limpet {name}")


def test_a_command_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    """The exit code is 2, as for any program that was called wrongly."""
    done = in_process_of_its_own("frobnicate", folder=tmp_path)
    assert done.returncode == 2
    assert "frobnicate" in done.stderr


def test_without_click_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who has installed the library alone reads the extra's name instead of a traceback."""
    monkeypatch.setitem(sys.modules, "click", None)
    assert main(["--version"]) == 1
    assert "pip install 'limpet[cli]'" in capsys.readouterr().err


def test_without_click_there_is_a_secret_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The errors that ask for a secret name a command, and that needs nothing more."""
    monkeypatch.setitem(sys.modules, "click", None)
    assert main(["keygen"]) == 0
    assert len(capsys.readouterr().out.strip()) == 43


def test_the_commands_import_no_framework_and_no_driver() -> None:
    """A secret is made without loading what the demo or a store needs."""
    script = (
        "import sys; from limpet.cli import main; code = main(['keygen']); "
        "print(sorted({'fastapi', 'starlette', 'uvicorn', 'jinja2', 'redis', 'asyncpg', 'sqlite3'} & set(sys.modules)))"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[1] == "[]"


def test_keygen_prints_one_strong_secret(shell: Shell) -> None:
    """What it prints is taken as a secret, and is another one each time."""
    first, second = (shell.run("keygen").output.splitlines() for _ in range(2))
    assert len(first) == len(second) == 1
    assert len(Keyring([*first, *second])) == 2


def test_keygen_speaks_json(shell: Shell) -> None:
    """A script gets one object with one secret."""
    answer = json.loads(shell.run("keygen", "--json").output)
    assert list(answer) == ["secret"]
    assert len(Keyring(answer["secret"])) == 1


def fill(path: Path, *, expired: int, live: int) -> None:
    async def work() -> None:
        store = SQLiteStore(path)
        now = time.time_ns() // 1_000_000
        for number in range(expired + live):
            expires = now - 600_000 if number < expired else now + 3_600_000
            await store.create(f"{number:064x}", Record(number, b"x", now - 2000, expires), now=now)
        await store.close()

    asyncio.run(work())


async def left(path: Path) -> int:
    store = SQLiteStore(path)
    try:
        return len((await store.scan(None, 10_000))[0])
    finally:
        await store.close()


def test_sweep_deletes_what_expired_and_nothing_else(shell: Shell) -> None:
    """Of 700 expired and 3 live sessions, the 3 stay."""
    fill(shell.folder / "s.db", expired=700, live=3)
    result = shell.run("sweep", "--store", "sqlite:///s.db")
    assert (result.exit_code, result.output) == (0, "700 expired sessions deleted.\n")
    assert asyncio.run(left(shell.folder / "s.db")) == 3


def test_sweep_stops_at_its_limit(shell: Shell) -> None:
    """``--limit 10`` leaves the rest for later."""
    fill(shell.folder / "s.db", expired=25, live=0)
    shell.set(LIMPET_STORE="sqlite:///s.db")
    assert json.loads(shell.run("sweep", "--limit", "10", "--json").output) == {"deleted": 10, "needed": True}
    assert asyncio.run(left(shell.folder / "s.db")) == 15


def test_sweep_asks_a_store_that_needs_none(shell: Shell) -> None:
    """A server that forgets by itself is asked whether it is there: exit code 1 where nothing answers."""
    result = shell.run("sweep", "--store", "redis://127.0.0.1:1/0")
    assert result.exit_code == 1
    assert "Redis at 127.0.0.1:1 failed" in result.output
    assert "Nothing to do" not in result.output


def test_sweep_makes_no_database_where_there_is_none(shell: Shell) -> None:
    """A mistyped path is an error, and leaves no empty database behind."""
    result = shell.run("sweep", "--store", "sqlite:///typo.db")
    assert result.exit_code == 1
    assert "typo.db" in result.stderr
    assert list(shell.folder.iterdir()) == []


def test_sweep_has_nothing_to_do_for_cookies(shell: Shell) -> None:
    """The browsers keep these sessions; saying so is no error, and no secret is needed for it."""
    result = shell.run("sweep", "--store", "cookie:")
    assert result.exit_code == 0
    assert result.output.startswith("Nothing to do")


def test_sweep_without_a_store_says_how_to_name_one(shell: Shell) -> None:
    """The sentence lists URLs, and the exit code is 1."""
    result = shell.run("sweep")
    assert result.exit_code == 1
    assert "sqlite:///sessions.db" in result.stderr
