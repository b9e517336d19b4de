"""What is to be done with a session at the end of a request: `decide`, a table, and the deadlines it goes by.

Pure functions: a session's state, a policy and a time in, a plan out.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

from limpet._core.policy import slack_ms
from limpet._core.record import NEVER, Contents

if TYPE_CHECKING:
    from limpet._core.policy import SessionPolicy

__all__ = [
    "Plan",
    "Situation",
    "Step",
    "absolute_deadline",
    "cookie_deadline",
    "deadline",
    "decide",
    "forget_at",
    "idle_timeout",
    "quiet_ms",
    "reach",
    "safe_ms",
]


class Step(enum.Enum):
    """The one write that a commit makes beside ending a session."""

    NOTHING = "nothing"
    TOUCH = "touch"  # move the idle deadline
    CREATE = "create"  # a first write: new id, new record
    UPDATE = "update"  # version-checked, merged on conflict
    MOVE = "move"  # new id, old one dead at once (login, regenerate)
    RENEW = "renew"  # new id, old one forwards during the grace


class Plan(NamedTuple):
    """End the record that was read (or not), then take one step."""

    end: bool
    step: Step


class Situation(NamedTuple):
    """Everything that `decide` looks at.

    Attributes:
        stored: A live record was read.
        ended: The handler called `logout` or `clear`.
        displaced: `login` of another subject took the session over.
        changed: The contents to be saved differ from those that were read.
        worth_saving: There is data or a subject: a new session would not be empty.
        new_id: `login`, `regenerate`, or a key of ``rotate_on`` changed.
        failed: The response is an error of the server and the policy drops what such a request wrote.
        renewal_due: The policy's renewal interval has passed.
        touch_due: The touch interval has passed.
    """

    stored: bool = False
    ended: bool = False
    displaced: bool = False
    changed: bool = False
    worth_saving: bool = False
    new_id: bool = False
    failed: bool = False
    renewal_due: bool = False
    touch_due: bool = False


_CHANGED: Final = Situation(stored=True, changed=True, worth_saving=True)
_UPDATE: Final = Plan(False, Step.UPDATE)


def decide(now: Situation) -> Plan:
    """Return what to do. The first row that fits, from above."""
    if now == _CHANGED:  # what most commits are about
        return _UPDATE
    create = Step.CREATE if now.worth_saving else Step.NOTHING
    if now.failed:  # an error keeps logout and drops the rest
        return Plan(now.ended and now.stored, Step.NOTHING)
    if now.ended or now.displaced:  # what is written after it begins a new session
        return Plan(now.stored, create)
    if not now.stored:
        return Plan(False, create)
    if now.new_id:
        return Plan(False, Step.MOVE)
    if now.renewal_due:
        return Plan(False, Step.RENEW)
    if now.changed:
        return Plan(False, Step.UPDATE)
    if now.touch_due:
        return Plan(False, Step.TOUCH)
    return Plan(False, Step.NOTHING)


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


def reach(contents: Contents, accessed: int, policy: SessionPolicy) -> tuple[int, int]:
    """Return when the session ends if nobody uses it after ``accessed``, and when however active it is.

    Both in milliseconds since 1970, or `NEVER`. A deadline of its own (`Session.expire_in`) takes the place of the idle
    timeout and never exceeds the absolute one.
    """
    usual = contents.authenticated is not None and not contents.remember
    idle = policy.idle_ms if usual else idle_timeout(contents, policy)
    span = policy.remember_ms if contents.remember and policy.remember_ms is not None else policy.absolute_ms
    limit = NEVER if span is None else contents.created + span
    if contents.ends is not None and contents.ends < limit:
        limit = contents.ends
    if idle is None or contents.ends is not None or accessed + idle > limit:
        return limit, limit
    return accessed + idle, limit


def absolute_deadline(contents: Contents, policy: SessionPolicy) -> int:
    """Return when the session ends however active it is, in milliseconds since 1970, or `NEVER`."""
    return reach(contents, 0, policy)[1]


def deadline(contents: Contents, accessed: int, policy: SessionPolicy) -> int:
    """Return the first moment at which the session is dead: idle or absolute, whichever is first."""
    return reach(contents, accessed, policy)[0]


def cookie_deadline(contents: Contents, accessed: int, policy: SessionPolicy) -> int:
    """Return how long a persistent cookie should last: to the absolute deadline, else to the idle one."""
    ends, limit = reach(contents, accessed, policy)
    return ends if limit == NEVER else limit


def forget_at(contents: Contents, accessed: int, policy: SessionPolicy) -> int:
    """Return the ``expires`` that a store is given: the deadline plus the slack, or `NEVER`."""
    ends, _ = reach(contents, accessed, policy)
    return NEVER if ends == NEVER else ends + slack_ms(idle_timeout(contents, policy))
