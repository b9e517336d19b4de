"""Small records that a manager keeps in the store beside the sessions: revocations, locks, tags and tombstones.

They are ordinary records, written where there is none or over the version that was read, under keys of their own: a
digest of what they are about; a tombstone lies under the key of the session that it takes the place of. They belong to
the store and not to one manager, as an index by subject does, so that what one manager revokes holds for all that share
the store, the command line included.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from limpet._wire import tokens
from limpet.contract import Record

if TYPE_CHECKING:
    from limpet._wire.records import Records

__all__ = [
    "FORMAT",
    "SKEW",
    "TOMBSTONE_LIFE",
    "Facts",
    "Gone",
    "amend",
    "digest_of",
    "ended",
    "is_mark",
    "mark_key",
    "name_key",
    "read",
    "tag_key",
    "tombstone",
    "write",
]

FORMAT: Final = b"N"
"""The first byte of such a record, where a session has its serializer's and a renewed id ``F``."""
TOMBSTONE_LIFE: Final = 60_000
"""Milliseconds for which an id that the application replaced or ended can be told from one that never was."""
SKEW: Final = 300_000
"""Milliseconds by which clocks of two hosts may differ."""

_TAG: Final = b"limpet:mark:1"
_HEAD: Final = 5  # as in a session's payload: the format byte, four bytes of CRC-32
_NUMBERS: Final = (
    *("at", "was", "mono", "wall", "until", "seq", "everyone", "gone", "generation", "n", "before"),
    *("acts", "many", "heir"),
)

Facts: TypeAlias = dict[str, Any]


class Gone(NamedTuple):
    """A tombstone that was found under an id, presented or followed: that session was replaced or ended lately.

    Attributes:
        key: The store key of that id.
        record: The tombstone.
        how: ``"login"``, ``"regenerate"``, ``"logout"`` or ``"revoke"``; ``"import"``: an old token was taken;
            ``"renewal"``: no tombstone, a forward record whose grace is over.
        successor: The store key of the session that took its place, or None.
        others: The store keys of earlier logins from the same id, of other subjects, and of what the id led to.
        heir: What took its place took along what it held.
        goes_on: The store key under which the same session goes on, as its id was regenerated, whoever has logged in
            with the old one since. None: it does not.
    """

    key: str
    record: Record
    how: str
    successor: str | None
    others: tuple[str, ...] = ()
    heir: bool = False
    goes_on: str | None = None

    @property
    def is_final(self) -> bool:
        """The session was ended, and nothing took its place."""
        return self.how in ("logout", "revoke")

    def __repr__(self) -> str:
        """Name the session without its id."""
        return f"<Gone {self.key[:8]}>"


def mark_key(*about: str) -> str:
    """Return the store key of what a mark is about: each part with its length in front, so that no two meet."""
    digest = sha256(_TAG)
    for part in about:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()


def tag_key(name: str, value: str) -> str:
    """Return the store key of the mark of a tag, which lists the digests of subjects that have logged in with it."""
    return mark_key("tag", name, value)


def digest_of(subject: str) -> str:
    """Return what stands for a subject in the lists of tags."""
    return mark_key("name", subject)[:16]


def name_key(digest: str) -> str:
    """Return the store key of the mark that says whose such a digest is: without it no list holds a name."""
    return mark_key("digest", digest)


def is_mark(payload: bytes) -> bool:
    """Tell such a record from a session's by its first byte."""
    return payload[:1] == FORMAT


def write(facts: Mapping[str, Any]) -> bytes:
    """Return the payload that says these facts."""
    body = json.dumps(facts, separators=(",", ":"), sort_keys=True).encode()
    return FORMAT + zlib.crc32(body).to_bytes(4, "big") + body


def read(payload: bytes) -> Facts | None:
    """Return the facts, or None for a payload that is damaged or something else."""
    body = payload[_HEAD:]
    if not is_mark(payload) or zlib.crc32(body) != int.from_bytes(payload[1:_HEAD], "big"):
        return None
    try:
        facts = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or not all(type(facts.get(name, 0)) is int for name in _NUMBERS):
        return None
    for name in ("subjects", "names", "held"):
        held = facts.get(name, {})
        if not isinstance(held, dict) or not all(type(number) is int for number in held.values()):
            return None
    others = facts.get("others", [])
    return facts if isinstance(others, list) and all(isinstance(other, str) for other in others) else None


def tombstone(
    how: str,
    now: int,
    successor: str | None,
    others: Sequence[str] = (),
    *,
    heir: bool = False,
    goes_on: str | None = None,
) -> Record:
    """Return what is left under an id that the application replaced or ended.

    Args:
        how: ``"login"``, ``"regenerate"``, ``"logout"``, or ``"revoke"``: somebody else than its browser ended it.
        now: Milliseconds since 1970.
        successor: The store key of the session that took its place, or None.
        others: Those of earlier logins from the same id, of other subjects.
        heir: That session took along what it held.
        goes_on: The store key under which it goes on beside that, as its id was regenerated before; None: it does not.
    """
    until = now + TOMBSTONE_LIFE
    facts: Facts = {"gone": until, "how": how}
    if successor is not None:
        facts["next"] = successor
    if others:
        facts["others"] = list(others)
    if heir:
        facts["heir"] = 1
    if goes_on is not None:
        facts["on"] = goes_on
    return Record(tokens.new_version(), write(facts), now, until)


def ended(key: str, record: Record, now: int, *, met_alive: bool = False) -> Gone | None:
    """Return what a tombstone says, or None once its minute is over, and for a mark that is none.

    That of a revocation speaks only to requests that met the session alive: the browser was not asked, keeps its
    cookie, and may begin anew with it at once.

    Args:
        met_alive: The request met the session alive when it began: then the tombstone is from this minute, whatever the
            clock of this host says.
    """
    facts = read(record.payload)
    if facts is None or not facts.get("gone"):
        return None
    until: int = facts["gone"]
    how, others = str(facts.get("how", "")), tuple(facts.get("others", ()))
    if not met_alive and (how == "revoke" or not until - TOMBSTONE_LIFE - SKEW <= now < until):
        return None
    goes_on = facts.get("on", facts.get("next") if how == "regenerate" else None)
    return Gone(key, record, how, facts.get("next"), others, bool(facts.get("heir")), goes_on)


async def amend(storage: Records, key: str, change: Callable[[Facts], tuple[Facts, int]]) -> Facts:
    """Change the facts of a mark, in whatever order others change it; return them. A damaged one is written anew.

    Args:
        change: Takes the facts that are there ({} for none), returns new ones and when the store may forget them.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    there = await storage.load(key)
    while True:
        facts, expires = change((read(there.payload) or {}) if there is not None else {})
        record = Record(tokens.new_version(), write(facts), storage.clock(), expires)
        if there is None:
            outcome = await storage.create(key, record, urgent=True)
        else:
            outcome = await storage.update(key, record, there.version, urgent=True)
        if outcome is None:
            return facts
        there = outcome if isinstance(outcome, Record) else None
