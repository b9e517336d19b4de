"""A token counts once, for all processes: which were used is kept in the session store, until they are too old anyway.

Each is a mark under a key of its own. It is written before anything is ended, and says that it was used when that is
done: a process that dies in between, or a store that fails, leaves a token that can be sent once more.
"""

from __future__ import annotations

from limpet._core.storage import Storage
from limpet._wire import marks, tokens
from limpet.contract import Record

__all__ = ["Use", "begin"]


class Use:
    """A token that is being used.

    Args:
        storage: Keeps the mark.
        key: Of the mark.
        record: The mark as it is there.
    """

    def __init__(self, storage: Storage, key: str, record: Record) -> None:
        self._storage = storage
        self._key = key
        self._record = record

    async def finish(self) -> bool:
        """Note that it was used; False: another process was faster, and this was a second use.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        before = self._record
        facts = {**(marks.read(before.payload) or {}), "used": 1}
        done = Record(tokens.new_version(), marks.write(facts), self._storage.clock(), before.expires)
        return await self._storage.update(self._key, done, before.version, urgent=True) is None


async def begin(storage: Storage, issuer: str, jti: str, until: int) -> Use | None:
    """Begin to use a token; None: it was used before.

    Args:
        storage: Where that is noted.
        issuer: Whose token: one issuer's ids say nothing of another's (RFC 7519, section 4.1.7).
        jti: Which.
        until: When it may be forgotten, in milliseconds since 1970.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    key = marks.mark_key("jti", issuer, jti)
    mark = Record(tokens.new_version(), marks.write({"until": until}), storage.clock(), until)
    obstacle = await storage.create(key, mark, urgent=True)
    if obstacle is None:
        return Use(storage, key, mark)
    if not isinstance(obstacle, Record):
        return None
    facts = marks.read(obstacle.payload)
    return None if facts is None or facts.get("used") else Use(storage, key, obstacle)
