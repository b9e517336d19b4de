"""The words of the Makefile do what their help says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


def environment(**more: str) -> dict[str, str]:
    """Return an environment without what a `make` around the tests has left in it."""
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | more


def recipe(*words: str, **more: str) -> str:
    """Return what `make` would do."""
    command = ["make", "--dry-run", "--no-print-directory", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment(**more), capture_output=True, text=True, check=True)
    return done.stdout


def test_help_names_every_word() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    words = re.findall(r"^([a-z-]+) ", done.stdout, re.MULTILINE)
    phony = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(words) == sorted(" ".join(phony).split())
    assert re.search(r"^help +show this help$", done.stdout, re.MULTILINE)


def test_the_long_run_asks_for_the_large_counts_and_for_the_tests_marked_long() -> None:
    command = recipe("test-long", "ARGS=tests/subjects").splitlines()[-1]
    assert command.startswith("LIMPET_LONG=1 ")
    assert '-m "not browser"' in command
    assert "LIMPET_LONG" not in recipe("test")


@pytest.mark.parametrize(("value", "counts"), [("", 1), ("0", 1), ("1", 2)])
def test_the_counts_follow_the_environment(value: str, counts: int) -> None:
    program = "from tests.counts import count; print(count(1, 2))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment(LIMPET_LONG=value), capture_output=True, check=True
    )
    assert int(done.stdout) == counts


def test_an_interpreter_that_is_named_has_its_own_environment() -> None:
    assert recipe("test").splitlines()[-1].startswith(".venv/bin/python -m pytest")
    for command in (recipe("test", f"PYTHON={sys.executable}"), recipe("test", PYTHON=sys.executable)):
        assert command.splitlines()[-1].startswith(f".venv-{VERSION}/bin/python -m pytest")
        assert " .venv " not in command


def test_an_interpreter_that_does_not_run_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "python3.99"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    command = ["make", f"VENV={tmp_path}/venv", f"PYTHON={broken}", "venv"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode
    assert "does not run: say make PYTHON=" in done.stderr


def interpreter(folder: Path, version: str) -> str | None:
    """Return what `.ci/interpreter` finds with a pyenv in a folder."""
    done = subprocess.run(
        [ROOT / ".ci" / "interpreter", version],
        env={"PATH": os.defpath, "PYENV_ROOT": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None


def test_ci_finds_the_newest_interpreter_of_a_version_that_runs(tmp_path: Path) -> None:
    def install(patch: str, says: str) -> None:
        python = tmp_path / "versions" / patch / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\n{says}\n")
        python.chmod(0o755)

    assert interpreter(tmp_path, "3.98") is None
    install("3.98.2", "echo 3.98")
    install("3.98.10", "echo 3.98")
    install("3.98.11", "exit 1")
    install("3.97.1", "echo 3.96")
    assert interpreter(tmp_path, "3.98") == str(tmp_path / "versions" / "3.98.10" / "bin" / "python")
    assert interpreter(tmp_path, "3.97") is None
