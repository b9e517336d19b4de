"""Starlette's own tests of its sessions, from its source distribution, over the middleware with its arguments."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.upstream.sdists import run, unpacked

HERE = Path(__file__).parent
PLUGIN = "starlette_over_limpet"  # by this name alone: in a run of Starlette's tests, `tests` is Starlette's
OPTIONS = (
    *("-p", "anyio.pytest_plugin", "-k", "not trio"),
    *("-W", "ignore::pytest.PytestRemovedIn10Warning", "-W", "ignore::limpet.errors.LimpetWarning"),
)
pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("upstream")]

FILE = "tests/middleware/test_session.py"
OVER_BEFORE_IT_IS_USED = (f"{FILE}::test_session_expires[asyncio]", f"{FILE}::test_session_zero_max_age[asyncio]")
"""They give a ``max_age`` of -1 and of 0, which is refused."""

EVERY_LOOK_COUNTS = (f"{FILE}::test_session_tracks_modification",)
"""A look for a key that is not there sets ``accessed``, since the response depends on it."""


@pytest.mark.parametrize("store", ["", "memory:"], ids=["cookie", "memory"])
def test_starlettes_own_tests_pass(store: str) -> None:
    """All pass but for what the page on Starlette says is different."""
    paths = os.pathsep.join([str(HERE), *(path for path in sys.path if path and path != str(HERE.parents[1]))])
    folder = unpacked("starlette", version("starlette"))
    counts = run(folder, PLUGIN, [FILE], *OPTIONS, LIMPET_TRIED=store, PYTHONPATH=paths)
    assert set(counts.failed) == {*OVER_BEFORE_IT_IS_USED, *EVERY_LOOK_COUNTS}, counts.text[-6000:]
    assert counts.passed >= 12, counts.text[-3000:]
