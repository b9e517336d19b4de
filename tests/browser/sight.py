"""What can be seen of a page."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final, Literal, TypeAlias

from playwright.async_api import Browser, BrowserContext, Page

__all__ = ["AXE", "CONTRAST", "Scheme", "faults", "in_sight", "violations"]

Scheme: TypeAlias = Literal["light", "dark"]

AXE: Final = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
# WCAG 2.2, levels A and AA: https://www.w3.org/TR/WCAG22/
RULES: Final = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}

CONTRAST: Final = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    if (element.matches("title, desc, style, script")) continue;
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.disabled || !element.getBoundingClientRect().width) continue;
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(parse(ink)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${element.tagName} ${element.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""
"""A script that returns each text whose contrast with the nearest ground behind it is below 4.5 to 1, as the browser
has computed it (WCAG 2.2, success criterion 1.4.3)."""

BROKEN: Final = """() => {
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    if (!node.parentElement.checkVisibility() || node.parentElement.closest("script, style, svg, .unseen")) continue;
    for (const { 0: word, index } of node.data.matchAll(/(?<![\\w-])[A-Za-z]+(?![\\w-])/g)) {
      if (word.length > 9) continue;
      const range = document.createRange();
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (lines.size > 1) found.push(word);
    }
  }
  return found;
}"""
"""A script that returns each short word that is broken into several lines, because its column is far too narrow."""


async def violations(page: Page) -> list[str]:
    """Return what axe finds on a page as it is now: which rule, and where."""
    await page.evaluate(AXE)
    report = await page.evaluate("rules => axe.run(document, rules)", RULES)
    return [
        f"{found['id']}: {found['help']}: {[each['target'][-1] for each in found['nodes']][:3]}"
        for found in report["violations"]
    ]


async def in_sight(chromium: Browser, scheme: Scheme, width: int, **more: Any) -> BrowserContext:
    """Return a window of that width, where nothing moves."""
    return await chromium.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce", **more
    )


async def faults(page: Page) -> dict[str, Any]:
    """Return what keeps people from reading a page as it is now: each kind of which there is any."""
    beyond: int = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    found = {
        "contrast": await page.evaluate(CONTRAST),
        "axe": await violations(page),
        "broken": await page.evaluate(BROKEN),
        "pixels that stick out": max(beyond, 0),
    }
    return {what: seen for what, seen in found.items() if seen}
