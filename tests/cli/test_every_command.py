"""What holds for all subcommands: JSON for scripts, exit codes, one sentence for a failure, on every kind of store."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from limpet.cli.group import NAMES
from tests.cli.running import Shell, in_process_of_its_own

UNREACHABLE = ("redis://127.0.0.1:1/0", "postgresql://nobody@127.0.0.1:1/none")
WITH_JSON = tuple(name for name in NAMES if name != "demo")  # which serves until it is stopped


@pytest.fixture(params=["sqlite", "file", "redis", "postgres"])
def store(request: pytest.FixtureRequest, shell: Shell) -> str:
    """Return the URL of a fresh store of each kind that processes share."""
    if request.param == "redis":
        prefix = request.getfixturevalue("redis_prefix")
        return f"{request.getfixturevalue('redis_url')}?prefix={quote(prefix)}"
    if request.param == "postgres":
        schema = request.getfixturevalue("postgres_schema")
        return f"{request.getfixturevalue('postgres_url')}?schema={quote(schema)}"
    url = {"sqlite": "sqlite:///s.db", "file": "file:./sessions"}[request.param]
    assert shell.run("migrate", "--store", url).exit_code == 0
    return url


@pytest.mark.parametrize("name", WITH_JSON)
def test_each_has_json(shell: Shell, name: str) -> None:
    """Scripts can ask every subcommand for JSON."""
    names = ("keys list", "keys rotate") if name == "keys" else (name,)
    for words in names:
        assert "--json" in shell.run(*words.split(), "--help").output


def test_fresh_stores_hold_nothing(shell: Shell, store: str) -> None:
    """Each subcommand answers with JSON on a store in which nobody has ever logged in, and finds nothing."""

    def ask(*arguments: str) -> object:
        done = shell.run(*arguments, "--store", store, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    assert ask("list") == []
    assert ask("revoke", "--subject", "ann") == {"revoked": 0, "unknown": []}
    assert ask("revoke", "--tag", "a=b") == {"revoked": 0, "unknown": []}
    assert ask("revoke", "--everyone", "--dry-run") == {"would_revoke": 0, "unknown": []}
    assert ask("revoke", "--everyone", "--yes") == {"revoked": 0, "unknown": []}
    stats, swept = ask("stats"), ask("sweep")
    assert isinstance(stats, dict)
    assert stats["sessions"] == 0
    assert isinstance(swept, dict)
    assert swept["deleted"] == 0
    copied = shell.run("copy", store, "sqlite:///copied.db", "--json")
    assert json.loads(copied.stdout)["expired"] == 0
    nobody = shell.run("show", "0" * 64, "--store", store, "--json")
    assert (nobody.exit_code, nobody.stdout) == (1, "")


def test_doctor_answers_on_every_store(shell: Shell, store: str) -> None:
    """It writes, reads and deletes a probe record, and leaves nothing behind."""
    found = shell.diagnose("--store", store)
    assert "written, read back and deleted" in found.says("fine", "store")
    assert json.loads(shell.run("stats", "--store", store, "--json").stdout)["sessions"] == 0


@pytest.mark.parametrize("url", UNREACHABLE, ids=["redis", "postgres"])
@pytest.mark.parametrize(
    "arguments",
    [("list",), ("show", "0" * 64), ("revoke", "--subject", "ann"), ("stats",), ("migrate",), ("doctor",)],
    ids=lambda arguments: arguments[0],
)
def test_a_store_that_does_not_answer(tmp_path: Path, url: str, arguments: tuple[str, ...]) -> None:
    """Exit code 1 and a sentence that names the place, without a traceback and without a user or password."""
    done = in_process_of_its_own(*arguments, "--store", url, folder=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "127.0.0.1:1" in said
    assert "Traceback" not in said
    assert "nobody@" not in said


def test_the_statements_of_a_migration_as_json(shell: Shell) -> None:
    """``migrate --sql`` keeps to JSON as well, and needs no server."""
    done = shell.run("migrate", "--sql", "--json", "--store", UNREACHABLE[1])
    assert json.loads(done.stdout)["sql"].startswith("BEGIN;")


def test_failures_look_alike(tmp_path: Path) -> None:
    """Each begins with the program's name, so that one knows in a log who speaks."""
    for arguments in (("keys", "list"), ("list", "--store", "sqlite:///typo.db"), ("stats", "--store", "cookie:")):
        done = in_process_of_its_own(*arguments, folder=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith("limpet: ")
        assert done.stdout == ""


def test_control_c_is_130(tmp_path: Path) -> None:
    """Whoever presses it at a question has interrupted the command, and a script is told so."""
    assert in_process_of_its_own("migrate", "--store", "sqlite:///s.db", folder=tmp_path).returncode == 0
    ours, theirs = pty.openpty()
    run = [sys.executable, "-m", "limpet", "revoke", "--everyone", "--store", "sqlite:///s.db"]
    with os.fdopen(ours, "rb", 0) as terminal:
        process = subprocess.Popen(
            run, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=_heed_interrupts
        )
        os.close(theirs)
        seen = b""
        while b"Go on?" not in seen:
            seen += os.read(terminal.fileno(), 4096)
        code = None
        for _ in range(20):  # one that comes right before Python begins to read is seen with the next
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(2)
                break
    assert code == 130


def _heed_interrupts() -> None:
    """Undo what a shell does to programs in the background, which this test run may be: they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
