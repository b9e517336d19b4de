"""What is told of a live session in a list of devices."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from limpet._core import plan
from limpet._listing import PAGE, Kept
from limpet._moments import moment
from limpet._wire.facts import proven
from limpet._wire.record import Contents
from limpet.contract import NEVER
from limpet.devices import summary

if TYPE_CHECKING:
    from limpet._core.context import Context

__all__ = ["SessionInfo", "info_of", "last_used_first"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionInfo:
    """One live session, as a person sees it in a list of devices. It holds nothing that could be sent as a cookie.

    Attributes:
        public_id: Names it, for `SessionManager.revoke`.
        subject: Whose it is.
        created_at: When it began.
        last_seen: When it was last used, as exact as ``SessionPolicy.touch_interval``.
        expires_at: When it ends if nobody uses it; None: never.
        authenticated_at: When somebody logged in.
        remember: It was a login with ``remember=True``.
        device: The user agent in a few words, such as ``Firefox 141 on Ubuntu``; ``unknown`` without
            ``SessionManager(devices=True)``.
        user_agent: The header itself.
        address: The truncated address, such as ``203.0.113.0/24``.
        tags: What the application put on the login.
        acr: How sure it was of who logged in, as it said.
        amr: By what they logged in, as it said.
        bound: It is bound to its device (`limpet.bound`).
        algorithm: With what that device signs, such as ``ES256``.
        proven_at: When it was proven last.
        current: It is the session that was given as ``current``.
    """

    public_id: str
    subject: str | None
    created_at: datetime
    last_seen: datetime
    expires_at: datetime | None
    authenticated_at: datetime | None = None
    remember: bool = False
    device: str = "unknown"
    user_agent: str | None = None
    address: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    acr: str | None = None
    amr: tuple[str, ...] = ()
    bound: bool = False
    algorithm: str | None = None
    proven_at: datetime | None = None
    current: bool = False


def info_of(engine: Context, kept: Kept, own: str | None, used: int = 0) -> SessionInfo:
    """Return what a list shows of a record.

    Args:
        own: The public id of the session that looks, or None.
        used: When that one was used, as far as it is not written down yet, in milliseconds since 1970.
    """
    contents, record = kept.contents or Contents(0), kept.record
    accessed = max(record.accessed, used) if kept.key == own else record.accessed
    limit = plan.deadline(contents, accessed, engine.policy)
    agent = contents.device.get("agent")
    proof = proven(contents.bound)
    return SessionInfo(
        public_id=kept.key,
        subject=record.subject,
        created_at=moment(contents.created),
        last_seen=moment(accessed),
        expires_at=None if limit == NEVER else moment(limit),
        authenticated_at=moment(contents.authenticated) if contents.authenticated else None,
        remember=contents.remember,
        device=summary(agent or ""),
        user_agent=agent,
        address=contents.device.get("address"),
        tags=dict(contents.tags),
        acr=contents.level,
        amr=tuple(contents.methods),
        bound=proof is not None,
        algorithm=None if proof is None else proof[0],
        proven_at=None if proof is None else moment(proof[1]),
        current=kept.key == own,
    )


async def last_used_first(engine: Context, infos: AsyncIterator[SessionInfo]) -> list[SessionInfo]:
    """Return them in the order of their last use. Other tasks run after each part: a crowd takes long to sort."""
    runs: list[list[SessionInfo]] = [[]]
    async for info in infos:
        if len(runs[-1]) == PAGE:
            runs.append([])
        runs[-1].append(info)
    for run in runs:
        run.sort(key=_used, reverse=True)
    if len(runs) == 1:
        return runs[0]
    found: list[SessionInfo] = []
    for info in heapq.merge(*runs, key=_used, reverse=True):
        found.append(info)
        if not len(found) % PAGE:
            await engine.emitter.runtime.sleep(0)
    return found


def _used(info: SessionInfo) -> tuple[datetime, str]:
    return info.last_seen, info.public_id
