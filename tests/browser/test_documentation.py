"""The site of the documentation, in Chromium without any network: every page, light and dark, wide and narrow."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from playwright.async_api import Browser, Page, Route
from playwright.async_api import TimeoutError as NotYet

from tests.browser.sight import AXE, violations

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("documentation")]  # the site is built once

ROOT: Final = Path(__file__).resolve().parents[2]


SQUEEZED: Final = """() => [...document.querySelectorAll(".md-typeset table :is(td, th)")].filter((cell) => {
  const box = cell.getBoundingClientRect();
  const words = cell.textContent.trim();
  const second = cell.cellIndex === 1 && box.left > innerWidth - 96;
  return cell.checkVisibility() && words && (second || (words.length > 12 && box.width < 96));
}).map((cell) => cell.textContent.trim())"""
"""A script that returns what stands in each cell that is too narrow for words, or that nobody sees without scrolling
although it is in the second column."""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and writes no log."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """Build the site and serve it; return its address and the names of its pages."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    pages = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.html"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", pages
    server.shutdown()
    server.server_close()


async def opened(chromium: Browser, address: str, scheme: str, width: int) -> tuple[Page, list[str]]:
    """Return a page that reaches nothing but the site, and the list of what it tried to reach."""
    context = await chromium.new_context(
        color_scheme="dark" if scheme == "slate" else "light", viewport={"width": width, "height": 900}
    )
    strangers: list[str] = []

    async def stay_here(route: Route) -> None:
        if route.request.url.startswith(address):
            await route.continue_()
        else:
            strangers.append(route.request.url)
            await route.abort()

    await context.route("**/*", stay_here)
    return await context.new_page(), strangers


async def asked(page: Page, site: tuple[str, list[str]], script: str) -> dict[str, Any]:
    """Return what a script finds on the pages of the site, by name, where it finds something."""
    address, names = site
    found = {}
    for name in names:
        await page.goto(f"{address}/{name}", wait_until="load")
        if result := await page.evaluate(script):
            found[name] = result
    return found


@pytest.mark.parametrize(
    "name",
    [
        "adr/0009-two-hard-dependencies-imported-on-first-use.html",
        "adr/0018-under-starlette-the-session-is-a-dict.html",
    ],
)
async def test_nothing_lies_over_a_link_of_the_side_bar(
    chromium: Browser, site: tuple[str, list[str]], name: str
) -> None:
    """A long list of pages is scrolled to the page that is shown; the links at its edge can still be hit."""
    address, _ = site
    page, _ = await opened(chromium, address, "default", 1280)
    await page.goto(f"{address}/{name}", wait_until="load")
    assert await page.evaluate("document.querySelector('.md-sidebar--primary .md-sidebar__scrollwrap').scrollTop") > 0
    await page.evaluate(AXE)
    report = await page.evaluate("axe.run('.md-sidebar--primary', {runOnly: ['target-size']})")
    assert [each["failureSummary"] for found in report["violations"] for each in found["nodes"]] == []
    assert report["passes"] or report["incomplete"]


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scheme", ["default", "slate"])
async def test_every_page_can_be_read_by_everybody(chromium: Browser, site: tuple[str, list[str]], scheme: str) -> None:
    """axe finds nothing: contrast, names, headings, regions that scroll. Nothing is asked of another host."""
    address, pages = site
    page, strangers = await opened(chromium, address, scheme, 1280)
    found: dict[str, list[str]] = {}
    for name in pages:
        answer = await page.goto(f"{address}/{name}", wait_until="load")
        assert answer is not None
        assert answer.ok
        assert await page.evaluate("document.body.dataset.mdColorScheme") == scheme
        for violation in await violations(page):
            rule, _, places = violation.rpartition(": ")
            found.setdefault(rule, []).append(f"{name} {places}")
    assert found == {}, json.dumps(found, indent=1)[:6000]
    assert strangers == []
    assert len(pages) > 90


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("width", [320, 375])
async def test_no_page_is_wider_than_a_telephone(chromium: Browser, site: tuple[str, list[str]], width: int) -> None:
    """Tables, code and diagrams scroll by themselves; the page does not, at 320 px either (WCAG 2.2, 1.4.10)."""
    page, strangers = await opened(chromium, site[0], "default", width)
    assert await asked(page, site, f"document.documentElement.scrollWidth > {width}") == {}
    assert strangers == []


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_tables_can_be_read_on_a_telephone(chromium: Browser, site: tuple[str, list[str]]) -> None:
    """What does not fit scrolls; columns are not squeezed until their words come apart."""
    page, _ = await opened(chromium, site[0], "default", 375)
    assert await asked(page, site, SQUEEZED) == {}


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_tables_fit_on_a_desk(chromium: Browser, site: tuple[str, list[str]]) -> None:
    """At 1280 px no column is hidden beyond the edge of a table that scrolls."""
    page, _ = await opened(chromium, site[0], "default", 1280)
    wider = "[...document.querySelectorAll('.wide')].some(e => e.scrollWidth > e.clientWidth + 1)"
    assert await asked(page, site, wider) == {}


def test_docstrings_are_no_raw_text(site: tuple[str, list[str]]) -> None:
    """What announces an example in a docstring, two colons, is not shown as it is typed."""
    address, pages = site
    shown = [name for name in pages if "::</p>" in httpx.get(f"{address}/{name}").text]
    assert shown == []


async def test_diagrams_are_drawn_without_a_network(chromium: Browser, site: tuple[str, list[str]]) -> None:
    address, _ = site
    page, strangers = await opened(chromium, address, "default", 1280)
    await page.goto(f"{address}/concurrency.html")
    assert await page.locator(".sequence svg").count() >= 15
    box = await page.locator(".sequence svg").first.bounding_box()
    assert box is not None
    assert box["width"] > 300
    assert strangers == []


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("flask", "frameworks/flask.html"),
        ("django", "frameworks/django.html"),
        ("prometheus", "metrics.html"),
        ("kubernetes", "kubernetes.html"),
        ("gdpr", "operating.html"),
        ("starsessions", "coming-from/starsessions.html"),
        ("mobile", "situations.html"),
        ("upgrading", "operating.html"),
        ("express", "coming-from/express.html"),
        ("redis", "running-on-redis.html"),
        ("redis cluster", "running-on-redis.html"),
        ("logout everywhere", "managing-sessions.html"),
        ("csrf", "csrf.html"),
    ],
)
async def test_a_search_finds_the_guide_first(
    chromium: Browser, site: tuple[str, list[str]], words: str, wanted: str
) -> None:
    """Among the first three pages is the one that says what to do, and none of them is a record of a decision."""
    address, _ = site
    page, _ = await opened(chromium, address, "default", 1280)
    results = page.locator(".md-search-result__item > .md-search-result__link")
    for _ in range(4):  # what is typed before the page's script listens is lost
        await page.goto(f"{address}/index.html")
        await page.locator(".md-search__input").fill(words)
        with contextlib.suppress(NotYet):
            await results.first.wait_for(timeout=15_000)
            break
    links = [await results.nth(each).get_attribute("href") or "" for each in range(min(3, await results.count()))]
    assert any(wanted in link for link in links), links
    assert not any("/adr/" in link for link in links), links
