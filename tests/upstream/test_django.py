"""The tests of Django, from its source distribution, over limpet's sessions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.upstream.sdists import unpacked

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("upstream")]

OWN_TABLE = "sessions_tests.tests.SessionMiddlewareTests.test_empty_session_saved"
"""It looks for the session in Django's own table."""
EVERY_REQUEST = (
    "sessions_tests.tests.SessionMiddlewareTests.test_save_every_request_with_non_empty_session_renews_session_cookie"
)
"""With SESSION_SAVE_EVERY_REQUEST limpet's middleware sends the cookie again once its date has moved, which is at most
once a minute, and not with every response: a late one could put an old key back into the browser."""

OWN_QUERY = "auth_tests.test_middleware.TestLoginRequiredMiddleware.test_protected_view_logged_in_performance"
"""It counts the query of Django's own table. Django 6 asks that, and 5.2 does not."""

QUICK = ("sessions_tests", "limpet_sessions", "messages_tests", "csrf_tests")
SLOW = ("auth_tests",)


class Outcome(NamedTuple):
    """What came of a run.

    Attributes:
        ran: How many tests ran.
        failed: Those that did not pass, by their dotted names.
        stored: How many sessions limpet stored.
    """

    ran: int
    failed: frozenset[str]
    stored: int


def run(*labels: str, middleware: bool) -> Outcome:
    """Run some of Django's tests by its own runner.

    Args:
        labels: Folders of its tests.
        middleware: With limpet's middleware in the place of Django's.
    """
    here = Path(__file__).parent
    tests = unpacked("django", version("django")) / "tests"
    paths = [str(here.parents[1]), str(here / "django_apps"), *(path for path in sys.path if path)]
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "runtests.py", "--settings=tests.upstream.django_settings"),
            *("--parallel=1", *labels),
        ],
        cwd=tests,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "LIMPET_MIDDLEWARE": "1" if middleware else "",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    ran = re.search(r"^Ran (\d+) tests", text, re.MULTILINE)
    stored = re.search(r"^limpet stored (\d+) sessions", text, re.MULTILINE)
    assert ran is not None, text[-4000:]
    assert stored is not None, text[-4000:]
    failed = re.findall(r"^(?:FAIL|ERROR|UNEXPECTED SUCCESS): \S+ \(([\w.]+)\)", text, re.MULTILINE)
    return Outcome(int(ran[1]), frozenset(failed), int(stored[1]))


@pytest.mark.parametrize(
    ("middleware", "fails"), [(False, {OWN_TABLE}), (True, {OWN_TABLE, EVERY_REQUEST})], ids=["engine", "middleware"]
)
def test_what_django_asks_of_sessions_messages_and_csrf(middleware: bool, fails: set[str]) -> None:
    """All pass but those above, each with its reason."""
    found = run(*QUICK, middleware=middleware)
    assert found.failed == fails
    assert found.ran > 500
    assert found.stored > 25


@pytest.mark.long
@pytest.mark.parametrize("middleware", [False, True], ids=["engine", "middleware"])
def test_what_django_asks_of_logins(middleware: bool) -> None:
    """All pass but the one above."""
    found = run(*SLOW, middleware=middleware)
    assert found.failed == ({OWN_QUERY} if int(version("django").partition(".")[0]) >= 6 else set())
    assert found.ran > 500
    assert found.stored > 100
