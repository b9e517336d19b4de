"""``python -m benchmarks.parts``: where the time of a request goes that reads and writes a signed cookie.

A profile of single functions says little: each takes longer in a request than alone. So each part is taken out of the
whole request in turn, in slices that alternate with the complete one; what it took is the difference. The pure build
only: nothing can be taken out of compiled modules. Each figure is the tenth of the slices from below, so that what else
a machine does counts little; every slice begins warm, where `benchmarks.cost` lets others run in between.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.drive import FOREIGN, SECRET, Call, asgi_call, seeded
from benchmarks.plain import SUBJECTS, application
from benchmarks.report import pairs
from limpet import SessionManager, _exchange
from limpet._core import cookie_session, plan
from limpet._core.engine import Engine
from limpet._wire import record
from limpet._wire.record import Contents
from limpet.asgi import SessionMiddleware
from limpet.stores import CookieStore

__all__ = ["measure"]

Patch = tuple[Any, str, Any]
_WARM, _CALLS = 20, 60


@contextmanager
def _patched(patches: list[Patch]) -> Iterator[None]:
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    for owner, name, value in patches:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _parts(engine: Engine, cookie: bytes) -> dict[str, list[Patch]]:
    """Return for each part what takes its place: an answer that was made before."""
    assert engine.reader is not None
    found = engine.reader([(b"cookie", cookie)])
    assert found is not None
    contents = record.unpack(found[1].payload, engine.serializer, sealed=True)
    changed = record.pack(Contents(contents.created, {**contents.data, "n": 2}), engine.serializer)
    token = engine.client.seal(found[1])
    line = engine.transport.write(token, 1000)

    def decoded(*_: Any, **__: Any) -> Contents:
        return Contents(contents.created, dict(contents.data))

    return {
        "find the cookie among six others, base64, HMAC": [(engine, "reader", _always(found))],
        "decode, and look at what is in it": [(cookie_session, "unpack", decoded)],
        "encode, refuse what cannot be kept, CRC": [(record, "pack", _always(changed))],
        "compare with what was read": [(record, "same", _always(False))],
        "deadlines of the record and of the cookie": [
            (plan, "forget_at", _always(2**53)),
            (plan, "max_age", _always(1000)),
        ],
        "seal: structure, HMAC, base64": [(engine.client, "seal", _always(token))],
        "the `Set-Cookie` line, and a look at its characters": [(engine.transport, "write", _always(line))],
        "headers for caches": [(_exchange, "mark_response", lambda headers, vary, token, *_: [*headers, token])],
    }


def _always(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


async def _slice(call: Call, path: str, cookie: bytes) -> float:
    for _ in range(_WARM):
        await call(path, cookie)
    began = time.perf_counter()
    for _ in range(_CALLS):
        await call(path, cookie)
    return (time.perf_counter() - began) / _CALLS * 1e6


async def _measure(rounds: int) -> dict[str, float]:
    plain = {subject.name: subject for subject in SUBJECTS}
    manager = SessionManager(CookieStore(encrypted=False), secret=SECRET, dev=False)
    call = asgi_call(SessionMiddleware(application, manager))
    bare, starlette = plain["asgi"].make(), plain["Starlette"].make()
    ours, theirs = await seeded(call), await seeded(starlette)
    parts = _parts(manager.engine, ours)
    names = ["bare", "Starlette", "whole", "untouched", *parts]
    spent: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        spent["bare"].append(await _slice(bare, "/write", FOREIGN))
        spent["Starlette"].append(await _slice(starlette, "/write", theirs))
        spent["untouched"].append(await _slice(call, "/untouched", ours))
        for name, patches in parts.items():
            spent["whole"].append(await _slice(call, "/write", ours))
            with _patched(patches):
                spent[name].append(await _slice(call, "/write", ours))
    low = {name: sorted(times)[len(times) // 10] for name, times in spent.items()}
    taken = {name: low["whole"] - low[name] for name in parts}
    taken["middleware and `Session`, which an untouched one costs too"] = low["untouched"] - low["bare"]
    whole = low["whole"] - low["bare"]
    taken["the plan, the steps of a commit, a mapping that notes what changes"] = whole - sum(taken.values())
    return {"Starlette": low["Starlette"] - low["bare"], "limpet": whole, **taken}


def measure(*, quick: bool = False) -> dict[str, float]:
    """Return microseconds over the bare application: of Starlette's sessions, of ours, and of each part of ours."""
    return asyncio.run(_measure(100 if quick else 500))


if __name__ == "__main__":
    gc.freeze()
    print(pairs(measure(), "us"))
