"""What the pages about deploying and operating tell people to write is read by its own parser, and works."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from click.testing import CliRunner
from uvicorn.main import main as uvicorn_command

from limpet import SessionManager
from limpet.cli.group import limpet
from limpet.stores.sqlite import SQLiteStore
from tests.site import Site

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("deploying", "operating", "incident", "metrics")


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a language on a page."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    return re.findall(rf"^ *```{language}(?: [^\n]*)?\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)


def test_the_unit() -> None:
    """systemd's sections; the state is in its own folder, closed to others, and the secret in no command line."""
    (text,) = blocks("deploying", "ini")
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(text)
    service = unit["Service"]
    assert set(unit.sections()) == {"Unit", "Service", "Install"}
    assert (service["StateDirectoryMode"], service["UMask"], service["User"]) == ("0700", "0077", "shop")
    assert service["ProtectSystem"] == "strict"
    assert "SECRET" not in service["ExecStart"] + service["ExecStartPre"]
    assert "StateDirectory" in service, "with ProtectSystem=strict nothing else may be written to"


def test_the_compose_file() -> None:
    """Images with a version, ports of this machine alone, health checks, and the settings that sessions need."""
    found: Any = yaml.safe_load((ROOT / "compose.yaml").read_text())
    for name, service in found["services"].items():
        assert ":" in service["image"], f"{name} has no version"
        assert service["healthcheck"]["test"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert all(volume.partition(":")[0] in found["volumes"] for volume in service["volumes"])
    command = found["services"]["valkey"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"


@pytest.mark.parametrize(("page", "language"), [("deploying", "dockerfile"), ("tutorial", "docker")])
def test_the_image(page: str, language: str) -> None:
    """Known instructions, a user without rights before anything runs, no secret in a layer; what runs can be read."""
    (text,) = blocks(page, language)
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line]
    known = {"FROM", "RUN", "WORKDIR", "COPY", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"}
    assert {word for word, _ in steps} <= known
    order = [word for word, _ in steps]
    assert order[0] == "FROM"
    assert order.index("USER") < order.index("CMD")
    assert "SECRET" not in text
    said = {word: rest for word, rest in steps if word != "RUN" and word != "COPY"}
    command = json.loads(said["CMD"])
    options = {name for parameter in uvicorn_command.params for name in parameter.opts}
    assert command[0] == "uvicorn"
    assert {word for word in command if word.startswith("--")} <= options
    made = " ".join(rest for word, rest in steps if word == "RUN")
    assert f" {said['USER']}" in made.partition("&&")[0], "the user is made before it is used"
    assert "--system" not in made, "useradd warns of a uid that is beyond those of the system"
    if "HEALTHCHECK" in said:
        probe = json.loads(said["HEALTHCHECK"].removeprefix("CMD "))
        assert probe[:2] == ["python", "-c"]
        compile(probe[2], "HEALTHCHECK", "exec")
        assert f"127.0.0.1:{said['EXPOSE']}/" in probe[2]
    if "VOLUME" in said:
        assert f"chown {said['USER']} {said['VOLUME']}" in made


@pytest.mark.parametrize("page", PAGES)
def test_commands_take_their_options(page: str) -> None:
    """Each ``limpet`` and ``uvicorn`` line on the page has only options that there are."""
    lines = [line.strip() for block in blocks(page, "shell") for line in block.splitlines()]
    text = (ROOT / "docs" / f"{page}.md").read_text()
    lines += [line for line in re.findall(r"`(limpet [a-z][^`\n]*)`", text) if "(" not in line]
    for line in lines:
        words = shlex.split(line)
        if words[:1] == ["limpet"]:
            done = CliRunner().invoke(limpet, [*words[1:], "--help"])
            assert done.exit_code == 0, f"{line}: {done.output}"
            for option in (word for word in words if word.startswith("--")):
                assert option in done.output, f"{line} has the option {option}"
        elif words[:1] == ["uvicorn"]:
            known = {name for parameter in uvicorn_command.params for name in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= known, line


async def test_a_restored_backup(tmp_path: Path) -> None:
    """An online backup brings back who has logged out since; what the page says to do then ends them all."""
    path, copy = tmp_path / "s.db", tmp_path / "backup.db"
    site = Site(SessionManager(SQLiteStore(path), dev=False))
    site.manager.use_running_loop()
    ann, bob = await site.login("ann"), await site.login("bob")
    with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(copy)) as backup:
        live.backup(backup)
        assert backup.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    await site.run(lambda session: session.logout(), ann)
    await site.manager.revoke_all("bob")
    assert [await site.whose(cookie) for cookie in (ann, bob)] == [None, None]
    await site.manager.shutdown()
    restored = Site(SessionManager(SQLiteStore(copy), dev=False))
    restored.manager.use_running_loop()
    assert [await restored.whose(cookie) for cookie in (ann, bob)] == ["ann", "bob"], "as the page warns"
    assert await restored.manager.revoke_everyone() == 2
    assert [await restored.whose(cookie) for cookie in (ann, bob)] == [None, None]
    await restored.manager.shutdown()
