"""One chart: who adds what to a request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.cost import Added

__all__ = ["draw"]

_SHOWN = (
    "holdfast, signed cookie", "holdfast, encrypted cookie", "holdfast, memory", "Starlette", "starsessions, cookie",
    "starsessions, memory", "BlackSheep, cookie", "BlackSheep, memory (live dicts)", "Litestar, cookie (AES-GCM)",
    "Litestar, memory", "Flask, cookie", "Flask-Session, memory", "Django, cookie", "Nexios, cookie",
)  # fmt: skip
_SCENARIOS = (("untouched", "#9db8d2"), ("read", "#4f81b0"), ("write", "#1d3f63"))


def draw(added: Mapping[str, Mapping[str, Added]], path: Path) -> None:
    """Draw a bar for each layer and scenario into an SVG file."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "holdfast"  # the same numbers give the same file
    names = [name for name in _SHOWN if name in added][::-1]
    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(names) + 1.2))
    for offset, (scenario, colour) in enumerate(_SCENARIOS):
        places = [index + 0.27 * (1 - offset) for index in range(len(names))]
        values = [max(added[name][scenario].cpu, 0.0) for name in names]
        axes.barh(places, values, height=0.25, color=colour, label=scenario)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("microseconds of CPU that the session layer adds to a request")
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
