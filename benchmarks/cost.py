"""What a layer adds to one request, without sockets: subjects take turns, and each figure is a median of rounds."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks import frameworks, plain
from benchmarks.drive import FOREIGN, Call, Subject, seeded

__all__ = ["SCENARIOS", "Added", "measure"]

SCENARIOS = ("no cookie", "foreign cookies", "untouched", "read", "write", "write, 2 KB")
_PATHS = ("/untouched", "/untouched", "/untouched", "/read", "/write", "/write")
_SLICE = 0.004  # seconds of one turn: long enough for the clock, short enough that all meet the same weather


class Added(NamedTuple):
    """Microseconds a request costs more than without the layer, and the share of Starlette's cookie sessions."""

    cpu: float
    wall: float
    ratio: float


@dataclass
class _Case:
    subject: Subject
    call: Call
    path: str
    cookie: bytes
    times: int = 1
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


async def _turn(case: _Case) -> tuple[float, float]:
    call, path, cookie = case.call, case.path, case.cookie
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    for _ in range(case.times):
        await call(path, cookie)
    return (
        (time.process_time_ns() - cpu) / case.times / 1000,
        (time.perf_counter_ns() - wall) / case.times / 1000,
    )


async def _cases(scenario: int, subjects: list[tuple[Subject, Call]]) -> list[_Case]:
    cases: list[_Case] = []
    for subject, call in subjects:
        large = SCENARIOS[scenario] == "write, 2 KB"
        if scenario < 2:
            cookie = (b"", FOREIGN)[scenario]
        elif subject.group == "none":
            cookie = FOREIGN + b"; session=" + b"A" * 200
        else:
            cookie = await seeded(call, "/seed2k" if large else "/seed")
        case = _Case(subject, call, _PATHS[scenario], cookie)
        await _turn(case)
        _, wall = await _turn(case)
        case.times = max(3, round(_SLICE * 1e6 / max(wall, 1.0)))
        cases.append(case)
    return cases


async def _measure(rounds: int) -> dict[str, dict[str, Added]]:
    table: dict[str, dict[str, Added]] = {}
    subjects = [(subject, subject.make()) for subject in (*plain.SUBJECTS, *frameworks.SUBJECTS)]
    for scenario, title in enumerate(SCENARIOS):
        cases = await _cases(scenario, subjects)
        gc.collect()
        for turn in range(rounds):
            for case in cases if turn % 2 else reversed(cases):
                cpu, wall = await _turn(case)
                case.cpu.append(cpu)
                case.wall.append(wall)
        by_name = {case.subject.name: case for case in cases}
        reference = _added(by_name["Starlette"], by_name["asgi"])
        for case in cases:
            if case.subject.group != "none":
                cpu, wall = _added(case, by_name[case.subject.base])
                table.setdefault(case.subject.name, {})[title] = Added(cpu, wall, cpu / max(reference[0], 0.01))
    return table


def _added(case: _Case, base: _Case) -> tuple[float, float]:
    """Return the medians of what each round added: in a round, both met the same weather."""
    cpu = statistics.median(one - other for one, other in zip(case.cpu, base.cpu, strict=True))
    wall = statistics.median(one - other for one, other in zip(case.wall, base.wall, strict=True))
    return cpu, wall


def measure(*, quick: bool) -> dict[str, dict[str, Added]]:
    """Return what each subject adds in each scenario."""
    return asyncio.run(_measure(15 if quick else 61))
