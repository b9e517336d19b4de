"""One build of limpet, in a process of its own, whose subjects take turns when they are told to.

So that the pure and the compiled build can be measured in one run, each runs in an interpreter of its own, and both do
what a parent says, line by line: ``scenario 3`` makes everything ready and answers with the names of the subjects,
``turn 5`` calls the sixth of them for some milliseconds and answers with the microseconds of a request, CPU and wall.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.drive import FOREIGN, Call, Subject, seeded

__all__ = ["SCENARIOS", "Lane"]

SCENARIOS = ("no cookie", "foreign cookies", "untouched", "read", "write", "write, 2 KB")
_PATHS = ("/untouched", "/untouched", "/untouched", "/read", "/write", "/write")
_SLICE = 0.004  # seconds of one turn: long enough for the clock, short enough that all meet the same weather


class Lane:
    """A process with one build.

    Args:
        python: Its interpreter.
        only: The beginnings of names of the subjects that it has; nothing: all of them.
    """

    def __init__(self, python: str | Path, only: Iterable[str] = ()) -> None:
        command = [str(python), "-m", "benchmarks.turns", *only]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Lane:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _ask(self, question: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline() or "null")

    def build(self) -> str:
        """Return what its limpet is: ``pure`` or ``compiled``."""
        return self._ask("build")  # type: ignore[no-any-return]

    def begin(self, scenario: int) -> list[tuple[str, str, str]]:
        """Make a scenario ready; return the name, base and group of each subject, in the order of their turns."""
        return [(name, base, group) for name, base, group in self._ask(f"scenario {scenario}")]

    def turn(self, number: int) -> tuple[float, float]:
        """Let a subject have its turn; return microseconds of CPU and of time that a request took."""
        cpu, wall = self._ask(f"turn {number}")
        return cpu, wall


@dataclass
class _Case:
    subject: Subject
    call: Call
    path: str
    cookie: bytes
    times: int = 1


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
    gc.collect()
    return cases


async def _answer(only: tuple[str, ...]) -> None:
    from benchmarks import frameworks, plain
    from limpet._native import build

    every = (*plain.SUBJECTS, *frameworks.SUBJECTS)
    wanted = [subject for subject in every if not only or subject.name.startswith(only) or ", limpet" in subject.name]
    bases = {subject.base for subject in wanted}
    subjects = [(subject, subject.make()) for subject in every if subject in wanted or subject.name in bases]
    cases: list[_Case] = []
    for line in sys.stdin:  # nothing else runs on this loop
        word, _, number = line.strip().partition(" ")
        answer: Any
        if word == "build":
            answer = build()
        elif word == "scenario":
            cases = await _cases(int(number), subjects)
            answer = [(case.subject.name, case.subject.base, case.subject.group) for case in cases]
        else:
            answer = await _turn(cases[int(number)])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_answer(tuple(sys.argv[1:])))
