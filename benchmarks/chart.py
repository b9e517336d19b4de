"""Two charts: who adds what to a request, and how that grows with sessions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.cost import Added

__all__ = ["growth", "who_adds_what"]

_SHOWN = (
    "limpet, signed cookie, compiled", "limpet, encrypted cookie, compiled", "limpet, memory, compiled",
    "limpet, signed cookie", "limpet, encrypted cookie", "limpet, memory", "Starlette", "starsessions, cookie",
    "starsessions, memory", "BlackSheep, cookie", "BlackSheep, memory (shallow copies)", "Litestar, cookie (AES-GCM)",
    "Litestar, memory", "Flask, cookie", "Flask-Session, memory", "Django, cookie", "Nexios, cookie",
)  # fmt: skip
_SCENARIOS = {"untouched": "the session is not used", "read": "read", "write": "read + write"}
_OURS = ("#a9d3c4", "#4f9f86", "#17594a")
_THEIRS = ("#c3cedb", "#8299b3", "#3f5670")
_LINES = {"limpet": _OURS[2], "memory": _OURS[2], "starsessions": _THEIRS[1], "SQLite": "#b0702f"}


def who_adds_what(added: Mapping[str, Mapping[str, Added]], path: Path) -> None:
    """Draw three bars for each layer, the cheapest read + write on top; limpet's own in another colour."""
    pyplot = _pyplot()
    names = sorted((name for name in _SHOWN if name in added), key=lambda name: -added[name]["write"].cpu)
    figure, axes = pyplot.subplots(figsize=(8, 0.44 * len(names) + 1.6))
    for offset, scenario in enumerate(_SCENARIOS):
        places = [index + 0.27 * (1 - offset) for index in range(len(names))]
        values = [max(added[name][scenario].cpu, 0.0) for name in names]
        colours = [(_OURS if name.startswith("limpet") else _THEIRS)[offset] for name in names]
        axes.barh(places, values, height=0.25, color=colours)
        axes.barh([0], [0], color=_THEIRS[offset], label=_SCENARIOS[scenario])  # its line in the legend
    for index, name in enumerate(names):
        cpu = added[name]["write"].cpu
        axes.text(cpu + 4, index - 0.27, f"{cpu:.0f}", va="center", fontsize=8, color="#444444")
    axes.set_yticks(range(len(names)), names)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_fontweight("bold" if name.startswith("limpet") else "normal")
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.margins(x=0.08)
    axes.set_xlabel("microseconds of CPU (fewer is better)")
    figure.suptitle("What a session layer adds to a request", fontsize=12)
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3, frameon=False, fontsize=9)
    _save(figure, axes, path)


def growth(numbers: Mapping[str, Mapping[str, Mapping[str, float]]], path: Path) -> None:
    """Draw a panel for each kind of growth, ``{title: {amount: {subject: microseconds}}}``, with logarithmic axes."""
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(1, len(numbers), figsize=(3.6 * len(numbers), 3.4), sharey=True)
    for axes, (title, rows) in zip(panels, numbers.items(), strict=True):
        places = [_amount(amount) for amount in rows]
        for subject in next(iter(rows.values())):
            values = [row[subject] for row in rows.values()]
            axes.plot(places, values, marker="o", markersize=4, color=_LINES[subject], label=subject)
        axes.set(xscale="log", yscale="log")
        axes.set_title(title, fontsize=10)
        axes.set_xticks(places, list(rows), fontsize=8)
        axes.minorticks_off()
        axes.grid(axis="y", color="#e4e4e4")
        axes.legend(frameon=False, fontsize=9)
    panels[0].set_ylabel("microseconds of CPU")
    panels[0].set_yticks([30, 100, 300, 1_000, 3_000, 10_000], ["30", "100", "300", "1,000", "3,000", "10,000"])
    figure.suptitle("A request that reads and writes its session, the application included", fontsize=12)
    _save(figure, panels, path)


def _amount(text: str) -> float:
    return float(text.removesuffix(" KB").replace(",", ""))


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "limpet"  # the same numbers give the same file
    return pyplot


def _save(figure: Any, axes: Any, path: Path) -> None:
    for one in getattr(axes, "flat", [axes]):
        one.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    _pyplot().close(figure)
