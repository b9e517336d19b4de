"""Histories of requests, drawn at random and judged from outside.

Browsers send requests to several workers over one store, their answers arrive in any order, handlers do what handlers
do, operators revoke, clocks differ, calls of the store fail, and processes die. Every call of the store is a point at
which another request may go on. What happened is then judged by somebody who knows requests, answers and cookies, and
nothing of how sessions are kept: see `limpet.testing.histories.judge` for what must hold.

* `check_histories` runs drawn histories over a store that keeps records in memory, `check_histories_on_loop` over any.
* `check_faults` makes every call of the store of an operation fail in every way.
* `examine` runs one `Plan`; a failing one is made small by `shrink`, and printed.
"""

from limpet.testing.histories.check import (
    Finding,
    check_histories,
    check_histories_on_loop,
    examine,
    examine_on_loop,
    findings,
    shrink,
)
from limpet.testing.histories.judge import Problem
from limpet.testing.histories.operations import OPERATIONS, Operation, check_faults, faults_of
from limpet.testing.histories.plans import Act, Plan, Rules, draw

__all__ = [
    "OPERATIONS",
    "Act",
    "Finding",
    "Operation",
    "Plan",
    "Problem",
    "Rules",
    "check_faults",
    "check_histories",
    "check_histories_on_loop",
    "draw",
    "examine",
    "examine_on_loop",
    "faults_of",
    "findings",
    "shrink",
]
