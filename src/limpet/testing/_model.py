"""What sessions should be, said without a store, a payload or a version: the model that `machine` compares with.

Rows lie under tokens, as clients know them. A row is a session, or what a renewal leaves under the id before.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, Final

__all__ = ["ABSOLUTE", "GRACE", "IDLE", "RENEWAL", "SLACK", "Forward", "Kept", "Model", "Request"]

IDLE: Final = 1_000_000
ABSOLUTE: Final = 5_000_000
RENEWAL: Final = 300_000
GRACE: Final = 30_000
SLACK: Final = 60_000


@dataclass(slots=True)
class Kept:
    """A stored session. All times are milliseconds."""

    data: dict[str, Any]
    subject: str | None
    created: int
    accessed: int
    renewed: int = 0
    previous: str | None = None
    writes: int = 0
    forget: int = 0

    def __post_init__(self) -> None:
        self.used(self.accessed)

    def used(self, now: int) -> None:
        """Note a use."""
        self.accessed = max(self.accessed, now)
        self.forget = max(self.forget, self.deadline + SLACK)

    @property
    def deadline(self) -> int:
        """The first moment at which it is dead."""
        return min(self.created + ABSOLUTE, self.accessed + IDLE)


@dataclass(slots=True)
class Forward:
    """What a renewal leaves: where it leads, until when (None: not begun), and when it may be forgotten."""

    to: str
    forget: int
    ends: int | None = None


@dataclass(slots=True)
class Request:
    """A request under way, as the model sees it.

    Attributes:
        token: The id under which it found its session; None: none.
        base: The session as it was found.
        mine: The session as the handler has it.
        followed: A renewal led from the token that was sent to `token`.
    """

    token: str | None = None
    base: Kept | None = None
    mine: Kept = field(default_factory=lambda: Kept({}, None, 0, 0))
    followed: bool = False
    counted: int = 0
    ended: bool = False
    displaced: bool = False
    login: bool = False
    regenerate: bool = False

    def begin_again(self, now: int) -> None:
        """Start over with nothing."""
        self.mine = Kept({}, None, now, now)
        self.counted = 0
        self.login = self.regenerate = False


@dataclass(slots=True)
class Model:
    """All sessions there are."""

    rows: dict[str, Kept | Forward] = field(default_factory=dict)

    def locate(self, token: str, now: int, *, met: bool = False) -> tuple[str, Kept] | None:
        """Return the live session that a token leads to, and the token that is its own."""
        row = self.rows.get(token)
        if isinstance(row, Forward):
            if row.ends is not None and now >= row.ends and not met:
                return None
            return self.locate(row.to, now, met=met)
        if row is None or now < row.deadline:
            return None if row is None else (token, row)
        if now >= row.forget:
            del self.rows[token]
        return None

    def begin(self, token: str, now: int) -> Request:
        """Return the request that a client with this token makes."""
        found = self.locate(token, now)
        if found is None:
            return Request()
        return Request(found[0], deepcopy(found[1]), deepcopy(found[1]), followed=found[0] != token)

    def sweep(self, now: int) -> None:
        """Forget what may be forgotten."""
        self.rows = {token: row for token, row in self.rows.items() if row.forget > now}

    def finish(self, request: Request, new: str | None, now: int, *, failed: bool, lossy: bool) -> str | None:
        """Carry the request out; return the token that its session then has, "" if it ended, None if there is none.

        Args:
            new: The token that the real request was given, under which a new row comes to lie.
            failed: The handler failed: only a logout counts.
            lossy: The first reply to each write is lost.
        """
        mine, base, token = request.mine, request.base, request.token
        if failed:
            if request.ended and token is not None:
                self._kill(token, now)
                return ""
            return token
        if base is None or token is None or request.ended or request.displaced:
            if token is not None:
                self._kill(token, now)
            if (mine.data or mine.subject) and new:
                self.rows[new] = Kept(mine.data, mine.subject, mine.created, now)
                return new
            return None if token is None else ""
        begins = base.previous if not request.followed else None
        late = now >= base.forget
        changes = mine.data != base.data or begins is not None
        renews = not request.followed and now - max(base.renewed, base.created) >= RENEWAL
        if late:
            if not (request.login or request.regenerate or renews or changes):
                return token
            found = self.locate(token, now, met=True)
            if found is None and not request.login:
                return None
        if begins is not None:
            forward = self.rows.get(begins)
            if isinstance(forward, Forward) and forward.ends is None:
                forward.ends = now + GRACE
            mine.previous = None
        if request.login or request.regenerate:
            return self._move(request, token, base, new, now, lossy)
        if renews:
            return self._renew(request, token, base, new, now)
        if changes:
            row = self.rows.get(token)
            if lossy and row is not None and not (isinstance(row, Kept) and row.writes == base.writes):
                return None  # whether the first attempt landed before the other request wrote cannot be told
            return self._update(request, token, base, now)
        self._touch(token, now, base)
        return token

    def _kill(self, token: str, now: int) -> None:
        row = self.rows.pop(token, None)
        if isinstance(row, Forward):
            found = self.locate(row.to, now, met=True)
            if found is not None:
                self._kill(found[0], now)

    def _update(self, request: Request, token: str, base: Kept, now: int) -> str | None:
        met = self._meet(request, token, base, now)
        if met is None:
            return None
        at, merged = met
        there = self.rows[at]
        assert isinstance(there, Kept)
        if there.writes == base.writes or (merged.data, merged.previous) != (there.data, there.previous):
            merged.writes = there.writes + 1
            merged.used(now)
            merged.forget = max(merged.forget, there.forget)
            self.rows[at] = merged
        return at

    def _move(self, request: Request, token: str, base: Kept, new: str | None, now: int, lossy: bool) -> str | None:
        if lossy and not (request.login and base.subject is None):
            row = self.rows.get(token)
            if isinstance(row, Kept) and row.writes == base.writes:
                del self.rows[token]  # the reply is lost, and an absent record does not tell why it is absent
            return None
        met = self._meet(request, token, base, now)
        if met is None and not request.login:
            return None
        if met is None:
            merged = deepcopy(request.mine)
            if base.subject is not None:
                merged.data = {key: value for key, value in merged.data.items() if base.data.get(key) != value}
        else:
            at, merged = met
            del self.rows[at]
        if new:
            kept = Kept(merged.data, request.mine.subject if request.login else merged.subject, merged.created, now)
            kept.renewed = now
            self.rows[new] = kept
        return new

    def _renew(self, request: Request, token: str, base: Kept, new: str | None, now: int) -> str | None:
        row = self.rows.get(token)
        if isinstance(row, Forward):
            return self._update(request, token, replace(base, writes=-1), now)
        met = self._meet(request, token, base, now)
        if met is None or new is None:
            return None
        _, merged = met
        self.rows[new] = Kept(merged.data, merged.subject, merged.created, now, renewed=now, previous=token)
        self.rows[token] = Forward(new, self._forget(merged, now))
        return new

    @staticmethod
    def _forget(kept: Kept, now: int) -> int:
        return min(kept.created + ABSOLUTE, now + IDLE) + SLACK

    def _touch(self, token: str, now: int, base: Kept) -> None:
        row = self.rows.get(token)
        if isinstance(row, Kept):
            row.used(now)
        elif isinstance(row, Forward):
            row.forget = max(row.forget, self._forget(base, now))

    def _meet(self, request: Request, token: str, base: Kept, now: int) -> tuple[str, Kept] | None:
        """Return where the session is now, and what it and the request come to together; None: it is over."""
        row = self.rows.get(token)
        if isinstance(row, Kept) and row.writes == base.writes:
            merged = deepcopy(request.mine)
            merged.accessed, merged.forget, merged.writes = row.accessed, row.forget, row.writes
            return token, merged
        found = self.locate(token, now, met=True)
        if found is None:
            return None
        at, there = found
        merged = replace(there, data=_merge(base.data, request.mine.data, there.data, request.counted))
        if request.mine.created != base.created:
            merged.created = request.mine.created
        if request.mine.previous != base.previous and there.previous == base.previous:
            merged.previous = request.mine.previous
        return at, merged


def _merge(base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any], counted: int) -> dict[str, Any]:
    """Merge by what the keys mean: ``n`` is counted, ``log`` is appended to, anything else is replaced."""
    merged = dict(theirs)
    if counted:
        merged["n"] = theirs.get("n", 0) + counted
    if mine.get("log") != base.get("log"):
        merged["log"] = [*theirs.get("log", []), *mine["log"][len(base.get("log", [])) :]]
    for key in {*base, *mine} - {"n", "log"}:
        if key not in mine:
            if key in base:
                merged.pop(key, None)
        elif mine[key] != base.get(key):
            merged[key] = mine[key]
    return merged
