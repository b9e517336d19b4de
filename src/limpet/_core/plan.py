"""What is to be done with a session at the end of a request: `decide`, and the deadlines it goes by.

Pure functions: the state of a session, rules and a time in, a plan out. They change nothing and can be asked twice.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from limpet import _flashes as flashes
from limpet._core.state import (
    ACCESSED,
    CROSS_SITE,
    DISPLACED,
    EAGER,
    ENDED,
    EXPOSED,
    FORWARDED,
    FROZEN,
    LOGIN,
    OTHER_CLIENT,
    OVER,
    PASSIVE,
    PREDECESSORS_ENDED,
    REGENERATE,
    RESTYLED,
    UNPROVEN,
    WATCHED,
    WRITTEN,
    SessionState,
    View,
)
from limpet._moments import slack_ms
from limpet._wire.record import Contents
from limpet.contract import NEVER

if TYPE_CHECKING:
    from limpet.policy import SessionPolicy

__all__ = [
    "NO_PLAN",
    "Plan",
    "Rules",
    "Step",
    "absolute_deadline",
    "cookie_slides",
    "deadline",
    "deadline_moves",
    "decide",
    "forget_at",
    "idle_timeout",
    "is_over",
    "is_quiet",
    "max_age",
    "reach",
    "rotation_of",
]


class Step(enum.Enum):
    """The one change that a commit makes beside ending a session; a new id takes several calls of the store.

    A write of a session whose renewal is due is a `RENEW`, and one with a login or a new id a `MOVE`, not an `UPDATE`.
    """

    NOTHING = "nothing"
    DROP = "drop"  # what was written goes nowhere: somebody else ended the session
    TOUCH = "touch"  # move the idle deadline
    CREATE = "create"  # a first write: new id, new record
    UPDATE = "update"  # version-checked, merged on conflict
    EMPTY = "empty"  # the last key is gone: end the session, unless others put something into it meanwhile
    MOVE = "move"  # new id; the old one ends when the response starts (login, regenerate)
    RENEW = "renew"  # new id, old one forwards during the grace


class Plan:
    """End what the request came with (or not), then take one step. Nothing changes one.

    Attributes:
        end: End the session that was read, and every other that was presented.
        step: What is written after that.
        payload: The contents as they are to be written; b"" if they were not encoded.
        rotates: What happened to the keys of ``rotate_on``: ``"appeared"``, ``"changed"`` or ``"gone"``; None: nothing.
        grace: The key of the forward record whose grace begins, as the new id has come back; None: none.
    """

    __slots__ = ("end", "grace", "payload", "rotates", "step")

    def __init__(
        self, end: bool, step: Step, payload: bytes = b"", rotates: str | None = None, grace: str | None = None
    ) -> None:
        self.end: bool = end
        self.step: Step = step
        self.payload: bytes = payload
        self.rotates: str | None = rotates
        self.grace: str | None = grace

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self.row() == other.row()

    def __hash__(self) -> int:
        return hash(self.row())

    def row(self) -> tuple[bool, Step, bytes, str | None, str | None]:
        """Return what it says, in order."""
        return self.end, self.step, self.payload, self.rotates, self.grace


NO_PLAN: Final = Plan(False, Step.NOTHING)


class Rules:
    """What a policy comes to for `decide`, computed once.

    Attributes:
        policy: The policy.
        rotate_on: Its keys that stand for a login.
        renewal_ms: Its renewal interval in milliseconds, or None.
        quiet_ms: No session is due for a touch so long after its last noted use.
        safe_idle: A session without a deadline of its own is alive that was used so lately ...
        safe_age: ... and began so lately.
        is_server_side: Sessions are kept by a store.
        persistent: Cookies carry a Max-Age; ``"remembered"``: only after a login with ``remember=True``.
        cookie: The attributes that cookies go out with, see `CookiePolicy.fingerprint`.
    """

    __slots__ = (
        "cookie",
        "is_server_side",
        "persistent",
        "policy",
        "quiet_ms",
        "renewal_ms",
        "rotate_on",
        "safe_age",
        "safe_idle",
    )

    def __init__(
        self,
        policy: SessionPolicy,
        *,
        is_server_side: bool,
        persistent: bool | Literal["remembered"],
        cookie: str | None = None,
    ) -> None:
        self.policy: SessionPolicy = policy
        self.rotate_on: frozenset[str] = frozenset(policy.rotate_on)
        self.renewal_ms: int | None = policy.renewal_interval_ms if is_server_side else None
        self.quiet_ms: int = quiet_ms(policy)
        self.safe_idle: int
        self.safe_age: int
        self.safe_idle, self.safe_age = safe_ms(policy)
        self.is_server_side: bool = is_server_side
        self.persistent = persistent
        self.cookie: str | None = cookie

    def lasts(self, contents: Contents) -> bool:
        """Tell whether the cookie of this session survives the closing of the browser."""
        return self.persistent is True or (self.persistent == "remembered" and contents.remember)


_NAMES: Final = ("id", "sub", "user_id", "uid", "pk", "username", "email")  # what names a person inside of a dict
_WROTE: Final = WRITTEN | EXPOSED


def is_quiet(state: SessionState, rules: Rules, clock: Callable[[], int]) -> bool:
    """Tell whether a commit would find nothing to do: nothing noted, no container lent to the handler, nothing due.

    The answer for most requests, without making a plan.
    """
    if state.loaded:
        return True  # nothing has read it
    usual = ACCESSED | FORWARDED | PASSIVE | PREDECESSORS_ENDED | EAGER | OTHER_CLIENT
    if state.flags & ~usual or state.leaving is not None or state.legacy is not None:
        return False
    stored, draft = state.stored, state.draft
    if stored is None or draft is None:
        return True
    now = clock()
    if now - stored.record.accessed >= rules.quiet_ms and not state.flags & PASSIVE:
        return False
    if state.flags & FORWARDED:
        return True
    if draft.cookie != rules.cookie and state.flags & ACCESSED:
        return False
    interval = rules.renewal_ms
    return draft.previous is None and (interval is None or now - max(draft.renewed or 0, draft.created) < interval)


def decide(
    state: SessionState,
    rules: Rules,
    now: int,
    pack: Callable[[SessionState], bytes],
    same: Callable[[bytes, bytes], bool],
    base: Callable[[SessionState], Mapping[str, Any]],
    *,
    failed: bool = False,
) -> Plan:
    """Return what to do: the first row that fits, from above.

    Args:
        pack: Encodes what is to be saved.
        same: Tells whether two payloads hold equal contents.
        base: Returns the keys and values as they were read.
        failed: The response is an error of the server and the policy drops what such a request wrote.
    """
    flags, stored, draft = state.flags, state.stored, state.draft
    if failed:  # an error keeps a logout and drops the rest
        return Plan(True, Step.NOTHING) if flags & ENDED else NO_PLAN
    if flags & OVER or (flags & (CROSS_SITE | UNPROVEN) and stored is None and not flags & ENDED):
        wrote = flags & _WROTE and draft is not None and (state.data or state.subject is not None)
        return Plan(bool(flags & ENDED), Step.DROP if wrote else Step.NOTHING)
    payload, worth = b"", False
    if flags & (_WROTE | LOGIN | RESTYLED) and draft is not None:
        payload = pack(state)
        worth = bool(draft.data) or state.subject is not None or bool(flags & EAGER) or _shows(state.views)
    if flags & ENDED or stored is None or draft is None:  # what is written after a logout begins a new session
        if not worth or draft is None or not payload:
            return Plan(bool(flags & ENDED), Step.NOTHING)
        rotates = None
        if flags & WATCHED:  # what moves in with the session is no login
            rotates = rotation_of(rules.rotate_on, {} if flags & ENDED else base(state), draft.data)
        return Plan(bool(flags & ENDED), Step.CREATE, payload, rotates)
    changed = bool(payload) and not same(payload, stored.record.payload)
    rotates = rotation_of(rules.rotate_on, base(state), draft.data) if changed and flags & WATCHED else None
    if state.phase:
        rotates = None  # no new id can be handed out any more
    if changed and not worth and not flags & (LOGIN | DISPLACED) and _is_emptied(base(state)):
        return Plan(False, Step.EMPTY, payload, rotates)
    grace = draft.previous if not flags & FORWARDED and stored.raw else None
    if flags & LOGIN and flags & EAGER and not flags & REGENERATE:
        return Plan(False, Step.UPDATE, payload, None, grace)
    if flags & (LOGIN | REGENERATE | DISPLACED) or rotates is not None:
        return Plan(False, Step.MOVE, payload, rotates, grace)
    if not state.phase and _renewal_due(state, rules, draft, now):
        return Plan(False, Step.RENEW, payload, None, grace)
    if changed or grace is not None:
        return Plan(False, Step.UPDATE, payload, None, grace)
    if _touch_due(state, rules, now):
        return Plan(False, Step.UPDATE if flags & PREDECESSORS_ENDED else Step.TOUCH, payload)
    return Plan(False, Step.NOTHING, payload)


def _shows(views: Mapping[str, View] | None) -> bool:
    """Tell whether a typed object was changed, and so is to be stored."""
    return views is not None and any(view.dump(view.value) != view.before for view in views.values())


def _is_emptied(before: Mapping[str, Any]) -> bool:
    """Tell whether what was read held a key of the application's: no ``_`` in front, and no messages of a package."""
    return any(not key.startswith("_") and key not in flashes.RULES for key in before)


