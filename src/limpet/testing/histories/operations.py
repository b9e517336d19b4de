"""Every operation, with every call of the store that it makes failing in every way, one after the other.

What must hold afterwards is what must hold in any history: the browser opens the old session or the new one, whole.
No order of writes can mend one case: a process that dies after the last write of a change of id, and before the
answer, leaves a browser with an id that is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from limpet.manager import SessionManager
from limpet.testing.histories.check import Finding, MakeStore, examine
from limpet.testing.histories.plans import Act, Plan, Rules
from limpet.testing.histories.watched import FAULTS, LASTING
from limpet.testing.histories.workers import MakeManager

__all__ = ["OPERATIONS", "Operation", "check_faults", "faults_of"]

_CHANGES: Final = frozenset({"create", "update", "replace", "delete"})


@dataclass(frozen=True, slots=True)
class Operation:
    """What is done, and what was done before.

    Attributes:
        act: The operation.
        before: Requests that came before.
        rules: The settings.
    """

    act: Act
    before: tuple[Act, ...] = ()
    rules: Rules = field(default_factory=Rules)


def _by(actor: int, *steps: str, ends: str = "returns", kind: str = "request", stale: int = 0) -> Act:
    return Act(kind, actor, steps=steps, ends=ends, alone=True, stale=stale)


def _does(*steps: str, ends: str = "returns") -> Act:
    return _by(0, *steps, ends=ends)


_CART: Final = (_by(0, "set", "nest"),)
_ANN: Final = (_by(0, "login:ann", "nest"),)
_TAGGED: Final = (_by(0, "tagged:ann", "nest"),)
_DEVICES: Final = (_by(1, "login:ann", "set"), *_ANN)
_TICK: Final = _by(0, kind="tick")
_RENEWS: Final = Rules(renews=True)
_LIMIT: Final = Rules(max_sessions=1)
_REFUSES: Final = Rules(max_sessions=1, refuses=True)
_ROOM: Final = Rules(max_sessions=2, refuses=True)
_DENYLIST: Final = Rules(mode="denylist")
_EPOCH: Final = Rules(mode="epoch")

OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        "first write": Operation(_does("append", "set")),
        "first login": Operation(_does("login:ann", "append")),
        "read": Operation(_does("read"), _ANN, Rules(touches=True)),
        "write": Operation(_does("append", "set", "count"), _ANN),
        "delete a key": Operation(_does("unset"), _CART),
        "empty": Operation(_does("empty"), _CART),
        "login": Operation(_does("login:ann", "append"), _CART),
        "login with a tag": Operation(_does("tagged:ann", "append"), _CART),
        "login again": Operation(_does("login:ann", "append"), _ANN),
        "login as another": Operation(_does("login:bob", "append"), _ANN),
        "login as another, with a tag": Operation(_does("tagged:ann", "append"), (_by(0, "login:bob", "nest"),)),
        "login over the limit": Operation(_does("login:ann", "append"), (_by(1, "login:ann"), *_CART), _LIMIT),
        "login refused": Operation(_does("login:ann", "append"), (_by(1, "login:ann"), *_CART), _REFUSES),
        "login refused as another": Operation(
            _does("login:ann", "append"), (_by(1, "login:ann"), _by(0, "login:bob", "set")), _REFUSES
        ),
        "login with room": Operation(_does("login:ann", "append"), (_by(1, "login:ann"), *_CART), _ROOM),
        "logout": Operation(_does("logout"), _ANN),
        "logout and write": Operation(_does("append", "restart"), _ANN),
        "logout of a failing handler": Operation(_does("logout", ends="answers 500"), _ANN),
        "regenerate": Operation(_does("append", "regenerate"), _ANN),
        "regenerate what is anonymous": Operation(_does("append", "regenerate"), _CART),
        "renewal": Operation(_does("append"), (*_ANN, _TICK), _RENEWS),
        "first use after a renewal": Operation(_does("append"), (*_ANN, _TICK, _does("read")), _RENEWS),
        "the id before a renewal": Operation(
            replace(_does("append"), stale=1), (*_ANN, _TICK, _does("read"), _does("read")), _RENEWS
        ),
        "login at a renewal": Operation(_does("login:ann", "append"), (*_ANN, _TICK), _RENEWS),
        "logout after a renewal": Operation(_does("logout"), (*_ANN, _TICK, _does("read")), _RENEWS),
        "deadline": Operation(_does("expire"), _ANN),
        "save in the middle": Operation(_does("append", "save", "push", "save", "push"), _ANN),
        "refresh in the middle": Operation(_does("push", "refresh", "push"), _ANN),
        "exclusive": Operation(_does("push", "exclusive", "push"), _ANN),
        "two tasks": Operation(_does("both"), _ANN),
        "login, save": Operation(_does("login:ann", "save", "append"), _CART),
        "login, save, then an error": Operation(_does("login:ann", "save", ends="raises"), _CART),
        "regenerate, save, then an error": Operation(_does("regenerate", "save", ends="raises"), _ANN),
        "login as another, save, then an error": Operation(_does("login:bob", "save", ends="raises"), _ANN),
        "two cookies": Operation(replace(_does("login:ann"), also=1), (_by(1, "login:bob"), *_CART)),
        "background": Operation(_by(0, kind="open"), _ANN),
        "revoke": Operation(_by(0, kind="revoke"), _DEVICES),
        "revoke all": Operation(_by(0, kind="revoke_all:ann"), _DEVICES),
        "revoke all but one": Operation(_by(0, kind="spare:ann"), _DEVICES),
        "revoke a tag": Operation(_by(0, kind="revoke_tag"), _TAGGED),
        "revoke everyone": Operation(_by(0, kind="everyone"), _DEVICES),
        "revoke a renewed one": Operation(_by(0, kind="revoke"), (*_ANN, _TICK, _does("read")), _RENEWS),
        "import": Operation(_does("append"), (), Rules(imports=True)),
        "import and login": Operation(_does("login:ann", "append"), (), Rules(imports=True)),
        "sweep": Operation(_by(0, kind="sweep"), _DEVICES),
        "write into a cookie": Operation(_does("append"), _ANN, _DENYLIST),
        "login in a cookie": Operation(_does("login:bob"), _ANN, _DENYLIST),
        "login in a cookie, after a save": Operation(_does("append", "save", "login:bob"), (), _DENYLIST),
        "login that ends all cookies": Operation(_does("login:bob"), _ANN, _EPOCH),
        "logout of a cookie": Operation(_does("logout"), _ANN, _DENYLIST),
        "regenerate a cookie": Operation(_does("regenerate"), _ANN, _DENYLIST),
        "logout of all cookies": Operation(_does("logout"), _ANN, _EPOCH),
        "revoke all cookies": Operation(_by(0, kind="revoke_all:ann"), _ANN, _EPOCH),
    }
)
"""The operations by name."""


def faults_of(name: str, store: MakeStore, make: MakeManager = SessionManager) -> Iterator[Finding]:
    """Run an operation once for each call and each fault, and once without; return what happened each time.

    After the fault the browser does nothing more, or writes once more with the cookie that it has, or somebody logs in.

    Args:
        store: Makes an empty store whose calls never wait.
        make: See `examine`.
    """
    operation = OPERATIONS[name]
    at = len(operation.before)
    whole = Plan(operation.rules, (*operation.before, operation.act), width=1, sweeps=True)
    plain = examine(whole, store(), make)
    yield plain
    calls = [] if plain.history is None else plain.history.visits[at].calls
    last = max((index for index, call in enumerate(calls) if call in _CHANGES), default=-1)
    for index in range(len(calls)):
        for kind in (*FAULTS, *LASTING):
            act = replace(operation.act, faults={index: kind}, last_write=last)
            for after in ((), (_does("append"),), (_by(2, "login:ann"),)):
                yield examine(replace(whole, acts=(*operation.before, act, *after)), store(), make)


def check_faults(name: str, store: MakeStore) -> int:
    """Run an operation with all faults, and return in how many ways it was run.

    Args:
        name: One of `OPERATIONS`.
        store: Makes an empty store whose calls never wait.

    Raises:
        AssertionError: After some of the faults something does not hold. The message names all of them, and shows the
            first.
    """
    ran, failed = 0, list[Finding]()
    for ran, found in enumerate(faults_of(name, store), 1):  # noqa: B007 - it is what is returned
        if found.problems:
            failed.append(found)
    if failed:
        lines = [f"  {_faults(found.plan)}: {found.problems[0]}" for found in failed]
        raise AssertionError(f"{name!r} does not hold after\n" + "\n".join(lines) + f"\nThe first:\n{failed[0]}")
    return ran


def _faults(plan: Plan) -> str:
    there = [f"call {index} {kind}" for act in plan.acts for index, kind in act.faults.items()]
    return ", ".join(there) or "no fault at all"
