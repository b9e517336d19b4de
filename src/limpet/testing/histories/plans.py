"""What is to happen in a history, as plain data: it can be drawn at random, printed, made smaller, and run again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from limpet.testing.histories.watched import FAULTS, LASTING, Kind

__all__ = ["ENDS", "Act", "Mode", "Plan", "Rules", "draw"]

Mode: TypeAlias = Literal["server", "none", "epoch", "denylist"]
"""Sessions on a server, or in cookies with one of the revocation modes of `CookieStore`."""

ENDS: Final = ("returns", "raises", "answers 500")
"""How a handler can end. What raises is answered by something outside, which sends no cookie of ours."""

_WRITES: Final = ("set", "append", "count", "nest", "recent", "twin", "single", "unset", "constant")
_HELD: Final = ("hold", "hold", "save", "refresh", "exclusive", "push", "push", "push")
_QUIET: Final = ("ask", "read", "live")
_ENDING: Final = ("logout", "restart", "empty")
_MOVING: Final = ("login:ann", "login:ann", "login:bob", "regenerate", "tagged:ann")
_MIDDLE: Final = ("save", "refresh", "exclusive", "both", "expire")
_SLOW: Final = ("long",)
_TASKS: Final = ("save", "save", "refresh")
_MEANWHILE: Final = ("logout", "logout", "restart", "login:ann", "login:bob", "tagged:ann", "regenerate")
_GUARDED: Final = (("guard",), ("guard",), ("guard", "append"), ("regenerate",), ())
_FIRST: Final = (("logout",), ("logout",), ("restart",), ("logout", "login:ann"), ("revoke",), ("revoke", "logout"), ())
_OUTSIDE: Final = ("open", "revoke", "revoke_all:ann", "revoke_all:ann", "spare:ann", "revoke_tag", "sweep", "tick")

_SERVERS: Final[tuple[Mode, ...]] = ("server",) * 9
_COOKIES: Final[tuple[Mode, ...]] = ("none", "epoch", "denylist")


@dataclass(frozen=True, slots=True)
class Act:
    """One request of a browser, or one act of an operator.

    Attributes:
        kind: ``request``, or what an operator does.
        actor: Which browser sends it; for an operator, whose session is meant.
        worker: Which process serves it.
        steps: What the handler does.
        ends: How the handler ends.
        alone: It begins only when everything before it has ended.
        faults: What happens to which of its store calls.
        also: The session cookie of this browser is sent along, as if planted by a neighbour.
        stale: How many cookies back the one that is sent is: 0 is the browser's present one.
        old: The cookie of another library is sent, and no other, as by a copy of it.
        lazy: Its session is read when a step needs it, and not when the request begins.
        last_write: Which of its store calls is the last that changes anything, where that is known: a process that
            dies later than that leaves a browser with an id that is replaced.
    """

    kind: str = "request"
    actor: int = 0
    worker: int = 0
    steps: tuple[str, ...] = ()
    ends: str = "returns"
    alone: bool = False
    faults: Mapping[int, Kind] = field(default_factory=dict[int, Kind])
    also: int | None = None
    stale: int = 0
    old: bool = False
    lazy: bool = False
    last_write: int | None = None

    def __str__(self) -> str:
        words = [f"{self.kind} by {self.actor} on worker {self.worker}"]
        if self.lazy:
            words.append(", lazily")
        if self.steps:
            words.append(": " + ", ".join(self.steps))
        if self.ends != "returns":
            words.append(f", then {self.ends}")
        if self.stale:
            words.append(f", with the cookie of {self.stale} before")
        if self.old:
            words.append(", with the cookie of the other library")
        if self.also is not None:
            words.append(f", with the cookie of browser {self.also} too")
        if self.faults:
            words.append(f", faults {dict(self.faults)}")
        if self.alone:
            words.append(" (after everything before it)")
        return "".join(words)


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings under which a history runs.

    Attributes:
        mode: Where sessions live.
        max_sessions: Sessions that one subject may have; None: any number.
        refuses: A login over the limit is refused; else the oldest goes.
        renews: Ids are renewed every ten minutes, and every tick is longer than that.
        skew: How far each worker's clock is from the true time, in milliseconds; by worker.
        steps: Ticks move some of the clocks back and forth.
        queues: Commits in one process queue.
        forgets: The index by subject loses some of what it should find.
        imports: Browser 0 has a cookie of another library.
        touches: Every use is written down; else once a minute.
    """

    mode: Mode = "server"
    max_sessions: int | None = None
    refuses: bool = False
    renews: bool = False
    skew: tuple[int, ...] = (0, 0)
    steps: bool = False
    queues: bool = True
    forgets: bool = False
    imports: bool = False
    touches: bool = False

    @property
    def exact(self) -> bool:
        """All clocks show the true time."""
        return not any(self.skew) and not self.steps

    def __str__(self) -> str:
        plain = Rules()
        differ = [name for name in self.__slots__ if getattr(self, name) != getattr(plain, name)]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in differ) or "plain"


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole history, before it runs.

    Attributes:
        rules: The settings.
        acts: What happens, in the order in which it begins; how it goes on is the scheduler's choice.
        width: How many are under way at once.
        seed: What the scheduler draws from.
        sweeps: At the end time passes, and the store is swept: nothing may be left.
    """

    rules: Rules
    acts: tuple[Act, ...]
    width: int = 3
    seed: int = 0
    sweeps: bool = False

    def __str__(self) -> str:
        lines = [f"rules: {self.rules}; {self.width} at once; order drawn from {self.seed}"]
        return "\n".join([*lines, *(f"  {number}. {act}" for number, act in enumerate(self.acts))])


def draw(seed: int, mode: Mode | None = None) -> Plan:
    """Draw a plan; the same seed draws the same.

    Args:
        mode: Where sessions live; None: mostly on a server.
    """
    dice = random.Random(seed)  # noqa: S311 - reproducible on purpose
    rules = _rules(dice, mode)
    browsers = dice.choice((1, 1, 2, 2, 3))
    acts = [
        Act(
            actor=number, worker=number % 2, steps=(dice.choice(("login:ann", "login:ann", "set", "login:bob")), "nest")
        )
        for number in range(browsers)
    ]
    flavour = dice.choice((_WRITES, _HELD, _WRITES + _MIDDLE, _WRITES + _MOVING, _MOVING + _ENDING))
    acts.extend(_act(dice, rules, browsers, flavour) for _ in range(dice.randint(2, 7)))
    if dice.random() < 0.25 and rules.mode == "server":
        at = dice.randrange(browsers, len(acts))
        faults: dict[int, Kind] = {dice.randrange(6): dice.choice(FAULTS)}
        chosen = acts[at]
        acts[at] = Act(chosen.kind, chosen.actor, chosen.worker, chosen.steps, chosen.ends, chosen.alone, faults)
    width = dice.choice((1, 2, 2, 3, 3))
    return Plan(rules, tuple(_vary(random.Random(f"varied {seed}"), rules, acts, browsers)), width, seed)  # noqa: S311


def _rules(dice: random.Random, mode: Mode | None) -> Rules:
    drawn = dice.choice(_SERVERS + _COOKIES)
    chosen = drawn if mode is None else mode
    if chosen != "server":
        return Rules(mode=chosen, skew=(0, dice.choice((0, 0, 20_000))))
    skewed = dice.random() < 0.3
    return Rules(
        max_sessions=dice.choice((None, None, 1, 2)),
        refuses=dice.random() < 0.4,
        renews=dice.random() < 0.25,
        skew=(0, dice.choice((-300_000, -20_000, 20_000, 300_000))) if skewed else (0, 0),
        steps=dice.random() < 0.15,
        queues=dice.random() < 0.5,
        forgets=dice.random() < 0.15,
        imports=dice.random() < 0.15,
        touches=dice.random() < 0.3,
    )


def _act(dice: random.Random, rules: Rules, browsers: int, flavour: tuple[str, ...]) -> Act:
    actor, worker, alone = dice.randrange(browsers), dice.randrange(2), dice.random() < 0.3
    if dice.random() < 0.2:
        outside = _OUTSIDE + (("everyone",) if rules.mode == "server" else ()) + (("tick",) * 4 if rules.renews else ())
        kind = dice.choice((*outside, "expiry", "half", "wait") if dice.random() < 0.2 else outside)
        return Act(kind, actor, worker, alone=alone or kind == "expiry")
    steps = [dice.choice(_pool(dice, flavour)) for _ in range(dice.choice((1, 1, 2, 3, 4)))]
    return Act(
        actor=actor,
        worker=worker,
        steps=tuple(steps),
        ends=dice.choice(ENDS) if dice.random() < 0.15 else "returns",
        alone=alone,
        also=dice.randrange(browsers) if dice.random() < 0.05 else None,
        stale=dice.choice((1, 2)) if dice.random() < 0.12 else 0,
    )


def _vary(dice: random.Random, rules: Rules, acts: list[Act], browsers: int) -> list[Act]:
    """Let some acts do what is rare.

    One ends a session unread, as a job or by its public id; locks are held for long while ids change; time passes after
    a deadline was set; the store of one is gone; of two tasks of a request one saves, and the other logs in or out.

    What else was drawn stays as it is.
    """
    varied = list(acts)
    if rules.mode == "server" and dice.random() >= 0.7:
        at = dice.randrange(browsers, len(acts))
        varied[at] = _ends(dice, acts[at])
    if dice.random() < 0.1:
        guards = dice.randrange(browsers)
        for at, act in enumerate(varied[browsers:], browsers):
            if act.kind == "request" and act.actor == guards:
                varied[at] = replace(act, steps=(*act.steps, *dice.choice(_GUARDED)), alone=False)
    if dice.random() < 0.1:
        for at, act in enumerate(varied[browsers:], browsers):
            if act.kind == "request" and dice.random() < 0.5:
                varied[at] = replace(act, steps=(*act.steps, "expire"))
        varied[browsers + 1 :: 3] = [Act("wait") for _ in varied[browsers + 1 :: 3]]
    if not any(act.faults for act in acts) and dice.random() < 0.2:
        at = dice.randrange(browsers, len(acts))
        varied[at] = replace(varied[at], faults={dice.randrange(8): dice.choice(tuple(LASTING))})
        if varied[at].kind == "request" and dice.random() < 0.5:  # what it cannot finish is logged out
            varied[at] = replace(varied[at], steps=(*varied[at].steps, dice.choice(("regenerate", "login:ann"))))
            kind = "request" if rules.mode != "server" else dice.choice(("open", "request"))
            varied.insert(at + 1, Act(kind, varied[at].actor, varied[at].worker, ("logout",), lazy=True, alone=True))
    if rules.max_sessions is None and dice.random() < 0.2:
        for at, act in enumerate(varied[browsers:], browsers):
            plain = act.kind == "request" and act.ends == "returns" and not act.faults
            if plain and not {"empty", "unset"} & set(act.steps) and dice.random() < 0.5:
                step = f"task:{dice.choice(_TASKS)}:{dice.choice(_MEANWHILE)}"
                varied[at] = replace(act, steps=(*act.steps, step))
    return varied


def _ends(dice: random.Random, act: Act) -> Act:
    if act.kind == "open":
        return replace(act, steps=("logout",))
    if act.kind != "request":
        return act
    return replace(act, steps=(*dice.choice(_FIRST), *act.steps), lazy=dice.random() < 0.8)


def _pool(dice: random.Random, flavour: tuple[str, ...]) -> tuple[str, ...]:
    drawn = dice.random()
    if drawn < 0.5:
        return flavour
    if drawn < 0.7:
        return _WRITES
    return dice.choice((_QUIET, _MOVING, _ENDING, _MIDDLE)) if drawn < 0.98 else _SLOW
