"""OpenTelemetry: what the real SDK gets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from limpet import Session, SessionManager, StoreUnavailable
from limpet.admin import Admin
from limpet.otel import instrument
from limpet.stores.redis import RedisStore
from limpet.stores.sqlite import SQLiteStore
from limpet.testing import async_client
from tests.core.test_events import FailingStore
from tests.servers.valkey import ValkeyServer
from tests.site import Site, look, opened


class Telemetry:
    """Providers that keep what they get."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))

    def watch(self, manager: SessionManager) -> None:
        """Instrument a manager."""
        instrument(manager, meter_provider=self.meters, tracer_provider=self.tracers)

    def points(self, name: str) -> list[Any]:
        """Return the data points of a metric."""
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def close(self) -> None:
        """End the providers."""
        self.meters.shutdown()
        self.tracers.shutdown()


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Providers of this test alone."""
    telemetry = Telemetry()
    yield telemetry
    telemetry.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_counters_durations_and_spans(kind: str, telemetry: Telemetry, tmp_path: Path) -> None:
    """Logins are counted, store calls are timed, and a commit's span holds those of its store calls."""
    async with opened(kind, tmp_path) as site:
        telemetry.watch(site.manager)
        cookies = [await site.login("ann") for _ in range(3)]
        assert await site.whose(cookies[0]) == "ann"
    counted = {point.attributes["event"]: point.value for point in telemetry.points("limpet.events") if point.value}
    assert counted == {"SessionCreated": 3, "SessionLoggedIn": 3}
    timed = {point.attributes["operation"]: point for point in telemetry.points("limpet.store.duration")}
    assert timed["create"].count == 3
    assert 0 < timed["create"].sum < 5
    spans = telemetry.exporter.get_finished_spans()
    [load] = [span for span in spans if span.name == "limpet.load" and id_of(span) in parents(spans)]
    commits = {id_of(span) for span in spans if span.name == "limpet.commit"}
    creates = [span for span in spans if span.name == "limpet.store.create"]
    assert len(creates) == 3
    assert all(span.parent is not None and span.parent.span_id in commits for span in creates)
    assert load.status.status_code is StatusCode.UNSET


def id_of(span: ReadableSpan) -> int:
    """Return the id of a span."""
    assert span.context is not None
    return int(span.context.span_id)


def parents(spans: Any) -> set[int]:
    """Return the ids of the spans that others are below."""
    return {span.parent.span_id for span in spans if span.parent is not None}


async def test_failures_are_told_apart(telemetry: Telemetry) -> None:
    """A store call that failed has the class of its error as a label, and an error span without its message."""
    store = FailingStore()
    site = Site(SessionManager(store, dev=False))
    telemetry.watch(site.manager)
    cookie = await site.login("ann")
    store.failing = True
    with pytest.raises(StoreUnavailable):
        await site.manager.load(site.begin(cookie))
    points = telemetry.points("limpet.store.duration")
    [failed] = [point for point in points if point.attributes["error"]]
    assert dict(failed.attributes) == {"operation": "load", "error": "StoreUnavailable", "manager": "default"}
    [span] = [span for span in telemetry.exporter.get_finished_spans() if span.name == "limpet.store.load"][-1:]
    assert span.status.status_code is StatusCode.ERROR
    assert span.events == ()


async def test_a_server_that_hangs_is_no_client_that_went_away(telemetry: Telemetry, own_valkey: ValkeyServer) -> None:
    """Calls that ran out of time are told as `StoreUnavailable`, whoever's limit it was; what a client that went away
    took back is a cancellation."""
    site = Site(RedisStore(own_valkey.url), store_timeout=0.3)
    site.manager.use_running_loop()
    telemetry.watch(site.manager)
    cookie = await site.login("ann")

    def write(session: Session) -> None:
        own_valkey.freeze()
        session["n"] = 1

    try:
        for handler in (write, look):  # a write that hangs, and a read
            with pytest.raises(StoreUnavailable):
                await site.run(handler, cookie)
        late = failed(telemetry)
        gone = asyncio.create_task(site.run(look, cookie))
        await asyncio.sleep(0.1)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
    finally:
        own_valkey.thaw()
    assert late == {("update", "StoreUnavailable"), ("load", "StoreUnavailable")}
    assert failed(telemetry) - late == {("load", "CancelledError")}
    await site.manager.shutdown()


def failed(telemetry: Telemetry) -> set[tuple[str, str]]:
    """Return the operations that failed, with their errors."""
    points = telemetry.points("limpet.store.duration")
    return {(point.attributes["operation"], point.attributes["error"]) for point in points if point.attributes["error"]}


async def test_labels_hold_no_ids(telemetry: Telemetry, tmp_path: Path) -> None:
    """However many visitors there are, the labels stay the same few: no id, no subject."""
    async with opened("memory", tmp_path) as site:
        telemetry.watch(site.manager)
        for number in range(20):
            cookie = await site.login(f"user{number}")
            await site.run(lambda session: session.update(a=1), cookie)
    labels = [dict(point.attributes) for point in telemetry.points("limpet.events") if point.value]
    assert labels == [{"event": name, "manager": "default"} for name in ("SessionCreated", "SessionLoggedIn")]
    assert all(not span.attributes for span in telemetry.exporter.get_finished_spans())


@pytest.mark.parametrize("first", ["admin", "otel"])
async def test_it_watches_beside_the_admin_page(first: str, telemetry: Telemetry, tmp_path: Path) -> None:
    """Whichever comes first, both see every call of the store once."""
    async with opened("memory", tmp_path) as site:
        if first == "otel":
            telemetry.watch(site.manager)
        page = Admin(site.manager, allow=lambda request: True)
        if first == "admin":
            telemetry.watch(site.manager)
        await site.login("ann")
        async with async_client(page) as operator:
            shown = (await operator.get("/")).text
    assert re.search(r'id="total-logins"[^>]*>\s*1\s*<', shown)
    creates = [span for span in telemetry.exporter.get_finished_spans() if span.name == "limpet.store.create"]
    assert len(creates) == 1
    [timed] = [one for one in telemetry.points("limpet.store.duration") if one.attributes["operation"] == "create"]
    assert timed.count == 1


async def test_the_number_of_records(telemetry: Telemetry, tmp_path: Path) -> None:
    """Each collection shows the count that the one before it has begun, with the manager's label; an outage shows
    none."""
    manager = SessionManager(SQLiteStore(tmp_path / "s.db"), dev=False, label="shop")
    manager.use_running_loop()
    site = Site(manager)
    telemetry.watch(manager)
    assert telemetry.points("limpet.store.records") == []
    for number in range(5):
        await site.login(f"user{number}")
    for expected in ([], [5]):
        points = telemetry.points("limpet.store.records")
        assert [point.value for point in points] == expected
        await asyncio.sleep(0.2)
    assert dict(points[0].attributes) == {"manager": "shop"}
    await manager.shutdown()


async def test_zero_is_exported(telemetry: Telemetry) -> None:
    """Every event has a counter from the start, so that a rate sees the first one."""
    telemetry.watch(SessionManager("memory:", dev=False))
    names = {point.attributes["event"] for point in telemetry.points("limpet.events")}
    assert {"StoreFailed", "WriteAfterEnd", "SessionReused", "RevocationSeen"} <= names
    assert "Event" not in names
