"""A real gunicorn, with threads and with gevent: counts are exact, whatever happens to its workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wsgi.killing import kill_and_replace
from tests.wsgi.test_threads import url_of
from tests.wsgi.threads import at_once
from tests.wsgi.workers import Server, serving

THREADS = ("--worker-class", "gthread", "--threads", "4")
GEVENT = ("--worker-class", "gevent", "--worker-connections", "50")


FOUR = ("--workers", "4", "--preload", "--graceful-timeout", "5")
"""Workers that can be killed and replaced while others serve."""


def log_in(server: Server) -> str:
    """Return the cookie of a new login."""
    _, _, cookie = server.get("/login")
    assert cookie is not None
    return cookie


def seen(server: Server, cookie: str) -> str:
    """Return the count, and how many keys there are."""
    return server.get("/seen", cookie)[1]


def write_at_once(server: Server, cookie: str) -> None:
    """Let eight clients write one session at once: each adds five times, writes a key of its own, and does both."""

    def visit(number: int) -> list[int]:
        found = [server.get("/add", cookie)[0] for _ in range(5)]
        found.append(server.get(f"/key?k{number}", cookie)[0])
        found.append(server.get("/both", cookie)[0])
        return found

    answers = at_once([lambda number=number: visit(number) for number in range(8)])  # type: ignore[misc]
    assert answers == [[200] * 7] * 8


def count_and_log_out(server: Server) -> None:
    """Do that as a visitor of an application of a framework: all count; a logout is one for all workers."""
    cookie = log_in(server)
    write_at_once(server, cookie)
    assert seen(server, cookie) == str((48, 10))
    assert server.get("/logout", cookie)[0] == 200
    assert [seen(server, cookie) for _ in range(8)] == [str((0, 0))] * 8


@pytest.mark.parametrize(
    ("kind", "how", "opened"),
    [
        ("sqlite", THREADS, False),
        ("sqlite", GEVENT, False),
        ("redis", GEVENT, True),
        ("postgres", THREADS, True),
        pytest.param("redis", THREADS, True, marks=pytest.mark.long),
        pytest.param("redis", THREADS, False, marks=pytest.mark.long),
        pytest.param("redis", GEVENT, False, marks=pytest.mark.long),
        pytest.param("postgres", THREADS, False, marks=pytest.mark.long),
        pytest.param("postgres", GEVENT, False, marks=pytest.mark.long),
        pytest.param("postgres", GEVENT, True, marks=pytest.mark.long),
    ],
)
def test_requests_at_once_all_count(
    kind: str, how: tuple[str, ...], opened: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Eight clients of two preloaded workers write one session at once: all count, with locks and without."""
    store = url_of(kind, request, tmp_path)
    with serving(store, tmp_path, "--workers", "2", "--preload", *how, opened=opened) as server:
        cookie = log_in(server)
        write_at_once(server, cookie)
        assert seen(server, cookie) == str((48, 9))
        assert server.get("/logout", cookie)[0] == 200
        assert seen(server, cookie) == str((0, 0))


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("sqlite", THREADS),
        pytest.param("redis", THREADS, marks=pytest.mark.long),
        pytest.param("postgres", THREADS, marks=pytest.mark.long),
        pytest.param("sqlite", GEVENT, marks=pytest.mark.long),
        pytest.param("redis", GEVENT, marks=pytest.mark.long),
        pytest.param("postgres", GEVENT, marks=pytest.mark.long),
    ],
)
def test_workers_that_are_killed_and_replaced_under_load(
    kind: str, how: tuple[str, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Four workers are killed and replaced while clients write: what was answered has counted, nothing has twice.

    A request whose worker was killed may have counted or not: the sum lies between the two.
    """
    store = url_of(kind, request, tmp_path)
    with serving(store, tmp_path, *FOUR, *how) as server:
        kill_and_replace(server, log_in(server))
