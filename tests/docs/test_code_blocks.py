"""Every Python block of the README and of the documentation runs, and so does every ``$ limpet`` line.

The blocks of one page run in order and share their names, like the cells of a notebook. An HTML comment
``<!--- invisible-code: python`` holds what proves the block above it and would only distract a reader.
A ``console`` block is a terminal: each of its ``$ limpet ...`` lines is run, and must succeed.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import types
from collections.abc import Iterable
from pathlib import Path

import pytest
from blacksheep.server import routing
from sybil import Document, Example, Region
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import DirectiveInHTMLCommentLexer, RawFencedCodeBlockLexer
from sybil.typing import Evaluator, Lexer

from limpet.testing import client

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

FENCED_PYTHON = RawFencedCodeBlockLexer(re.compile(r'python(?: +title="[^"\n]*")?$\n', re.MULTILINE))
HIDDEN_PYTHON = DirectiveInHTMLCommentLexer(directive="invisible-code", arguments="python")
TERMINAL = RawFencedCodeBlockLexer(re.compile(r'console(?: +title="[^"\n]*")?$\n', re.MULTILINE))


def name_of(page: Path) -> str:
    """Return how the test of a page is called."""
    return page.relative_to(ROOT).with_suffix("").as_posix()


def regions(document: Document, lexer: Lexer, evaluator: Evaluator) -> Iterable[Region]:
    """Yield what a lexer finds, to be run by the evaluator."""
    for region in lexer(document):
        region.parsed = region.lexemes["source"]
        region.evaluator = evaluator
        yield region


def examples(page: Path) -> Document:
    """Parse a page into what can be run."""
    python = PythonEvaluator()
    return Document.parse(
        str(page),
        lambda document: regions(document, FENCED_PYTHON, python),
        lambda document: regions(document, HIDDEN_PYTHON, python),
        lambda document: regions(document, TERMINAL, run_commands),
    )


def run_commands(example: Example) -> None:
    """Run each line of a terminal that starts with ``$ limpet``."""
    for line in str(example.parsed).splitlines():
        if line.startswith("$ limpet "):
            command = [sys.executable, "-m", *shlex.split(line.removeprefix("$ "), comments=True)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, f"{example.path}: {line!r} failed:\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """What a page tells its reader to type works, in the order in which it is told."""
    monkeypatch.chdir(tmp_path)
    # A page's BlackSheep application takes the router that a process has, as if its process had no other.
    monkeypatch.setattr(routing, "_apps_by_router_id", {})
    for variable in ("LIMPET_STORE", "LIMPET_SECRET", "LIMPET_DEV"):
        monkeypatch.delenv(variable, raising=False)
    # A module of its own, so that classes and annotations of the page can be looked up by name.
    module = types.ModuleType("page_" + re.sub(r"\W", "_", name_of(page)))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    document = examples(page)
    document.namespace = module.__dict__
    request.addfinalizer(routing.router.reset)
    seen = None
    for example in document:
        example.evaluate()
        app = module.__dict__.get("app")
        # Pages on Flask and aiohttp make their own requests: after one, no route can be added.
        is_fixed = hasattr(app, "test_client") or hasattr(app, "on_response_prepare")
        if app is not None and app is not seen and not is_fixed:
            with client(app) as visitor:
                assert visitor.get("/no-such-page").status_code < 500, f"{page}: the app of line {example.line} fails"
            seen = app


def test_every_page_is_looked_at() -> None:
    """The README and the quick start are among the pages, and hold blocks; an empty run would prove nothing."""
    counts = {name_of(page): len(list(examples(page))) for page in PAGES}
    assert counts["README"] >= 1
    assert counts["docs/quickstart"] >= 3
