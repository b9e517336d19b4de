"""The diagrams of the documentation are drawn here, from the source that the pages hold."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from scripts.diagrams import draw

DOCS = Path(__file__).parents[2] / "docs"
SOURCES = re.findall(
    r"^```mermaid\n(.*?)^```$", "\n".join(p.read_text() for p in sorted(DOCS.rglob("*.md"))), re.M | re.S
)
PICTURE = """sequenceDiagram
    participant A as request A
    participant S as store
    A->>S: update <1>
    S-->>A: done
    Note over A: that is all
"""


def test_a_diagram_shows_everybody_and_every_step() -> None:
    figure = ElementTree.fromstring(draw(PICTURE))  # noqa: S314 - made here
    texts = [node.text for node in figure.iter() if node.tag.endswith("text")]
    assert texts == ["request A", "store", "update <1>", "done", "that is all"]
    (title,) = (node.text for node in figure.iter() if node.tag.endswith("title"))
    assert title == "request A to store: update <1>. store to request A: done. request A: that is all."


def test_every_diagram_of_the_pages_can_be_drawn_and_stays_inside_its_frame() -> None:
    assert SOURCES
    for source in SOURCES:
        figure = ElementTree.fromstring(draw(source))  # noqa: S314 - made here
        width = int(figure[0].attrib["width"])
        for box in (node for node in figure.iter() if node.tag.endswith("rect")):
            left, wide = int(box.attrib["x"]), int(box.attrib["width"])
            assert left >= 0, source
            assert left + wide <= width, source


@pytest.mark.parametrize("source", ["flowchart TD\n", "sequenceDiagram\n    loop every minute\n"])
def test_what_cannot_be_drawn_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"only sequence|not understood"):
        draw(source)
