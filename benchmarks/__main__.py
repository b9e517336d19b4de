"""``python -m benchmarks [--quick] [--only cost,lost,...]``: measure, print, write the tables and the chart."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks import chart, cost, databases, instructions, scaling, throughput
from benchmarks.report import Report, pairs, table

_HERE = Path(__file__).parent


def _cost(report: Report) -> None:
    added = cost.measure(quick=report.quick)
    rows = [
        [name, *(f"{cell.cpu:.1f} ({cell.ratio:.2f})" for cell in (scenarios[title] for title in cost.SCENARIOS))]
        for name, scenarios in added.items()
    ]
    report.add(
        "What a session layer adds to a request",
        "Microseconds of CPU over the same application without sessions; in brackets, the share of Starlette's cookie "
        "sessions. The control row is Starlette a second time: how far it is from 1.00 is the error.",
        table(["layer", *cost.SCENARIOS], rows),
        {name: {title: cell._asdict() for title, cell in cells.items()} for name, cells in added.items()},
    )
    chart.draw(added, _HERE.parent / "docs" / "assets" / "who-adds-what.svg")


def _lost(report: Report) -> None:
    kept = databases.lost()
    report.add(
        "Updates kept",
        "Of 20 requests of one session at once, each of which sets a key of its own.",
        table(["layer", "kept of 20"], list(kept.items())),
        kept,
    )


def _databases(report: Report) -> None:
    served = databases.measure(quick=report.quick)
    rows = [[row.name, row.concurrent, f"{row.cpu:.0f}", f"{row.per_second:,.0f}"] for row in served]
    report.add(
        "Redis and PostgreSQL, read + write",
        "CPU of the application's process for a request, and requests a second.",
        table(["", "at once", "CPU us", "per second"], rows),
        [row._asdict() for row in served],
    )


def _throughput(report: Report) -> None:
    rates = throughput.measure(quick=report.quick)
    rows = [[name, f"{rate:,.0f}", f"{rate / rates['asgi']:.0%}"] for name, rate in rates.items()]
    report.add(
        "A hello application under uvicorn, read + write",
        "One process, 16 keep-alive connections from another one on the same machine.",
        table(["", "per second", "kept"], rows),
        rates,
    )


def _scaling(report: Report) -> None:
    for title, text, numbers in (
        ("Size of the session", "Memory store, read + write: CPU us, the application included.", scaling.session_sizes),
        ("Keys in the session", "The same, by number of keys.", scaling.session_keys),
    ):
        found = numbers()
        report.add(title, text, pairs(found, "CPU us"), found)
    live = scaling.live_sessions(quick=report.quick)
    rows = [[store, count, f"{value:.1f}"] for store, counts in live.items() for count, value in counts.items()]
    report.add("Live sessions", "Read + write among so many.", table(["store", "sessions", "CPU us"], rows), live)
    memory = scaling.idle_memory()
    text = "Bytes of an idle session in the memory store, each of another subject."
    report.add("Memory", text, pairs(memory, "bytes"), memory)
    imports = scaling.imports()
    report.add("Imports", "CPU over a bare interpreter.", pairs(imports, "ms"), imports)


def _instructions(report: Report) -> None:
    counted = instructions.count()
    text = "Of one request, read + write, the application included; counted by callgrind, free of noise."
    if counted is None:
        report.add("Instructions", text, "Not counted: valgrind is not installed.", None)
    else:
        rows = [[name, f"{number:,}"] for name, number in counted.items()]
        report.add("Instructions", text, table(["", "instructions"], rows), counted)


PARTS: dict[str, Callable[[Report], None]] = {
    "cost": _cost,
    "lost": _lost,
    "databases": _databases,
    "throughput": _throughput,
    "scaling": _scaling,
    "instructions": _instructions,
}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What a session layer adds to a request.")
    parser.add_argument("--quick", action="store_true", help="under two minutes, less exact, no instruction counts")
    parser.add_argument("--only", default="", help=f"some of {','.join(PARTS)}")
    given = parser.parse_args()
    names = (
        given.only.split(",") if given.only else [name for name in PARTS if not given.quick or name != "instructions"]
    )
    report = Report(given.quick)
    for name in names:
        PARTS[name](report)
    if not given.only:
        report.write(_HERE / "results")


if __name__ == "__main__":
    main()
