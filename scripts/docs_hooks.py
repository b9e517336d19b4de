"""What MkDocs does to pages here beyond its plugins: see ``hooks`` in ``mkdocs.yml``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # MkDocs loads this file by its path
    sys.path.insert(0, str(ROOT))

from scripts.diagrams import draw  # noqa: E402

_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FOR_TESTS = re.compile(r"<!--- invisible-code.*?--->\n?", re.DOTALL)
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
# A docstring announces an example with two colons, of which a page shows one; none where they stand alone.
_ALONE = re.compile(r"<p>::</p>\n?")
_ANNOUNCED = re.compile(r"::(?=</p>)")

# Who searches for a word wants the page that says what to do; why it was decided so comes after it.
_BOOSTS = {
    "adr/": 0.05,
    "index": 0.5,
    "reference/": 0.6,
    "glossary": 0.6,
    "laws": 0.7,
    "frameworks/": 1.5,
    "quickstart": 2.0,
}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Draw diagrams, leave out what only tests read, and say how much a page counts in a search."""
    for prefix, boost in _BOOSTS.items():
        if page.file.src_uri.startswith(prefix):
            page.meta.setdefault("search", {"boost": boost})
    return _DIAGRAM.sub(lambda found: draw(found[1]), _FOR_TESTS.sub("", markdown))


def on_page_content(html: str, **_: Any) -> str:
    """Let a wide table scroll by itself, also by keyboard, instead of making the page wide; tidy up announcements."""
    html = _ANNOUNCED.sub(":", _ALONE.sub("", html))
    return _TABLE.sub(lambda found: f'<div class="wide" tabindex="0">{found[0]}</div>', html)
