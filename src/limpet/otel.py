"""OpenTelemetry: counters of what happens to sessions, how long the store takes, spans around load and commit.

::

    from limpet.otel import instrument

    instrument(manager)

Metrics: ``limpet.events`` (a counter, by ``event``), ``limpet.store.duration`` (a histogram in seconds, by
``operation`` and ``error``). Spans: ``limpet.load``, ``limpet.commit`` and below them ``limpet.store.update`` and
so on. Neither has an id, a key, a subject or a value among its attributes: their number must not grow with visitors.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from limpet import __version__
from limpet.errors import MissingDependency
from limpet.events import Event
from limpet.manager import SessionManager
from limpet.protocols import Tracer

try:
    from opentelemetry import metrics, trace
except ModuleNotFoundError as error:
    raise MissingDependency("limpet.otel", "otel") from error

__all__ = ["instrument"]

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

    def count(event: Event) -> None:
        counter.add(1, {"event": type(event).__name__})

    manager.listen(count)
    manager.engine.tracer = _Watch(
        meter, trace.get_tracer("limpet", __version__, tracer_provider), manager.engine.tracer
    )


class _Watch:
    """The `Tracer` of an instrumented manager; ``inner`` is the one that was there before, which is told as well."""

    def __init__(self, meter: metrics.Meter, tracer: trace.Tracer, inner: Tracer | None) -> None:
        self._tracer = tracer
        self._inner = inner
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
                    labels = {"operation": operation, **({"error": failure} if failure else {})}
                    self._durations.record(time.perf_counter() - began, labels)
