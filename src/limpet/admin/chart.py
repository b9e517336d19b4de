"""Where the bars and lines of the two charts go: numbers in, coordinates out. The template draws them as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from limpet.admin.history import Span

__all__ = ["HEIGHT", "LEFT", "WIDTH", "Bar", "Chart", "Grid", "duration", "latency_chart", "login_chart"]

WIDTH: Final = 640
HEIGHT: Final = 190
LEFT: Final = 60  # room for the labels of the scale
_TOP: Final = 8
_BOTTOM: Final = HEIGHT - 24  # room for the times
_FASTEST: Final = 1e-7  # seconds: the lower end of a scale that has no zero


@dataclass(frozen=True, slots=True)
class Grid:
    """A line across the chart and what it stands for."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; ``kind`` is what it counts."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """What is to be drawn.

    Attributes:
        grid: The scale.
        times: Where below the chart which span's time is written; the anchor of the text.
        bars: The bars.
        lines: For each kind the ``points`` of its polylines: where nothing was measured, the line is broken.
        dots: For each kind the single points that no line goes through.
        empty: There is nothing to be seen.
    """

    grid: Sequence[Grid]
    times: Sequence[tuple[float, int, str]]
    bars: Sequence[Bar] = ()
    lines: Sequence[tuple[str, str]] = ()
    dots: Sequence[tuple[str, float, float]] = ()
    empty: bool = False


def login_chart(spans: Sequence[Span]) -> Chart:
    """Return two bars for each span: logins and ends, from zero."""
    top = _round_up(max(max(span.logins, span.ends) for span in spans))
    slot = (WIDTH - LEFT) / len(spans)
    width = slot * 0.4
    bars: list[Bar] = []
    for place, span in enumerate(spans):
        for kind, count, offset in (("logins", span.logins, 0.08), ("ends", span.ends, 0.52)):
            if count:
                height = count / top * (_BOTTOM - _TOP)
                x = LEFT + slot * (place + offset)
                bars.append(Bar(kind, _tenth(x), _tenth(_BOTTOM - height), _tenth(width), _tenth(height)))
    grid = [Grid(_tenth(_BOTTOM - part / top * (_BOTTOM - _TOP)), f"{part:,}") for part in (0, top // 2, top)]
    return Chart(grid=grid, times=_times(spans), bars=bars, empty=not bars)


def latency_chart(spans: Sequence[Span]) -> Chart:
    """Return the average and the slowest call of each span, on a scale of powers of ten: a stall hides nothing."""
    measured = [span for span in spans if span.calls]
    if not measured:
        return Chart(grid=[Grid(_BOTTOM, "")], times=_times(spans), empty=True)
    low = math.floor(math.log10(max(_FASTEST, min(span.average for span in measured))))
    high = math.ceil(math.log10(max(_FASTEST, *(span.slowest for span in measured))))
    high = max(high, low + 1)

    def y_of(seconds: float) -> float:
        part = (math.log10(max(_FASTEST, seconds)) - low) / (high - low)
        return _tenth(_BOTTOM - part * (_BOTTOM - _TOP))

    slot = (WIDTH - LEFT) / len(spans)
    lines: list[tuple[str, str]] = []
    dots: list[tuple[str, float, float]] = []
    for kind in ("slowest", "average"):
        run: list[tuple[float, float]] = []
        for place, span in enumerate((*spans, Span(0))):  # one more, without a call, ends the last run
            if span.calls:
                run.append((_tenth(LEFT + slot * (place + 0.5)), y_of(getattr(span, kind))))
            elif run:
                if len(run) == 1:
                    dots.append((kind, *run[0]))
                else:
                    lines.append((kind, " ".join(f"{x},{y}" for x, y in run)))
                run = []
    grid = [Grid(y_of(10.0**power), duration(10.0**power)) for power in range(low, high + 1)]
    return Chart(grid=grid, times=_times(spans), lines=lines, dots=dots)


def duration(seconds: float) -> str:
    """Return a duration as a person reads it: ``250 µs``, ``1.2 ms``, ``3 s``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size * 0.9995 or unit == "µs":
            number = seconds / size
            return f"{number:.3g} {unit}" if number < 100 else f"{number:.0f} {unit}"
    raise AssertionError("the last unit takes everything")


def _times(spans: Sequence[Span]) -> list[tuple[float, int, str]]:
    slot, middle = (WIDTH - LEFT) / len(spans), len(spans) // 2
    return [
        (LEFT, spans[0].begins, "start"),
        (_tenth(LEFT + slot * middle), spans[middle].begins, "middle"),
        (WIDTH, spans[-1].begins, "end"),
    ]


def _round_up(most: int) -> int:
    """Return the top of a scale: the next of 2, 4, 10, 20, 40, 100, …, so that its half is a whole number."""
    size = 1
    while True:
        for step in (2, 4, 10):
            if step * size >= most:
                return step * size
        size *= 10


def _tenth(number: float) -> float:
    return round(number, 1)
