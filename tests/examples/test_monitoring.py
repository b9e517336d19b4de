"""The Prometheus example runs, and its alert rules and dashboard ask for nothing that is not exported."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families

from limpet import events
from tests.servers.process import ServerProcess, free_port, scratch_folder, wait_until

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "monitoring"
SELECTOR = re.compile(r"\b(limpet_[a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|=|!=|!~)\s*"([^"]*)"')


@pytest.fixture(scope="module")
def exported() -> Iterator[dict[str, list[dict[str, str]]]]:
    """Return the samples of the running example, by name: the labels of each."""
    port, folder = free_port(), scratch_folder("monitoring")
    command = ["/usr/bin/env", "LIMPET_DEV=1", sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT)]
    server = ServerProcess([*command, "examples.monitoring.app:app", "--port", str(port)], folder)
    server.start()
    base = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: "running on" in server.log.read_text(), "the start of the server", 60)
        with httpx.Client(base_url=base) as browser:
            for path in ("/visits", "/login/ann", "/visits", "/logout"):
                assert browser.post(path).status_code == 200, server.log.read_text()
            assert browser.post("/visits").json() == 1
        deadline = time.monotonic() + 20
        found: dict[str, list[dict[str, str]]] = {}
        while "limpet_store_records" not in found and time.monotonic() < deadline:
            answer = httpx.get(f"{base}/metrics")
            assert "set-cookie" not in answer.headers
            found = {}
            for family in text_string_to_metric_families(answer.text):
                for sample in family.samples:
                    found.setdefault(sample.name, []).append({**sample.labels, "": str(sample.value)})
        yield found
    finally:
        server.kill()


def asked() -> list[tuple[str, str]]:
    """Return all expressions, with what asks for them."""
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    found = [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]
    board = json.loads((FOLDER / "dashboard.json").read_text())
    found += [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]
    found += [(one["name"], one["query"]["query"]) for one in board["templating"]["list"] if one["type"] == "query"]
    return found


def test_metrics_are_exported(exported: dict[str, list[dict[str, str]]]) -> None:
    """Events, durations and the number of records, each with the manager's label and what happened."""
    values = {one["event"]: float(one[""]) for one in exported["limpet_events_total"]}
    assert (values["SessionLoggedIn"], values["SessionLoggedOut"], values["StoreFailed"]) == (1, 1, 0)
    assert values["SessionCreated"] == 2
    (records,) = exported["limpet_store_records"]
    assert float(records[""]) >= 1
    names = ("limpet_events_total", "limpet_store_duration_seconds_bucket", "limpet_store_records")
    assert all(one["manager"] == "shop" for name in names for one in exported[name])


@pytest.mark.parametrize(("who", "expression"), asked())
def test_what_is_asked_for_is_there(exported: dict[str, list[dict[str, str]]], who: str, expression: str) -> None:
    """Each metric, label and event in a rule or a panel is one that the example exports."""
    selectors = SELECTOR.findall(expression)
    assert selectors, f"{who} asks for nothing of ours"
    kinds = {name for name, kind in vars(events).items() if isinstance(kind, type)}
    for name, matchers in selectors:
        assert name in exported, f"{who} asks for {name}, which is not exported"
        labels = set().union(*exported[name])
        for label, _, value in MATCHER.findall(matchers):
            assert label in labels, f"{who} asks for the label {label} of {name}"
            if label == "event":
                assert set(value.split("|")) <= kinds, f"{who} asks for an event that there is not: {value}"
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        known = {label for name, _ in selectors for one in exported[name] for label in one}
        assert {label.strip() for label in grouped.split(",")} <= known


def test_the_files_are_of_their_kinds() -> None:
    """Prometheus reads the rules; a rule says how bad it is and what it means. Grafana finds places and ids."""
    configuration: Any = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert configuration["rule_files"] == ["alerts.yml"]
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
    for rule in rules:
        assert rule["labels"]["severity"] in {"page", "ticket", "info"}
        assert rule["annotations"]["summary"]
        assert rule["expr"].count("(") == rule["expr"].count(")")
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    grids = [panel["gridPos"] for panel in panels]
    places = {(at["x"] + x, at["y"] + y) for at in grids for x in range(at["w"]) for y in range(at["h"])}
    assert len(places) == sum(at["w"] * at["h"] for at in grids), "panels overlap"
