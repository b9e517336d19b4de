"""``limpet doctor`` finds what is wrong with a configuration, says what to do, and changes nothing."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from limpet.keyring import generate_secret
from tests.cli.running import Shell, in_process_of_its_own
from tests.servers.process import free_port, scratch_folder
from tests.servers.valkey import ValkeyServer

WEAK = "hunter2-hunter2"


def make_database(shell: Shell) -> Path:
    """Let an application make its database: a private file in a private folder."""
    script = (
        "import asyncio; from limpet.stores.sqlite import SQLiteStore; s = SQLiteStore('data/s.db'); "
        "asyncio.run(s.open()); asyncio.run(s.close())"
    )
    subprocess.run([sys.executable, "-c", script], cwd=shell.folder, check=True, timeout=60)
    return shell.folder / "data" / "s.db"


def test_a_good_configuration_is_fine(shell: Shell) -> None:
    """A private database that answers and a strong secret: exit code 0, nothing to fix."""
    make_database(shell)
    shell.set(LIMPET_STORE="sqlite:///data/s.db", LIMPET_SECRET=generate_secret())
    found = shell.diagnose("--url", "https://shop.example.com/")
    assert found.fixes == []
    assert "written, read back and deleted" in found.says("fine", "store")
    assert found.says("fine", "cookie") == "__Host-Http-session; Secure; HttpOnly; SameSite=Lax; Path=/"
    assert "sends it back" in found.says("fine", "browser")


def test_a_shell_reads_sentences_and_the_exit_code(tmp_path: Path) -> None:
    """Run as a program: one line for each finding, a summary, 1 because something is to be fixed, no traceback."""
    done = in_process_of_its_own("doctor", folder=tmp_path, LIMPET_SECRET=WEAK)
    assert done.returncode == 1
    assert "sqlite:///sessions.db" in done.stdout
    assert done.stdout.splitlines()[-1] == "2 problems to fix."
    assert WEAK not in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("store", ["memory:", "file:sessions", "sqlite:///s.db"])
def test_it_makes_no_file_and_no_folder(shell: Shell, store: str) -> None:
    """What does not exist yet is made by the application, for its own user, and not by whoever asks the doctor."""
    assert shell.diagnose("--store", store).code == 0
    shell.set(LIMPET_DEV="1")
    assert shell.diagnose().code == 0
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize("store", ["file:typo", "sqlite:///typo.db"])
def test_a_store_that_is_not_there_is_said_to_be_absent(shell: Shell, store: str) -> None:
    """Not all is well with a mistyped path: the last line says that there is no store, and the path is named."""
    said = shell.run("doctor", "--store", store).output
    assert "typo" in said.partition("files ")[2]
    assert "does not exist, so it was not checked" in said
    assert said.splitlines()[-1] == "No problems found. The store was not checked: it does not exist yet."
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize("store", ["file:first/sessions", "sqlite:///first/s.db"])
def test_a_first_deployment(shell: Shell, store: str) -> None:
    """A folder that does not exist yet is no failure, as the application makes it; it is named, should it be a typo."""
    found = shell.diagnose("--store", store)
    assert found.code == 0
    assert f"nor does its folder {shell.folder / 'first'}" in found.says("note", "files")
    assert list(shell.folder.iterdir()) == []
    assert shell.run("migrate", "--store", store).exit_code == 0
    made = shell.folder / "first" / ("sessions" if store.startswith("file:") else "")
    assert made.stat().st_mode & 0o777 == 0o700
    assert shell.diagnose("--store", store).ok


def test_the_probe_is_gone_afterwards(shell: Shell) -> None:
    """What the doctor wrote, to see whether it can be written, is deleted again."""
    database = make_database(shell)
    assert shell.diagnose("--store", "sqlite:///data/s.db").ok
    assert b"limpet doctor" not in database.read_bytes()


def test_a_look_can_be_a_look_only(shell: Shell) -> None:
    """With ``--read-only`` the store is asked and no probe is written."""
    make_database(shell)
    found = shell.diagnose("--store", "sqlite:///data/s.db", "--read-only")
    assert "it answered" in found.says("fine", "store")
    assert "probe" not in found.says("fine", "store")


def test_a_folder_of_files_is_looked_at_too(shell: Shell) -> None:
    """A file store's folder that others may enter is named with the command that closes it."""
    (shell.folder / "sessions").mkdir(mode=0o755)
    (shell.folder / "sessions").chmod(0o755)
    found = shell.diagnose("--store", "file:sessions")
    assert found.fixes == [found.says("fix", "store")]
    assert f"chmod 700 {shell.folder / 'sessions'}" in found.fixes[0]


