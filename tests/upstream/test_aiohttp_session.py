"""The tests of aiohttp-session about sessions, from its source distribution, over limpet's."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.upstream.sdists import run, unpacked

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("upstream")]

OWN_STORAGE = {
    f"tests/test_redis_storage.py::{name}"
    for name in (
        "test_change_session",
        "test_clear_cookie_on_session_invalidation",
        "test_create_cookie_in_handler",
        "test_create_storage_with_custom_key_factory",
        "test_load_bad_session",
        "test_load_session_dont_load_expired_session",
        "test_set_ttl_manually_set",
        "test_set_ttl_on_session_saving",
    )
}
"""They look for the record in its own format, or set a life or an id through its storage."""

ENDED = {"tests/test_redis_storage.py::test_redis_session_fixation"}
"""Whoever brings an id that the application has just ended is anonymous and gets no new one for a minute."""

STREAMED = {
    "tests/test_response_types.py::test_stream_response",
    "tests/test_response_types.py::test_prepared_response_type",
}
"""They ask that a session is not saved with a streamed response, or that saving it is an error: here it is saved."""

ANSWERED = {"tests/test_response_types.py::test_bad_response_type"}
"""An answer that is none is aiohttp's to complain about, as without sessions."""

FILES = ("test_http_exception.py", "test_redis_storage.py", "test_response_types.py", "test_session_middleware.py")
NOT_ABOUT_SESSIONS = "test_no_aioredis_installed", "test_old_aioredis_version"


def test_aiohttp_sessions_own_tests_pass(redis_url: str) -> None:
    """All but those above, each with its reason; a session that is planted in its storage moves in."""
    folder = unpacked("aiohttp-session", version("aiohttp-session"))
    counts = run(
        folder,
        "aiohttp_over_limpet",
        [f"tests/{name}" for name in FILES],
        *("--noconftest", "-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto"),
        *("-k", " and ".join(f"not {name}" for name in NOT_ABOUT_SESSIONS)),
        LIMPET_TRIED="memory:",
        LIMPET_TRIED_REDIS=redis_url,
        # their tests are a package called as ours is: the plugin is no part of one
        PYTHONPATH=os.pathsep.join([str(Path(__file__).parent), *(path for path in sys.path if path)]),
    )
    assert set(counts.failed) == OWN_STORAGE | ENDED | STREAMED | ANSWERED, counts.text[-6000:]
    assert counts.passed == 7, counts.text[-3000:]