def rotation_of(keys: frozenset[str], before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Tell what happened to the identity that these keys stand for; None: it is the same.

    It changes when a key appears or goes, or when a scalar differs. A change inside of a container is one of data,
    unless it is of what names a person there, such as ``id`` or ``sub``.
    """
    appeared = changed = gone = False
    for key in keys:
        was, is_ = before.get(key), after.get(key)
        if was is None or is_ is None:
            appeared = appeared or (was is None and is_ is not None)
            gone = gone or (is_ is None and was is not None)
        elif type(was) in FROZEN or type(is_) in FROZEN:
            changed = changed or type(was) is not type(is_) or was != is_
        elif isinstance(was, dict) and isinstance(is_, dict):
            changed = changed or any(was.get(name) != is_.get(name) for name in _NAMES)
    if appeared:
        return "appeared"
    if changed:
        return "changed"
    return "gone" if gone else None


def _renewal_due(state: SessionState, rules: Rules, draft: Contents, now: int) -> bool:
    interval = rules.renewal_ms
    if interval is None or state.flags & FORWARDED or not state.flags & ACCESSED or state.leaving is not None:
        return False
    if state.created is not None:  # that id has not gone out
        return False
    if state.stored is None or not state.stored.raw:  # only the id itself can open what leads from it to the new one
        return False
    return now - max(draft.renewed or 0, draft.created) >= interval


def _touch_due(state: SessionState, rules: Rules, now: int) -> bool:
    stored = state.stored
    if not rules.policy.rolling or state.flags & PASSIVE or stored is None or state.draft is None:
        return False
    if (rules.is_server_side and not stored.raw) or not deadline_moves(state, rules, now):
        return False
    return bool(state.flags & ACCESSED) or not cookie_slides(state.draft, rules, now)


def deadline_moves(state: SessionState, rules: Rules, now: int) -> bool:
    """Tell whether a use now moves the idle deadline by as much as is worth writing down."""
    stored, draft = state.stored, state.draft
    if stored is None or draft is None or draft.ends is not None:
        return False
    idle = idle_timeout(draft, rules.policy)
    interval = None if idle is None else rules.policy.touch_after(idle)
    return interval is not None and now - stored.record.accessed >= interval


def cookie_slides(draft: Contents, rules: Rules, now: int) -> bool:
    """Tell whether a use moves the cookie's own deadline, so that the cookie must be sent again."""
    if not rules.is_server_side:
        return True
    ends, limit, _ = reach(draft, now, rules.policy)
    return limit == NEVER and ends != NEVER and rules.lasts(draft)


def is_over(contents: Contents, accessed: int, rules: Rules, now: int) -> bool:
    """Judge a session by its deadlines; those of nearly every session need not be computed for that."""
    if now - accessed < rules.safe_idle and now - contents.created < rules.safe_age and contents.ends is None:
        return False
    return now >= deadline(contents, accessed, rules.policy)


def quiet_ms(policy: SessionPolicy) -> int:
    """Return for how long after its last noted use no session of this policy is due for a touch, in milliseconds."""
    if not policy.rolling:
        return NEVER
    timeouts = (policy.idle_ms, policy.anonymous_ms, policy.remember_ms)
    intervals = [policy.touch_after(timeout) for timeout in timeouts]
    return min((interval for interval in intervals if interval is not None), default=NEVER)


def safe_ms(policy: SessionPolicy) -> tuple[int, int]:
    """Return the shortest idle timeout and the shortest life of this policy, in milliseconds, or `NEVER`.

    A session without a deadline of its own that is younger, and was used more lately, is alive whatever it is.
    """
    idle = [span for span in (policy.idle_ms, policy.anonymous_ms, policy.remember_ms) if span is not None]
    life = [span for span in (policy.absolute_ms, policy.remember_ms) if span is not None]
    return min(idle, default=NEVER), min(life, default=NEVER)


def idle_timeout(contents: Contents, policy: SessionPolicy) -> int | None:
    """Return the idle timeout that holds for these contents, in milliseconds, or None."""
    if contents.remember and policy.remember_ms is not None:
        return policy.remember_ms
    if contents.authenticated is None and policy.anonymous_ms is not None:
        return policy.anonymous_ms if policy.idle_ms is None else min(policy.idle_ms, policy.anonymous_ms)
    return policy.idle_ms


def reach(contents: Contents, accessed: int, policy: SessionPolicy) -> tuple[int, int, int | None]:
    """Return when a session ends that is not used after ``accessed``, when however active it is, and its idle timeout.

    In milliseconds, the deadlines since 1970; `NEVER` and None: there is none. A deadline of its own
    (`Session.expire_in`) takes the place of the idle timeout and never exceeds the absolute one.
    """
    usual = contents.authenticated is not None and not contents.remember
    idle = policy.idle_ms if usual else idle_timeout(contents, policy)
    span = policy.remember_ms if contents.remember and policy.remember_ms is not None else policy.absolute_ms
    limit = NEVER if span is None else contents.created + span
    if contents.ends is not None and contents.ends < limit:
        limit = contents.ends
    if idle is None or contents.ends is not None or accessed + idle > limit:
        return limit, limit, idle
    return accessed + idle, limit, idle


def absolute_deadline(contents: Contents, policy: SessionPolicy) -> int:
    """Return when the session ends however active it is, in milliseconds since 1970, or `NEVER`."""
    return reach(contents, 0, policy)[1]


def deadline(contents: Contents, accessed: int, policy: SessionPolicy) -> int:
    """Return the first moment at which the session is dead: idle or absolute, whichever is first."""
    return reach(contents, accessed, policy)[0]


def max_age(contents: Contents, accessed: int, now: int, rules: Rules) -> int | None:
    """Return the seconds that the client should keep a token, or None for a browser session.

    A cookie that outlives the browser lasts to the absolute deadline, else to the idle one.
    """
    if not rules.lasts(contents):
        return None
    idle, limit, _ = reach(contents, accessed, rules.policy)
    ends = idle if limit == NEVER else limit
    return None if ends == NEVER else max(1, (ends - now + 999) // 1000)


def forget_at(contents: Contents, accessed: int, policy: SessionPolicy) -> int:
    """Return the ``expires`` that a store is given: the deadline plus the slack, or `NEVER`."""
    ends, _, idle = reach(contents, accessed, policy)
    return NEVER if ends == NEVER else ends + slack_ms(idle)