def test_a_database_that_others_can_read_is_named(shell: Shell) -> None:
    """The sentence holds the command that fixes it."""
    database = make_database(shell)
    database.chmod(0o644)
    assert f"chmod 600 {database}" in shell.diagnose("--store", "sqlite:///data/s.db").says("fix", "store")


def test_a_damaged_database_is_named(shell: Shell) -> None:
    """A file that is no database is reported as such, not as a traceback."""
    database = make_database(shell)
    database.write_bytes(b"This is not a database, it only has the name of one." * 100)
    (fix,) = shell.diagnose("--store", "sqlite:///data/s.db").fixes
    assert "not an SQLite database" in fix


def test_a_page_of_a_database_that_was_overwritten_is_noticed(shell: Shell) -> None:
    """Damage behind a good first page is found as well."""
    database = make_database(shell)
    content = bytearray(database.read_bytes())
    content[4096:8192] = os.urandom(4096)
    database.write_bytes(content)
    found = shell.diagnose("--store", "sqlite:///data/s.db")
    assert any("damaged" in fix for fix in found.fixes)


def test_a_file_in_the_place_of_the_folder_is_named(shell: Shell) -> None:
    """Where the folder cannot be made, the sentence says what stands there."""
    (shell.folder / "data").write_text("a file")
    (fix,) = shell.diagnose("--store", "sqlite:///data/s.db").fixes
    assert f"{shell.folder / 'data'} is not a folder" in fix


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_without_permission_to_write_is_named(shell: Shell, exists: bool) -> None:
    """The sentence names the folder, its owner and the user who asks. (A root user gives its power up first.)"""
    folder = scratch_folder("doctor")  # pytest's own is under one that only its user may enter
    database = folder / "s.db"
    if exists:
        make_database(shell).rename(database)
        database.chmod(0o644)
    folder.chmod(0o555)
    script = (
        "import os, sys, sqlite3, asyncio\n"
        "from limpet.cli import main, doctor, keygen, group\n"
        "import limpet.stores.sqlite, limpet.serializers.msgpack\n"
        "import limpet.sealers.signed, limpet.transports.cookie\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"sys.exit(main(['doctor', '--store', 'sqlite:///{database}']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd="/", capture_output=True, text=True, timeout=60, check=False
    )
    folder.chmod(0o700)
    shutil.rmtree(folder)
    assert done.returncode == 1, done.stderr
    assert str(folder) in done.stdout
    assert f"it belongs to user {os.geteuid()}" in done.stdout
    assert "and you are user" in done.stdout


def test_a_redis_that_refuses_is_named_without_its_password(shell: Shell) -> None:
    """The host and port are said, user and password are not."""
    port = free_port()
    shell.set(LIMPET_STORE=f"redis://ann:open-sesame@127.0.0.1:{port}/0")
    found = shell.diagnose()
    assert f"127.0.0.1:{port}" in found.says("fix", "store")
    assert "open-sesame" not in str(found.findings)


def test_what_a_service_says_of_itself_is_to_be_mended(shell: Shell) -> None:
    """A server that works and would lose sessions in a crash: the probe is fine, and the setting is named."""
    with ValkeyServer() as server:
        found = shell.diagnose("--store", server.url)
    assert "written, read back and deleted" in found.says("fine", "store")
    assert "appendonly is off" in found.says("fix", "store")


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
def test_a_server_that_never_answers_is_given_up(shell: Shell, scheme: str) -> None:
    """A port that takes connections and says nothing: the sentence names it, and says what that may be."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        (fix,) = shell.diagnose("--store", f"{scheme}://{place}/0").fixes
    assert place in fix
    assert "no answer came in time (it hangs or is overloaded" in fix


def test_an_unknown_scheme_lists_those_that_exist(shell: Shell) -> None:
    """A typing error is answered with the list."""
    (fix,) = shell.diagnose("--store", "sqllite:///s.db").fixes
    assert "'sqllite'" in fix
    assert "sqlite" in fix.replace("sqllite", "")


def test_a_driver_that_is_not_installed_is_named_with_its_extra(tmp_path: Path) -> None:
    """The sentence is the pip command."""
    script = (
        "import sys; sys.modules['redis'] = None; from limpet.cli import main; "
        "sys.exit(main(['doctor', '--store', 'redis://localhost']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "pip install 'limpet[redis]'" in done.stdout
    assert done.stderr == ""


def test_a_secret_in_the_stores_place_is_not_shown(shell: Shell) -> None:
    """Two variables that were swapped give no secret away."""
    secret = generate_secret()
    shell.set(LIMPET_STORE=secret)
    found = shell.diagnose()
    assert not found.ok
    assert secret not in str(found.findings)


def test_a_weak_secret_is_to_be_mended_and_not_shown(shell: Shell) -> None:
    """The sentence says what is wrong with it, and how to make a good one."""
    shell.set(LIMPET_STORE="memory:", LIMPET_SECRET=WEAK)
    found = shell.diagnose()
    assert "limpet keygen" in found.says("fix", "secret")
    assert WEAK not in str(found.findings)


def test_cookie_sessions_need_a_secret(shell: Shell) -> None:
    """Without one there is something to fix; with one there is nothing."""
    assert "limpet keygen" in shell.diagnose("--store", "cookie:").says("fix", "secret")
    shell.set(LIMPET_SECRET=f"{generate_secret()} {generate_secret()}")
    found = shell.diagnose("--store", "cookie:")
    assert found.ok
    assert "2 are listed" in found.says("fine", "secret")


def test_a_server_side_store_without_a_secret_is_a_note(shell: Shell) -> None:
    """It works, so the exit code is 0; what a secret would add is said."""
    found = shell.diagnose("--store", "memory:")
    assert found.ok
    assert "LIMPET_SECRET is not set" in found.says("note", "secret")


def test_memory_is_never_used_in_silence(shell: Shell) -> None:
    """That each process has its own and forgets it is said."""
    assert "process" in shell.diagnose("--store", "memory:").says("note", "store")


def test_the_secret_of_development_is_private(shell: Shell) -> None:
    """One that others may read is to be fixed, with the command."""
    shell.set(LIMPET_DEV="1")
    (shell.folder / ".limpet").mkdir()
    secret = shell.folder / ".limpet" / "secret"
    secret.write_text(generate_secret())
    secret.chmod(0o644)
    assert "chmod 600" in shell.diagnose().says("fix", "secret")
    secret.chmod(0o600)
    assert shell.diagnose().ok
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_a_switch_that_is_neither_yes_nor_no_is_named(shell: Shell) -> None:
    """The value is quoted, for it is no secret."""
    shell.set(LIMPET_DEV="maybe", LIMPET_STORE="memory:")
    assert "'maybe'" in shell.diagnose().says("fix", "mode")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", "shop.example.com"),
        ("--url", "ftp://x/"),
        ("--page", "https://a.example/"),
        ("--set-cookie", "; Secure"),
    ],
)
def test_wrong_arguments_are_usage_errors(shell: Shell, arguments: tuple[str, ...]) -> None:
    """The exit code is 2, which a script can tell from a finding."""
    assert shell.run("doctor", "--store", "memory:", *arguments).exit_code == 2
