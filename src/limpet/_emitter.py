"""What a manager tells of itself: events to listeners and to the log, what it does and how long to a tracer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from limpet import events
from limpet._bounded_log import BoundedLog, Tally
from limpet.errors import ConfigurationError
from limpet.protocols import Runtime, Tracer

__all__ = ["Emitter"]

T = TypeVar("T")
log = logging.getLogger("limpet")

_TAG: Final = 8  # digits of a store key that tell sessions apart in a log, and are useless as a key


class Emitter:
    """Sends events and traces, and logs what an operator would look for.

    Args:
        clock: Returns milliseconds since 1970.
        runtime: Runs listeners that are coroutines.
        monotonic: Returns nanoseconds, for the rate of log messages.
        beside: Returns the runtime of threads in a call that blocks, None elsewhere.

    Attributes:
        tracer: Told of each load, commit and store call as it runs, such as `limpet.otel` makes one.
        log: Writes to the log, at a bounded rate.
        describe: Returns what is to be known of a client; None: nothing is.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        runtime: Runtime,
        monotonic: Callable[[], int],
        beside: Callable[[], Runtime | None],
    ) -> None:
        self.clock = clock
        self.log: BoundedLog = BoundedLog(monotonic)
        self.describe: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None
        self._runtime = runtime
        self._beside = beside
        self.tracer: Tracer | None = None
        self._listeners: list[events.Listener] = []
        self._unknown = Tally(monotonic)

    @property
    def runtime(self) -> Runtime:
        """What is needed of an event loop here: of the one that was set, or of threads in a call that blocks."""
        return self._beside() or self._runtime

    @runtime.setter
    def runtime(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def blocks(self) -> bool:
        """Whether this is a call that blocks: nothing goes on in the background there."""
        return self._beside() is not None

    def listen(self, listener: events.Listener) -> events.Listener:
        """Call ``listener`` with every event from now on; usable as a decorator. It can never break a request.

        Raises:
            ConfigurationError: It cannot be called.
        """
        if not callable(listener):
            raise ConfigurationError(f"listen takes a function that takes an event, not {listener!r}")
        self._listeners.append(listener)
        return listener

    def emit(self, kind: type[events.Event], key: str | None = None, **facts: Any) -> None:
        """Tell the listeners, and the log."""
        logged = events.LOGGED.get(kind)
        if logged is not None:
            level, message, shown = logged
            said = ("not said" if facts[name] is None else facts[name] for name in shown)
            self.log.write(level, kind.__name__, message, key[:_TAG] if key else "-", *said)
        if not self._listeners:
            return
        by, why = events.ACTOR.get()
        client = events.CLIENT.get()
        device = None if client is None or self.describe is None else self.describe(client)
        tag = key[:_TAG] if key else None
        event = kind(at=self.clock(), tag=tag, **{"by": by, "why": why, "device": device, **facts})
        for listener in self._listeners:
            try:
                waiting = listener(event)
                if waiting is not None:
                    self.runtime.spawn(waiting, facts)
            except Exception:
                log.exception("a listener for %s failed", kind.__name__)

    def note_unknown(self, key: str | None = None) -> None:
        """Note that an id came that no session has; at most once in ten seconds, the listeners are told.

        Args:
            key: The store key; None: it was never handed out under a secret that is known here.
        """
        counts = self._unknown.add(count=1, forged=int(key is None))
        if counts is not None:
            self.emit(events.UnknownId, key, **counts)

    async def traced(self, name: str, call: Awaitable[T]) -> T:
        """Await the call under the tracer's eyes."""
        assert self.tracer is not None
        with self.tracer.step(name):
            return await call
