"""The processes and browsers of a history: a worker has a manager, a clock and connections; a browser has cookies."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, TypeAlias

from limpet.contract import Store
from limpet.events import Event
from limpet.manager import SessionManager
from limpet.policy import SessionPolicy
from limpet.protocols import Importer
from limpet.stores.cookie import CookieStore
from limpet.testing.clock import FakeClock
from limpet.testing.histories.facts import Visit
from limpet.testing.histories.handler import IDLE
from limpet.testing.histories.plans import Rules
from limpet.testing.histories.stage import Stage, SteppedRuntime
from limpet.testing.histories.watched import Watched

__all__ = ["RENEWAL", "START", "Browser", "MakeManager", "Settings", "Worker", "old_session", "policy_of"]

MakeManager: TypeAlias = Callable[..., SessionManager]
"""`SessionManager`, or something like it that is to be judged."""

RENEWAL: Final = 600
START: Final = 1_750_000_000_000
"""The true time at which every history begins, in milliseconds since 1970."""
_SECRET: Final = "of histories: gR7pT2vXq9LmZ4wKc8NsB1dH6yJ3fA5e"
_OLD_SECRET: Final = "of an old library: 4nWq8ZtYc1"


@dataclass(frozen=True, slots=True)
class Settings:
    """What all workers have in common.

    Attributes:
        note: Takes every event.
        forgets: What of an index is lost, see `Watched`.
    """

    rules: Rules
    policy: SessionPolicy
    importers: Sequence[Importer]
    store: Store
    stage: Stage
    make: MakeManager
    note: Callable[[Event], None]
    forgets: Callable[[Sequence[str]], set[str]]


class Worker:
    """One process.

    Args:
        now: What its clock shows, in milliseconds since 1970.
        clean: It is there to look: it finds everything, and renews no id.
    """

    def __init__(self, settings: Settings, now: int, *, clean: bool = False) -> None:
        rules = settings.rules
        self.clock = FakeClock(now)
        self.dead = False
        self.runtime = SteppedRuntime(settings.stage, queues=rules.queues)
        self.store = Watched(settings.store, settings.forgets if rules.forgets and not clean else None, self)
        more: dict[str, Any] = {"importers": settings.importers}
        store: Any = self.store
        if rules.mode != "server":
            kept = None if rules.mode == "none" else self.store
            store = CookieStore(revocation=rules.mode, revocation_store=kept)
            more["secret"] = _SECRET
        policy = replace(settings.policy, renewal_interval=None) if clean else settings.policy
        self.manager = settings.make(store, policy=policy, clock=self.clock, dev=False, **more)
        self.manager.runtime = self.runtime
        self.manager.listen(settings.note)
        self.visits: list[Visit] = []

    @property
    def closed(self) -> bool:
        """Everything is over."""
        return self.runtime.stage.closed

    def cut(self) -> None:
        """The process dies, and with it everything that it is doing."""
        self.dead = self.runtime.dead = True
        for visit in self.visits:
            visit.died = visit.answered is None


class Browser:
    """One browser: the cookie that it has, and those that it had."""

    def __init__(self) -> None:
        self.cookie = ""
        self.had: list[str] = []

    def keep(self, cookie: str | None) -> None:
        """Take the cookie of an answer."""
        if cookie is not None:
            self.cookie = cookie
            if cookie:
                self.had.append(cookie)

    def sends(self, stale: int) -> str:
        """Return the cookie that is sent: the present one, or one from before, as a late request or a copy has it."""
        return self.cookie if not stale or len(self.had) <= stale else self.had[-1 - stale]


def policy_of(rules: Rules) -> SessionPolicy:
    """Return the policy that goes with these rules."""
    return SessionPolicy(
        idle_timeout=IDLE,
        anonymous_timeout=None,
        touch_interval=0 if rules.touches else None,
        renewal_interval=RENEWAL if rules.renews else None,
        rotate_on=(),
        max_sessions=rules.max_sessions if rules.mode == "server" else None,
        when_full="refuse" if rules.refuses else "oldest_out",
    )


def old_session(data: Mapping[str, Any]) -> tuple[str, Sequence[Importer]]:
    """Return a cookie of another library with this data, set an hour before everything, and what reads it."""
    from itsdangerous import TimestampSigner

    from limpet.importers.starlette import StarletteCookies

    class Then(TimestampSigner):
        def get_timestamp(self) -> int:
            return START // 1000 - 3600

    body = base64.b64encode(json.dumps(data).encode())
    reader = StarletteCookies(_OLD_SECRET, until=date(2025, 7, 31), subject="user")
    return Then(_OLD_SECRET).sign(body).decode(), [reader]
