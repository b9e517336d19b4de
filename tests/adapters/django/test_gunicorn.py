"""A Django application under a real gunicorn, with threads and with gevent, forked after its store was opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wsgi.killing import kill_and_replace
from tests.wsgi.test_gunicorn import FOUR, GEVENT, THREADS, count_and_log_out, log_in
from tests.wsgi.test_threads import url_of
from tests.wsgi.workers import serving

SERVED = "tests.adapters.django_workers:app"


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        pytest.param("redis", GEVENT, marks=pytest.mark.long),
        pytest.param("sqlite", THREADS, marks=pytest.mark.long),
        pytest.param("sqlite", GEVENT, marks=pytest.mark.long),
        pytest.param("redis", THREADS, marks=pytest.mark.long),
        pytest.param("postgres", THREADS, marks=pytest.mark.long),
        pytest.param("postgres", GEVENT, marks=pytest.mark.long),
    ],
)
def test_requests_at_once_all_count(
    kind: str, how: tuple[str, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Eight clients of two preloaded workers write one session at once: all count; a logout is one for all workers."""
    store = url_of(kind, request, tmp_path)
    with serving(store, tmp_path, "--workers", "2", "--preload", *how, opened=True, served=SERVED) as server:
        count_and_log_out(server)


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("postgres", THREADS),
        pytest.param("postgres", GEVENT, marks=pytest.mark.long),
        pytest.param("sqlite", THREADS, marks=pytest.mark.long),
        pytest.param("redis", THREADS, marks=pytest.mark.long),
        pytest.param("redis", GEVENT, marks=pytest.mark.long),
    ],
)
def test_workers_that_are_killed_and_replaced_under_load(
    kind: str, how: tuple[str, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What was answered has counted, and nothing has twice."""
    store = url_of(kind, request, tmp_path)
    with serving(store, tmp_path, *FOUR, *how, served=SERVED) as server:
        kill_and_replace(server, log_in(server))
