"""The tests of Flask and of Flask-Session, from their source distributions, over limpet's sessions."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from tests.upstream.sdists import run, unpacked

PLUGIN = "tests.upstream.flask_over_limpet"
pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("upstream")]

NO_SECRET_NEEDED = (
    "tests/test_basic.py::test_missing_session",
    "tests/test_testing.py::test_session_transactions_no_null_sessions",
)
"""Sessions that are kept on the server need no SECRET_KEY; these tests ask for an error without one."""

NOT_SENT_AGAIN = (
    "tests/test_basic.py::test_session_cookie_setting",
    "tests/test_basic.py::test_session_refresh_vary",
)
"""A cookie that holds the session is not sent again by a page that only read it: it could take back what another page
has written meanwhile. A permanent session gets its later date once a minute."""

WERKZEUG = ("tests/test_reqctx.py::test_bad_environ_raises_bad_request",)
"""Fails under Flask's own sessions too, with the Werkzeug that is installed."""

NO_NULL = ("test_session.py::FlaskSessionTestCase::test_null_session",)
"""Flask-Session without a type has sessions that cannot be written; this run gives every application a store."""

SESSIONS = ("test_basic.py", "test_reqctx.py", "test_session_interface.py", "test_testing.py")
IGNORE = "-W", "ignore::limpet.errors.LimpetWarning"


@pytest.fixture(
    params=[
        "sqlite:///{folder}/sessions.db",
        "cookie:",
        pytest.param("memory:", marks=pytest.mark.long),
        pytest.param("cookie:signed", marks=pytest.mark.long),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a store of each kind."""
    url: str = request.param
    return url.format(folder=tmp_path)


def test_flasks_own_tests_pass(store: str) -> None:
    """Those of its sessions and requests pass but for what is named here, and the suite changes nothing else."""
    folder = unpacked("flask", version("flask"))
    expected = NOT_SENT_AGAIN if store.startswith("cookie:") else NO_SECRET_NEEDED
    counts = run(folder, PLUGIN, [f"tests/{name}" for name in SESSIONS], *IGNORE, LIMPET_TRIED=store)
    assert set(counts.failed) - set(WERKZEUG) == set(expected), counts.text[-6000:]
    assert counts.passed > 160, counts.text[-3000:]


@pytest.mark.long
def test_all_of_flasks_tests_pass(store: str) -> None:
    """Nothing else in Flask notices whose sessions they are."""
    folder = unpacked("flask", version("flask"))
    expected = NOT_SENT_AGAIN if store.startswith("cookie:") else NO_SECRET_NEEDED
    counts = run(folder, PLUGIN, ["tests"], *IGNORE, LIMPET_TRIED=store)
    assert set(counts.failed) - set(WERKZEUG) == set(expected), counts.text[-6000:]
    assert counts.passed > 480, counts.text[-3000:]


@pytest.mark.parametrize("url", ["memory:", "sqlite:///{folder}/sessions.db"])
def test_flask_sessions_own_tests_pass(url: str, tmp_path: Path) -> None:
    """The last release that brings its tests along: all but one pass on any store, whatever type they name."""
    folder = unpacked("flask-session", "0.5.0")
    counts = run(folder, PLUGIN, ["test_session.py"], *IGNORE, LIMPET_TRIED=url.format(folder=tmp_path))
    assert counts.failed == NO_NULL, counts.text[-6000:]
    assert counts.passed == 7, counts.text[-3000:]
