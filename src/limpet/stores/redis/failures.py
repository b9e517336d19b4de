"""From the many errors of redis-py to one, and which of them a command outlives."""

from __future__ import annotations

import re
from typing import Any, Final

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, RedisClusterException, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from limpet.errors import StoreUnavailable
from limpet.stores._connections import SILENCE

__all__ = ["FAILURES", "LOST", "USUAL", "judged", "not_executed", "unavailable"]

# What RedisCluster raises when no node answers is no RedisError.
FAILURES: Final = (RedisError, RedisClusterException, OSError, EOFError)
"""What the client raises when the service fails, refuses or is out of reach."""

LOST: Final = (RedisConnectionError, RedisClusterException, OSError, EOFError)
"""What it raises when a connection was lost, or none could be made."""

USUAL: Final = frozenset({bytes, int, list, type(None)})
"""What replies are when nothing failed."""

# The first word of a refusal, or the class that redis-py makes of it, and what an operator can do about it.
_CURES: Final = {
    "READONLY": "it is a read-only replica: name the primary, or let redis+sentinel:// find it",
    "ReadOnlyError": "it is a read-only replica: name the primary, or let redis+sentinel:// find it",
    "OOM": "its memory is full (maxmemory): give it more",
    "OutOfMemoryError": "its memory is full (maxmemory): give it more",
    "MISCONF": "it cannot write its data to disk and refuses changes until it can",
    "BusyLoadingError": "it is still loading its data",
    "CLUSTERDOWN": "the cluster does not serve all slots",
    "ClusterDownError": "the cluster does not serve all slots",
    "CROSSSLOT": "it is a cluster: use redis+cluster://",
    "MOVED": "it is a cluster: use redis+cluster://",
    "MovedError": "it is a cluster: use redis+cluster://",
    "MasterNotFoundError": "no Sentinel names a master for this service",
    "AuthenticationError": "user name and password are missing or wrong",
    "AuthenticationWrongNumberOfArgsError": "user name and password are missing or wrong",
    "NoPermissionError": "its access list forbids this user a command that sessions need",
    "NOREPLICAS": "too few of its replicas are connected (min-replicas-to-write)",
    "MaxConnectionsError": "the client's pool is used up",
    "TimeoutError": SILENCE,
}


def not_executed(reply: Any) -> bool:
    """Tell whether the server refused a command as unknown or as a replica: sending it again is no retry of a write."""
    return isinstance(reply, (NoScriptError, ReadOnlyError))


def judged(reply: Any, where: str) -> Any:
    """Return what a reply means: 2 for a key that holds no string, as scripts say, and one error for all that fail."""
    if isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE"):
        return 2
    if isinstance(reply, FAILURES):
        return unavailable(reply, where)
    return reply


def unavailable(error: BaseException, where: str) -> StoreUnavailable:
    """Return the error that callers see: what the service said, and what to do; no password, no value."""
    said = re.split(r", with args beginning| : <", str(error), maxsplit=1)[0][:300]
    name = "MasterNotFoundError" if isinstance(error, MasterNotFoundError) else type(error).__name__
    cure = _CURES.get(said.partition(" ")[0]) or _CURES.get(name)
    if isinstance(error, TimeoutError):
        said = said or "no answer came in time"
    waited = isinstance(error, (TimeoutError, RedisTimeoutError))
    failure = StoreUnavailable(f"{where} failed: {said or name}" + (f" ({cure})" if cure else ""), waited=waited)
    failure.__cause__ = error
    return failure
