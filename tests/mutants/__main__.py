"""Break one thing at a time, in a copy of the tree, and see whether the named test notices.

Usage: ``python -m tests.mutants [words ...]``; with words, only the breakages whose line of the table has one of them.
Exit code 1 when a breakage survives, or no longer fits the source.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Final

from tests.mutants.breakage import Breakage
from tests.mutants.breakages import BREAKAGES
from tests.mutants.pattern import Stale

ROOT: Final = Path(__file__).resolve().parents[2]
WORKERS: Final = 2
_FAILED: Final = 1  # pytest's exit code for tests that failed; others say that it could not run them


def copied(place: Path) -> Path:
    """Return a copy of what the tests need."""
    for name in ("src", "tests", "examples"):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, place / name)
    return place


def normalise(tree: Path, files: Sequence[str]) -> None:
    """Write files as a breakage writes them, so that a test can only notice the breakage, not the formatting."""
    for file in files:
        path = tree / "src" / "limpet" / file
        path.write_text(ast.unparse(ast.parse(path.read_text())))


def run(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests in a copy; return pytest's exit code and its output."""
    options = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", "-m", "not browser")
    command = [sys.executable, "-m", "pytest", *options, *(f"tests/{test}" for test in tests)]
    environment = {**os.environ, "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout + done.stderr


def outcome(tree: Path, breakage: Breakage) -> str:
    """Apply a breakage, run its test, take the breakage back; return what became of it."""
    path = tree / "src" / "limpet" / breakage.file
    right = path.read_text()
    try:
        wrong = breakage.broken(right)
    except Stale as stale:
        return f"STALE: {stale}"
    path.write_text(wrong)
    try:
        code, said = run(tree, [breakage.test])
    except subprocess.TimeoutExpired:
        return "killed (it never ended)"
    finally:
        path.write_text(right)
    if code == _FAILED:
        return "killed"
    return "SURVIVED" if code == 0 else f"BROKEN: pytest said {code}: {said.strip().splitlines()[-1]}"


def main(words: Sequence[str]) -> int:
    """Print the table; return the exit code."""
    chosen = [
        each
        for each in BREAKAGES
        if not words or any(word in f"{each.what} {each.file} {each.where} {each.test}" for word in words)
    ]
    if not chosen:
        print("no breakage has one of these words")
        return 1
    began = time.monotonic()
    width = max(len(each.what) for each in chosen)
    with tempfile.TemporaryDirectory(prefix="limpet-mutants-") as scratch:
        trees: Queue[Path] = Queue()
        for number in range(WORKERS):
            tree = copied(Path(scratch) / str(number))
            normalise(tree, sorted({each.file for each in chosen}))
            trees.put(tree)

        def judge(breakage: Breakage) -> str:
            tree = trees.get()
            try:
                result = outcome(tree, breakage)
            finally:
                trees.put(tree)
            print(f"{breakage.what:{width}}  {result}  ({breakage.test})", flush=True)
            return result

        tree = trees.get()
        code, said = run(tree, sorted({each.test for each in chosen}))
        trees.put(tree)
        if code:
            print(f"the tests do not even pass without a breakage:\n{said}")
            return 1
        with ThreadPoolExecutor(WORKERS) as pool:
            outcomes = list(pool.map(judge, chosen))
    left = [result for result in outcomes if not result.startswith("killed")]
    print(f"{len(chosen) - len(left)} of {len(chosen)} killed in {time.monotonic() - began:.0f} s")
    return bool(left)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
