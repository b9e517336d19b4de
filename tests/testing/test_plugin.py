"""The pytest plugin: a suite needs no configuration, and who does not use it does not notice it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

SUITE = """
import pytest
from limpet.stores import MemoryStore
from limpet.testing import StoreSuite

class TestMine(StoreSuite):
    @pytest.fixture
    def store(self):
        return MemoryStore()
"""
ASYNC_FIXTURE = """
import asyncio
import pytest_asyncio
from limpet.stores import MemoryStore
from limpet.testing import StoreSuite

class LoopBound(MemoryStore):
    async def open(self):
        self.loop = asyncio.get_running_loop()

    async def close(self):
        assert self.loop is asyncio.get_running_loop()

class TestMine(StoreSuite):
    @pytest_asyncio.fixture
    async def store(self):
        store = LoopBound()
        await store.open()
        return store
"""
UNDER_ANYIO = """
import pytest
from limpet.stores import MemoryStore
from limpet.testing import StoreSuite

class TestMine(StoreSuite):
    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self):
        return "asyncio"

    @pytest.fixture
    async def store(self):
        return MemoryStore()
"""
BROKEN = """
import pytest
from limpet.stores import ABSENT, MemoryStore
from limpet.testing import StoreSuite

class Upserts(MemoryStore):
    async def update(self, key, record, expected, *, now):
        outcome = await super().update(key, record, expected, now=now)
        return await self.create(key, record, now=now) if outcome is ABSENT else outcome

class TestUpserts(StoreSuite):
    @pytest.fixture
    def store(self):
        return Upserts()
"""
ADAPTER = """
from limpet.testing import AdapterSuite
from limpet.testing.machine import plain

class TestPlain(AdapterSuite):
    def build(self, spec):
        return plain(spec)
"""
FIXTURES = """
from datetime import timedelta
from limpet import SessionManager
from limpet.asgi import SessionMiddleware

async def count(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    visits = str(scope["session"].increment("visits")).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": visits})

def test_a_session_ends(limpet_clock, limpet_client):
    app = SessionMiddleware(count, SessionManager("memory:", clock=limpet_clock), sweep_interval=None)
    browser, other = limpet_client(app), limpet_client(app)
    assert [browser.get("/").text, browser.get("/").text, other.get("/").text] == ["1", "2", "1"]
    limpet_clock.advance(timedelta(days=2))
    assert browser.get("/").text == "1"
"""
SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")  # or pytest-asyncio warns, whatever is tested
TESTS = 40
"""What the store suite has, and a few more."""


def run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Run a test file in a process of its own, as somebody else's project would."""
    pytester.makepyfile(source)
    return pytester.runpytest_subprocess("-p", "no:valkey", "-p", "no:cacheprovider", *options)


def test_the_plugin_is_registered() -> None:
    """Installing the package is all it takes."""
    [found] = entry_points(group="pytest11", name="limpet")
    assert found.value == "limpet.testing.plugin"


@pytest.mark.parametrize(
    ("mode", "source"),
    [("strict", SUITE), ("strict", ASYNC_FIXTURE), ("auto", ASYNC_FIXTURE)],
    ids=["strict-fixture", "strict-coroutine", "auto-coroutine"],
)
def test_a_suite_runs_in_either_mode(pytester: pytest.Pytester, mode: str, source: str) -> None:
    """A subclass of a few lines runs in whichever mode pytest-asyncio is, on one event loop for each test."""
    result = run(pytester, source, *SCOPE, "--asyncio-mode", mode, "-p", "no:anyio", "-W", "error")
    outcomes = result.parseoutcomes()
    assert outcomes.keys() == {"passed"}, outcomes
    assert outcomes["passed"] >= TESTS


def test_a_suite_that_is_marked_for_anyio_stays_with_it(pytester: pytest.Pytester) -> None:
    """With both plugins at work, anyio runs a class that asks for it, its fixtures too."""
    outcomes = run(pytester, UNDER_ANYIO, *SCOPE).parseoutcomes()
    assert outcomes["passed"] >= TESTS
    assert not outcomes.keys() & {"failed", "error", "errors"}


def test_an_adapter_suite_runs_in_strict_mode(pytester: pytest.Pytester) -> None:
    """So do the fixtures of `AdapterSuite`, which are coroutines."""
    result = run(pytester, ADAPTER, *SCOPE, "--asyncio-mode", "strict", "-k", "fifty_increments or nothing_changed")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] >= 2
    assert not outcomes.keys() & {"failed", "error", "errors"}


def test_a_failure_says_what_is_wrong(pytester: pytest.Pytester) -> None:
    """A store with an upsert fails in three tests, whose messages name the cause; values are shown."""
    result = run(pytester, BROKEN, *SCOPE)
    assert result.parseoutcomes()["failed"] == 3
    result.stdout.fnmatch_lines(
        [
            "E*update of an absent key returned DONE instead of ABSENT: it must never create, *is it an upsert[?]",
            "E*assert DONE is ABSENT",
        ]
    )


def test_a_suite_runs_on_several_workers(pytester: pytest.Pytester) -> None:
    """pytest-xdist distributes a suite."""
    outcomes = run(pytester, SUITE, *SCOPE, "-p", "xdist", "-n", "2").parseoutcomes()
    assert outcomes["passed"] >= TESTS
    assert not outcomes.keys() & {"failed", "error", "errors"}


def test_the_fixtures_start_applications_and_turn_a_clock(pytester: pytest.Pytester) -> None:
    """`limpet_client` talks to applications, `limpet_clock` ends their sessions."""
    assert run(pytester, FIXTURES, *SCOPE).parseoutcomes()["passed"] == 1


def test_it_can_be_left_out(pytester: pytest.Pytester) -> None:
    """With ``-p no:limpet`` there is no fixture of it, and a suite runs in automatic mode as it would without."""
    result = run(pytester, FIXTURES, *SCOPE, "-p", "no:limpet")
    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines(["*fixture 'limpet_clock' not found*"])
    outcomes = run(pytester, SUITE, *SCOPE, "-p", "no:limpet", "--asyncio-mode", "auto").parseoutcomes()
    assert outcomes["passed"] >= TESTS


def test_who_does_not_use_it_does_not_notice(pytester: pytest.Pytester) -> None:
    """Another project's run has no warning, no driver, no framework, no suite and no event loop because of it."""
    source = """
        import sys

        def test_mine():
            assert "limpet.testing.plugin" in sys.modules
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert not loaded & {"asyncio", "starlette", "httpx", "httpx2", "redis", "asyncpg", "sqlite3", "hypothesis"}
            assert not loaded & {"ormsgpack", "cryptography", "fastapi", "litestar", "blacksheep", "nexios"}
            assert not [name for name in sys.modules if name.startswith(("limpet.testing.s", "limpet.asgi"))]
    """
    quiet = [
        option
        for name in ("asyncio", "anyio", "hypothesispytest", "xdist", "timeout")
        for option in ("-p", f"no:{name}")
    ]
    assert run(pytester, source, *quiet, "-W", "error", "--strict-markers").parseoutcomes() == {"passed": 1}


def test_its_import_is_cheap() -> None:
    """The import adds nothing to what `import limpet` loads but two modules of its own."""
    program = (
        "import sys, pytest, limpet; before = set(sys.modules); "
        "import limpet.testing.plugin; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) == {"limpet.testing", "limpet.testing.plugin"}
