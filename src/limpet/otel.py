"""OpenTelemetry: counters of what happens to sessions, how long the store takes, spans around load and commit.

::

    from limpet.otel import instrument

    instrument(manager)

Metrics: ``limpet.events`` (a counter, by ``event``), ``limpet.store.duration`` (a histogram in seconds, by
``operation`` and ``error``), ``limpet.store.records`` (a gauge: about how many records the store has). Spans:
``limpet.load``, ``limpet.commit`` and below them ``limpet.store.update`` and so on. Each metric has the manager's label
as ``manager``. Nothing has an id, a key, a subject or a value among its attributes: their number must not grow with
visitors.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Final

from limpet import __version__, events
from limpet._inline import Inline
from limpet.contract import Counts, supports
from limpet.errors import MissingDependency, StoreUnavailable
from limpet.events import Event
from limpet.manager import SessionManager
from limpet.protocols import Tracer

try:
    from opentelemetry import metrics, trace
except ModuleNotFoundError as _error:
    raise MissingDependency("limpet.otel", "otel") from _error

__all__ = ["instrument"]

_EVENTS: Final = sorted(
    name
    for name, kind in vars(events).items()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
)
_BUCKETS: Final = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0]


def instrument(
    manager: SessionManager,
    *,
    meter_provider: metrics.MeterProvider | None = None,
    tracer_provider: trace.TracerProvider | None = None,
) -> None:
    """Let a manager report to OpenTelemetry, beside whatever else watches it (`limpet.admin.Admin`).

    Args:
        manager: Whose sessions.
        meter_provider: Where metrics go; None: the global one.
        tracer_provider: Where spans go; None: the global one.
    """
    meter = metrics.get_meter("limpet", __version__, meter_provider)
    counter = meter.create_counter("limpet.events", unit="{event}", description="What happened to sessions")
    label = {"manager": manager.label}
    for name in _EVENTS:  # a rate over a counter that begins with its first event does not see that one
        counter.add(0, {"event": name, **label})

    def count(event: Event) -> None:
        counter.add(getattr(event, "count", 1), {"event": type(event).__name__, **label})

    manager.listen(count)
    tracer = trace.get_tracer("limpet", __version__, tracer_provider)
    manager.engine.tracer = watch = _Watch(meter, tracer, manager.engine.tracer, label)
    if manager.kept is not None and supports(manager.kept, Counts):
        records = _Records(manager, manager.kept, label)
        watch.seen = records.note_loop
        meter.create_observable_gauge(
            "limpet.store.records",
            [records.observe],
            unit="{record}",
            description="About how many records the session store has, marks and expired ones included",
        )


class _Records:
    """The last count of a store. Whoever collects metrics gets it and lets it be renewed, on the event loop."""

    def __init__(self, manager: SessionManager, store: Counts, label: Mapping[str, str]) -> None:
        self._manager = manager
        self._store = store
        self._label = label
        self._loop: asyncio.AbstractEventLoop | None = None
        self._count: int | None = None
        self._counting = False

    def note_loop(self) -> None:
        """Remember the event loop that calls the store."""
        if self._loop is None:
            with suppress(RuntimeError):  # there is none
                self._loop = asyncio.get_running_loop()

    def observe(self, options: metrics.CallbackOptions) -> list[metrics.Observation]:
        """Return the last count, and begin the next one; any thread may ask."""
        loop = self._loop
        if loop is not None and not loop.is_closed() and not self._counting:
            self._counting = True
            with suppress(RuntimeError):  # it was closed this moment
                loop.call_soon_threadsafe(self._begin)
        return [] if self._count is None else [metrics.Observation(self._count, self._label)]

    def _begin(self) -> None:
        if not isinstance(self._manager.runtime, Inline):
            self._manager.runtime.spawn(self._renew())

    async def _renew(self) -> None:
        try:
            self._count = await self._manager.engine.storage.call("count", self._store.count())
        except StoreUnavailable:
            self._count = None  # no number is better than an old one; the failure is an event
        finally:
            self._counting = False


class _Watch:
    """The `Tracer` of an instrumented manager; ``inner`` is the one that was there before, which is told as well."""

    def __init__(
        self, meter: metrics.Meter, tracer: trace.Tracer, inner: Tracer | None, label: Mapping[str, str]
    ) -> None:
        self._tracer = tracer
        self._inner = inner
        self._label = label
        self.seen: Callable[[], None] | None = None
        self._durations = meter.create_histogram(
            "limpet.store.duration",
            unit="s",
            description="How long one call of the session store took",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )

    def step(self, name: str) -> AbstractContextManager[None]:
        """Return what surrounds one step."""
        return self._step(name)

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        kind, _, operation = name.partition(".")
        began, failure = time.perf_counter(), ""
        if self.seen is not None:
            self.seen()
        # What an error says may quote a key or a host: only its class is recorded.
        with (
            nullcontext() if self._inner is None else self._inner.step(name),
            self._tracer.start_as_current_span(
                f"limpet.{name}", record_exception=False, set_status_on_exception=False
            ) as span,
        ):
            try:
                yield
            except BaseException as error:
                failure = type(error).__name__
                span.set_status(trace.StatusCode.ERROR, failure)
                raise
            finally:
                if kind == "store":
                    labels = {"operation": operation, "error": failure, **self._label}
                    self._durations.record(time.perf_counter() - began, labels)
