"""Draw the sequence diagrams of the documentation as SVG, so that a page needs no program from somewhere else.

The source is the part of Mermaid's language that the pages use: participants, arrows (``->>`` a call, ``-->>`` its
answer) and notes. Code hosts draw the same source themselves.
"""

from __future__ import annotations

import re
from html import escape
from itertools import count
from typing import Final

_PARTICIPANT: Final = re.compile(r"participant (\w+) as (.+)")
_ARROW: Final = re.compile(r"(\w+)(--?)>>(\w+): (.+)")
_NOTE: Final = re.compile(r"Note over (\w+)(?:,(\w+))?: (.+)")

_LANE: Final = 300  # pixels between two participants
_STEP: Final = 46
_TOP: Final = 52
_CHARACTER: Final = 7.2  # the width of one, about, at 13 pixels
_numbers = count(1)


def draw(source: str) -> str:
    """Return a diagram as a figure with an inline SVG, which takes its colours from the page.

    Raises:
        ValueError: A line is not understood.
    """
    lines = [line.strip() for line in source.strip().splitlines()]
    if lines[0] != "sequenceDiagram":
        raise ValueError(f"only sequence diagrams can be drawn, not {lines[0]!r}")
    names: dict[str, str] = {}
    steps: list[re.Match[str]] = []
    for line in lines[1:]:
        if found := _PARTICIPANT.fullmatch(line):
            names[found[1]] = found[2]
        elif step := _ARROW.fullmatch(line) or _NOTE.fullmatch(line):
            steps.append(step)
        elif line:
            raise ValueError(f"a line of a diagram is not understood: {line!r}")
    at = {name: _LANE // 2 + number * _LANE for number, name in enumerate(names)}
    width, height = _LANE * len(names), _TOP + _STEP * len(steps) + 24
    number = next(_numbers)
    parts = [
        (
            f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'aria-labelledby="sequence-{number}" xmlns="http://www.w3.org/2000/svg">'
        ),
        f'<title id="sequence-{number}">{escape(_sentences(names, steps))}</title>',
        (
            f'<defs><marker id="arrow-{number}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z"/></marker></defs>'
        ),
    ]
    for name, x in at.items():
        parts.append(f'<path class="life" d="M{x} 40V{height}"/>')
        parts.append(_box(x, 4, names[name], "who"))
    for row, step in enumerate(steps):
        y = _TOP + _STEP * row + 30
        parts.append(_note(step, at, y) if step.re is _NOTE else _arrow(step, at, y, number))
    # A region that scrolls has to be reachable by keyboard.
    return f'<figure class="sequence" tabindex="0">{"".join(parts)}</svg></figure>'


def _arrow(step: re.Match[str], at: dict[str, int], y: int, number: int) -> str:
    start, end = at[step[1]], at[step[3]]
    kind = "reply" if step[2] == "--" else "call"
    return (
        f'<path class="{kind}" d="M{start} {y}H{end}" marker-end="url(#arrow-{number})"/>'
        f'<text x="{(start + end) // 2}" y="{y - 8}">{escape(step[4])}</text>'
    )


def _note(step: re.Match[str], at: dict[str, int], y: int) -> str:
    ends = [at[name] for name in step.groups()[:2] if name]
    middle, reach = sum(ends) // len(ends), max(at.values()) + _LANE // 2
    half = len(step[3]) * _CHARACTER / 2 + 12
    middle = int(min(max(middle, half + 2), reach - half - 2))  # inside of the picture, and near whom it is about
    return _box(middle, y - 24, step[3], "note")


def _box(x: int, y: int, text: str, kind: str) -> str:
    width = int(len(text) * _CHARACTER + 24)
    return (
        f'<g class="{kind}"><rect x="{x - width // 2}" y="{y}" width="{width}" height="32"/>'
        f'<text x="{x}" y="{y + 21}">{escape(text)}</text></g>'
    )


def _sentences(names: dict[str, str], steps: list[re.Match[str]]) -> str:
    """Return the same in words, for who does not see it."""
    told = []
    for step in steps:
        if step.re is _NOTE:
            told.append(" and ".join(names[name] for name in step.groups()[:2] if name) + f": {step[3]}.")
        else:
            told.append(f"{names[step[1]]} to {names[step[3]]}: {step[4]}.")
    return " ".join(told)
