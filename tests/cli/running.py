"""The command in this process, with an environment that holds nothing but what a test gives it."""

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
from click.testing import CliRunner, Result

from limpet import SessionManager
from limpet.cli.group import limpet
from tests.site import Site

__all__ = ["Shell", "in_process_of_its_own", "on_site"]

VARIABLES = ("LIMPET_STORE", "LIMPET_SECRET", "LIMPET_DEV", "LIMPET_DEV_ANNOUNCED")


class Shell:
    """A folder of its own and the command."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._patch = monkeypatch
        monkeypatch.chdir(folder)
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)

    def set(self, **variables: str) -> None:
        """Set environment variables for this test."""
        for name, value in variables.items():
            self._patch.setenv(name, value)

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        """Run ``limpet`` with these arguments."""
        return CliRunner().invoke(limpet, list(arguments), input=stdin)

    def diagnose(self, *arguments: str, stdin: str | None = None) -> Diagnosis:
        """Run ``limpet doctor --json``."""
        result = self.run("doctor", "--json", *arguments, stdin=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Diagnosis(result.exit_code, json.loads(result.stdout))


class Diagnosis:
    """What the doctor found, and its exit code, which must agree."""

    def __init__(self, code: int, answer: dict[str, Any]) -> None:
        self.code = code
        self.ok: bool = answer["ok"]
        self.findings: list[dict[str, str]] = answer["findings"]
        assert code == (0 if self.ok else 1)

    def says(self, level: str, about: str) -> str:
        """Return all sentences of that level about that part, one a line."""
        found = [finding for finding in self.findings if (finding["level"], finding["about"]) == (level, about)]
        return "\n".join(finding["says"] for finding in found)

    @property
    def fixes(self) -> list[str]:
        """What is to be fixed."""
        return [finding["says"] for finding in self.findings if finding["level"] == "fix"]


def in_process_of_its_own(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m limpet`` as a shell would."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, "-m", "limpet", *arguments],
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def on_site(manager: SessionManager, work: Callable[[Site], Coroutine[Any, Any, Any]]) -> Any:
    """Do something as the application does, and close its store."""

    async def run() -> Any:
        await manager.startup()
        try:
            return await work(Site(manager))
        finally:
            await manager.shutdown()

    return asyncio.run(run())
