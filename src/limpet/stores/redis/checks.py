"""What a Redis or Valkey server says of itself that an operator of sessions should fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["complaints"]


def complaints(info: Mapping[str, Any], *, connections: int, wait_replicas: int) -> Iterator[str]:
    """Yield one sentence for each dangerous thing in the answer to ``INFO``.

    ``CONFIG`` is not asked: managed services forbid it, and ``INFO`` has what matters.
    """
    version = str(info.get("valkey_version") or info.get("redis_version", ""))
    needed = 8 if "valkey_version" in info else 7
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) < needed:
        yield f"the server's version is {version}, and sessions need {needed} or later: upgrade it"
    if info.get("role") not in (None, "master"):
        yield "the server is a read-only replica, so no session can be saved: name the primary, or use redis+sentinel://"
    yield from _memory(info)
    yield from _persistence(info)
    yield from _clients(info, connections)
    replicas = int(info.get("connected_slaves", 0))
    if replicas < wait_replicas:
        yield f"wait_replicas is {wait_replicas} and {replicas} are connected: no login and no logout can succeed"


def _memory(info: Mapping[str, Any]) -> Iterator[str]:
    policy = str(info.get("maxmemory_policy", ""))
    most = int(info.get("maxmemory", 0))
    used = int(info.get("used_memory", 0))
    if policy != "noeviction":
        yield f"maxmemory-policy is {policy or 'not said'}: {_evicted(policy)}; set noeviction"
    if not most:
        yield "maxmemory is 0: the kernel ends the server when the machine runs out of memory; set a limit below that"
    elif used >= most:
        yield f"{used:,} of {most:,} bytes of maxmemory are used: {_when_full(policy)}; give it more"
    elif used > 0.9 * most:
        yield f"{used:,} of {most:,} bytes of maxmemory are used: soon {_when_full(policy)}; give it more"


def _when_full(policy: str) -> str:
    return "no session can be saved" if policy == "noeviction" else "keys are evicted"


def _evicted(policy: str) -> str:
    """Return what a server does when its memory is short.

    Source: https://redis.io/docs/latest/develop/reference/eviction/
    """
    if policy.startswith("allkeys-"):
        return (
            "when memory is short, people are logged out at random, and the journal of revocations can go, so that "
            "what was revoked is valid again"
        )
    if policy.startswith("volatile-"):
        return (
            "when memory is short, people are logged out, and notes of revocations can go, so that what was revoked "
            "is valid again"
        )
    return "it is not known to keep what sessions need when memory is short"


def _persistence(info: Mapping[str, Any]) -> Iterator[str]:
    if not int(info.get("aof_enabled", 0)):
        yield "appendonly is off: a crash loses what changed since the last snapshot; set 'appendonly yes'"
    elif info.get("aof_last_write_status", "ok") != "ok":
        yield "the last write of the append-only file failed: look at the server's log and its disk"
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        yield "the last snapshot failed, and the server may refuse writes (MISCONF): look at its log and its disk"


def _clients(info: Mapping[str, Any], connections: int) -> Iterator[str]:
    most = int(info.get("maxclients", 0))
    now = int(info.get("connected_clients", 0))
    if most and now + connections > most:
        yield (
            f"maxclients is {most}, {now} are connected, and a further worker opens up to {connections}: "
            "raise maxclients or run fewer workers"
        )
