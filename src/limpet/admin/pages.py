"""Turns what a page shows into HTML: one document with its style and script inside, and nothing to load beside it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

from limpet.admin import chart, guard

__all__ = ["Pages"]

_HERE: Final = Path(__file__).parent
_LONGEST: Final = 2000  # characters of one value


class Pages:
    """The templates.

    Attributes:
        headers: What every answer has.
    """

    def __init__(self) -> None:
        style = (_HERE / "static" / "admin.css").read_text(encoding="utf-8")
        script = (_HERE / "static" / "admin.js").read_text(encoding="utf-8")
        self.headers: dict[str, str] = guard.headers(styles=(style,), scripts=(script,))
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals |= {
            "style": Markup(style),  # noqa: S704 - the file beside this one
            "script": Markup(script),  # noqa: S704
            "width": chart.WIDTH,
            "height": chart.HEIGHT,
            "chart_left": chart.LEFT,
        }
        self._templates.filters |= {
            "ago": ago,
            "clock": clock,
            "duration": chart.duration,
            "left": left,
            "moment": moment,
            "short": short,
            "value": value,
        }

    def render(self, template: str, view: Mapping[str, Any], status: int) -> Response:
        """Return the answer that is a page."""
        html = self._templates.get_template(template).render(view)
        # What a client once sent may hold characters that UTF-8 has no bytes for.
        return Response(html.encode("utf-8", "replace"), status, self.headers, "text/html; charset=utf-8")


def moment(when: datetime | int, form: str = "long") -> Markup:
    """Return a time element, in UTC; the page's script turns it into the reader's own time zone.

    Args:
        when: A datetime, or milliseconds since 1970.
        form: ``long``: with the date; ``minute``: hours and minutes.
    """
    exact = datetime.fromtimestamp(when / 1000, UTC) if isinstance(when, int) else when
    text = f"{exact:%H:%M}" if form == "minute" else f"{exact:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(exact.isoformat(), form, text)


def clock(when: int) -> str:
    """Return hours and minutes of a time in milliseconds since 1970."""
    return f"{datetime.fromtimestamp(when / 1000, UTC):%H:%M} UTC"


def ago(when: datetime | int, now: int) -> str:
    """Return how long ago that was, as a person says it: ``just now``, ``3 min ago``."""
    seconds = (now - _milliseconds(when)) // 1000
    return "just now" if seconds < 10 else f"{_span(seconds)} ago"


def left(when: datetime | None, now: int) -> str:
    """Return how long it is until then, as a person says it: ``in 3 h``."""
    return "never" if when is None else f"in {_span(max(0, -(-(_milliseconds(when) - now) // 60_000) * 60))}"


def short(public_id: str) -> str:
    """Return the eight digits by which logs and events name a session."""
    return public_id[:8]


def value(given: Any) -> str:
    """Return a value as Python writes it, cut off where it is too long to look at."""
    text = repr(given)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text):,} characters)"


def _milliseconds(when: datetime | int) -> int:
    return when if isinstance(when, int) else round(when.timestamp() * 1000)


def _span(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
