"""A FastAPI application whose session metrics Prometheus reads at /metrics.

Run it with ``LIMPET_DEV=1 uvicorn examples.monitoring.app:app``, and Prometheus with the ``prometheus.yml`` of this
folder. It needs ``pip install 'limpet[fastapi,otel]' opentelemetry-sdk opentelemetry-exporter-prometheus``.
"""

from __future__ import annotations

from fastapi import FastAPI, Response
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from limpet import SessionManager
from limpet.adapters.fastapi import SessionDep, SessionMiddleware
from limpet.otel import instrument

manager = SessionManager("sqlite:///shop.db", label="shop")
instrument(manager, meter_provider=MeterProvider([PrometheusMetricReader()]))

app = FastAPI()
app.add_middleware(SessionMiddleware, manager=manager, exclude=("/metrics",))


@app.get("/metrics")
async def metrics() -> Response:
    """Answer a scrape; keep it from the public, as by a rule of the proxy."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@app.post("/visits")
async def visit(session: SessionDep) -> int:
    """Count one more."""
    return int(session.increment("visits"))


@app.post("/login/{name}")
async def login(name: str, session: SessionDep) -> None:
    """Sign in, after a password was checked."""
    session.login(name)


@app.post("/logout")
async def logout(session: SessionDep) -> None:
    """Sign out."""
    session.logout()
