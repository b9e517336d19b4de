"""`AdapterSuite`: what a framework cannot do is documented, and a broken adapter fails."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from limpet.asgi import SessionMiddleware
from limpet.testing import AdapterSuite
from limpet.testing._adapter_site import Site, make_store
from limpet.testing.suite_adapter import AppSpec
from tests.adapters.test_starlette import TestStarlette as Starlette

REASON = "The framework sends its own 404 before any middleware runs."


class Suite(Starlette):
    """The suite over an adapter that works, for looking at the suite itself."""

    __test__ = False

    async def call(self, test: str, kind: str, folder: Path) -> None:
        """Run one of its tests."""
        made: Any = self.openers(kind, lambda: make_store(kind, folder))
        async with aclosing(made) as openers:
            async for opener in openers:
                await getattr(self, test)(opener)


async def test_an_exception_needs_to_be_documented(tmp_path: Path) -> None:
    """A reason that users are not told fails the suite."""
    page = tmp_path / "page.md"
    page.write_text("It all works.")

    class Undocumented(Suite):
        impossible = {"test_a_404_has_no_session": REASON}
        documented_in = page

    with pytest.raises(AssertionError, match=r"page\.md does not tell users: The framework sends"):
        await Undocumented().call("test_a_404_has_no_session", "memory", tmp_path)


async def test_an_exception_that_is_none_any_more_fails(tmp_path: Path) -> None:
    """A test that passes after all has to be taken out of the list."""
    page = tmp_path / "page.md"
    page.write_text(f"## Limits\n\n> {REASON.replace(' own', chr(10) + '> own')}\n")

    class Stale(Suite):
        impossible = {"test_a_404_has_no_session": REASON}
        documented_in = page

    with pytest.raises(pytest.fail.Exception, match="passes: take it out"):
        await Stale().call("test_a_404_has_no_session", "memory", tmp_path)


async def test_a_documented_exception_is_one(tmp_path: Path) -> None:
    """A test that fails as the page says is fine, and its neighbours run as ever."""
    page = tmp_path / "page.md"
    page.write_text(REASON)

    class Limited(Suite):
        impossible = {"test_excluded_paths_have_no_session": REASON}
        documented_in = page

        def build(self, spec: AppSpec) -> Any:
            spec.exclude = ()
            return super().build(spec)

    suite = Limited()
    await suite.call("test_excluded_paths_have_no_session", "memory", tmp_path)
    await suite.call("test_first_write_sets_one_cookie", "memory", tmp_path)


def test_an_exception_names_a_test_that_exists() -> None:
    """A misspelt name is refused when the class is made."""
    with pytest.raises(TypeError, match="'test_nothing', which is no test of AdapterSuite"):
        type("Misspelt", (AdapterSuite,), {"impossible": {"test_nothing": REASON}})


async def test_build_has_to_be_written() -> None:
    """The suite alone says what is missing."""
    with pytest.raises(NotImplementedError, match="return an application of your framework"):
        AdapterSuite().build(Site("memory", make_store("memory", Path())).spec)


class WithoutVary:
    """An application whose adapter forgets the ``Vary`` header."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        async def forgetful(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [pair for pair in message["headers"] if pair[0] != b"vary"]
            await send(message)

        await self.app(scope, receive, forgetful)


async def test_a_broken_adapter_fails(tmp_path: Path) -> None:
    """An adapter that loses a header, or saves after an error, does not pass."""

    class Forgetful(Suite):
        def build(self, spec: AppSpec) -> Any:
            return WithoutVary(super().build(spec))

    with pytest.raises((AssertionError, KeyError)):
        await Forgetful().call("test_vary_is_appended", "memory", tmp_path)

    class Swallowing(Suite):
        def build(self, spec: AppSpec) -> Any:
            async def app(scope: Any, receive: Any, send: Any) -> None:
                if scope["type"] == "http":
                    query = {"key": "a", "value": "1"}
                    await spec.run("write", query, lambda: scope["session"])
                    await send({"type": "http.response.start", "status": 200, "headers": []})
                    await send({"type": "http.response.body", "body": b'["b"]'})

            return SessionMiddleware(app, spec.manager)

    with pytest.raises(AssertionError, match="500"):
        await Swallowing().call("test_an_exception_drops_writes", "memory", tmp_path)
