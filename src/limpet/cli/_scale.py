"""What `limpet doctor` says about many workers on one store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from limpet.cli._files import path_of
from limpet.cli._findings import Finding, fine, fix, note
from limpet.contract import Immediate, Store, supports
from limpet.manager import SessionManager
from limpet.stores._connections import Connections, Pooled

__all__ = ["Scale", "check_connections", "check_sharing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How often the application runs.

    Attributes:
        pods: Machines or containers.
        workers: Processes in each of them.
    """

    pods: int = 1
    workers: int = 1


def check_sharing(store: Store, scale: Scale) -> Iterator[Finding]:
    """Yield what keeps so many workers from having one store."""
    if supports(store, Immediate) and scale.pods * scale.workers > 1:
        yield fix(
            "scale",
            f"{scale.pods * scale.workers} workers would each have sessions of their own in memory: "
            "use sqlite:/// on one machine, redis:// or postgresql:// on several",
        )
    elif path_of(store) is not None and scale.pods > 1:
        yield fix(
            "scale",
            f"{scale.pods} pods do not share a file of one machine (and a network file system does not lock it "
            "reliably): use redis:// or postgresql://",
        )


async def check_connections(manager: SessionManager, store: Store, scale: Scale) -> AsyncIterator[Finding]:
    """Yield whether the store's server accepts the connections of so many workers, if it has a server."""
    if supports(store, Pooled):
        yield judged(await manager.engine.storage.call("check", store.connections()), scale)


def judged(found: Connections, scale: Scale) -> Finding:
    """Return what is to be said of the sum."""
    workers = scale.pods * scale.workers
    needed = workers * found.pool
    total = (
        f"{_times(scale.pods, 'pod')} x {_times(scale.workers, 'worker')} x {_times(found.pool, 'connection')} = "
        f"{needed:,}, and {found.setting} leaves {found.limit:,} to applications ({found.used:,} in use now)"
    )
    if needed > found.limit:
        fitting = found.limit // workers
        cures = [f"raise {found.setting}"]
        cures.append(f"put ?max_connections={fitting} into the store's URL" if fitting else "run fewer workers")
        if found.setting == "max_connections":
            cures.append("put a pooler such as PgBouncer in front")
        return fix("scale", f"{total}: {', or '.join(cures)}")
    if needed + found.used > found.limit:
        return note("scale", f"{total}: there is room only if these are workers of this application")
    if found.process > found.pool:
        total += f"; without an event loop, each worker opens one for each thread, up to {found.process:,}"
    return fine("scale", total)


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
