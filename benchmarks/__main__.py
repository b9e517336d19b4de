"""``python -m benchmarks [--quick] [--only cost,lost,...]``: measure, print, write the tables and the charts."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import chart, cost, databases, instructions, lost, parts, scaling, throughput
from benchmarks.report import Report, pairs, table

_HERE = Path(__file__).parent


def _cost(report: Report) -> None:
    added = cost.measure(quick=report.quick)
    built = "" if cost.COMPILED.exists() else " The compiled build was not there: `make bench` makes it."
    rows = [
        [name, *(f"{cell.cpu:.1f} ({cell.ratio:.2f})" for cell in (scenarios[title] for title in cost.SCENARIOS))]
        for name, scenarios in added.items()
    ]
    report.add(
        "What a session layer adds to a request",
        "Microseconds of CPU over the same application without sessions; in brackets, the share of Starlette's cookie "
        "sessions. The control row is Starlette a second time: how far it is from 1.00 is the error. limpet is the "
        f"pure build where it does not say compiled.{built}",
        table(["layer", *cost.SCENARIOS], rows),
        {name: {title: cell._asdict() for title, cell in cells.items()} for name, cells in added.items()},
    )
    chart.who_adds_what(added, report.charts / "who-adds-what.svg")


def _lost(report: Report) -> None:
    kept = lost.measure()
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
    rows = [
        [
            name,
            f"{one.per_second:,.0f}",
            f"{one.kept:.0%}",
            f"{one.cpu:.0f}",
            f"{one.added:.0f}",
            f"{one.kept_by_cpu:.0%}",
            f"{one.busy:.0%}",
        ]
        for name, one in rates.items()
    ]
    report.add(
        "Hello applications under uvicorn, read + write",
        "One process on asyncio without access log, httptools where h11 is not named; 16 keep-alive connections from "
        "another process on the same machine. Kept: the share of the rate without sessions. CPU: the server's, for a "
        "request, and the share that is kept by it. Busy: how much of the time the server was on a processor; far "
        "below 100 %, others used the machine, and what counts is the share by CPU.",
        table(["", "per second", "kept", "CPU us", "added us", "kept by CPU", "busy"], rows),
        {name: one._asdict() for name, one in rates.items()},
    )


def _scaling(report: Report) -> None:
    grown: list[dict[str, dict[str, float]]] = []
    for title, text, numbers in (
        ("Size of the session", "In memory, read + write: CPU us, the application included.", scaling.session_sizes()),
        ("Keys in the session", "The same, by number of keys.", scaling.session_keys()),
        ("Live sessions", "The same among so many others.", scaling.live_sessions(most=report.most)),
    ):
        grown.append(numbers)
        subjects = list(next(iter(numbers.values())))
        rows = [[amount, *(f"{found[name]:,.1f}" for name in subjects)] for amount, found in numbers.items()]
        report.add(title, text, table(["", *subjects], rows), numbers)
    panels = ("By size, in memory", "By number of keys, in memory", "Among live sessions, limpet")
    chart.growth(dict(zip(panels, grown, strict=True)), report.charts / "how-it-grows.svg")
    numbers = scaling.writers()
    rows = [[count, *(f"{value:,.1f}" for value in row.values())] for count, row in numbers.items()]
    text = "Each of so many requests that all read one session before the first of them adds to its number; all count."
    report.add("Concurrent writers of one session", text, table(["at once", "CPU us of each"], rows), numbers)
    memory = scaling.idle_memory()
    text = "Bytes of an idle session in the memory store, each of another subject."
    report.add("Memory", text, pairs(memory, "bytes"), memory)
    imports = scaling.imports()
    report.add("Imports", "CPU over a bare interpreter.", pairs(imports, "ms"), imports)


def _parts(report: Report) -> None:
    taken = parts.measure(quick=report.quick)
    text = (
        "Microseconds over the bare application, read + write of a signed cookie, each slice warm; then what each part "
        "of ours takes: each was taken out in turn, and the last is what is left."
    )
    report.add("Where the time goes", text, pairs(taken, "us"), taken)


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
    "parts": _parts,
    "instructions": _instructions,
}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What a session layer adds to a request. Everything together is written down: the full run to "
        "benchmarks/results/latest.* and docs/assets, the quick one to benchmarks/results/quick*.",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="under two minutes: fewer rounds, at most 100,000 live sessions, no instruction counts",
    )
    parser.add_argument(
        "--sessions",
        type=int,
        default=0,
        help="among how many live sessions a request is measured at most (a million; 100,000 with --quick)",
    )
    parser.add_argument("--only", default="", help=f"some of {','.join(PARTS)}; prints, writes nothing")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else [*PARTS]
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"there is no part {', '.join(unknown)}: --only takes some of {','.join(PARTS)}")
    if given.quick and not given.only:
        names.remove("instructions")
    with tempfile.TemporaryDirectory(prefix="limpet-bench-") as folder:
        most = given.sessions or (100_000 if given.quick else 1_000_000)
        report = Report(given.quick, most, Path(folder))
        for name in names:
            PARTS[name](report)
        if not given.only:
            report.write(_HERE / "results", _HERE.parent / "docs" / "assets")


if __name__ == "__main__":
    main()
