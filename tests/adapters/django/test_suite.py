"""What every adapter promises, of Django: in views that block, and on an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest

from limpet.asgi import ASGIApp
from limpet.testing import AdapterSuite
from limpet.testing._adapter_site import make_store
from limpet.testing._fixtures import asyncio_fixture
from limpet.testing.adapter_app import AppSpec
from limpet.testing.suite_adapter import Opener
from limpet.testing.suite_blocking import BlockingAdapterSuite
from tests.adapters.django.words import Project

PAGE: Final = Path(__file__).parents[3] / "docs" / "frameworks" / "django.md"
IMPOSSIBLE: Final[Mapping[str, str]] = {
    name: reason
    for reason, names in {
        "The key changes by `cycle_key` and `flush` alone, and never because of a value.": (
            "test_s02_s03_nothing_is_left_under_the_old_id",
            "test_a_key_of_rotate_on_gives_a_new_id",
        ),
        "`cycle_key` acts at once: what another request saves afterwards, with the old key, is dropped.": (
            "test_a_write_during_an_id_change_is_kept",
        ),
        "A view that fails has changed the key all the same, and what it saved itself stays saved.": (
            "test_an_exception_leaves_the_old_id_alive",
            "test_an_error_of_the_session_takes_back_a_new_id",
        ),
        "A session without keys is a session still; `flush` ends it.": ("test_deleting_a_key_is_saved",),
        "Django writes the cookie, in its own spelling, with an `expires` beside `Max-Age`.": (
            "test_first_write_sets_one_cookie",
            "test_logout_deletes_record_and_cookie",
            "test_cookie_attributes_follow_the_policy",
            "test_s29_a_deletion_meets_the_cookie",
            "test_s35_no_header_changes_the_cookie",
        ),
        "A session is read at its first use, and not before the view.": (
            "test_untouched_request_with_a_session_adds_nothing",
            "test_lazy_reads_when_asked",
        ),
        "A login is two writes: the new key, and whose it is.": ("test_round_trips",),
        "Keys travel in a cookie, unsigned, and sessions are kept on the server.": (
            "test_a_secret_that_is_added_logs_nobody_out",
            "test_header_transport",
            "test_hostile_cookies_are_anonymous",
            "test_s19_one_among_very_many_forged_ones_is_found",
            "test_s24_s25_a_token_counts_under_its_own_name_and_secret",
            "test_s33_a_copied_cookie_session_ends_with_the_logout",
        ),
        "What a stream or a task writes after the view has returned is saved if it calls `save` itself.": (
            "test_a_late_write_in_a_stream_is_saved",
            "test_a_late_first_write_is_refused",
            "test_a_background_task_may_write",
        ),
        "Django serves no WebSockets by itself.": (
            "test_an_error_of_the_session_closes_a_websocket",
            "test_a_websocket_whose_handler_fails_drops_writes",
            "test_a_websocket_has_the_session",
            "test_a_websocket_may_write_before_it_is_accepted",
            "test_a_websocket_may_write_late",
            "test_a_websocket_that_hangs_up_is_saved",
            "test_a_late_first_write_in_a_websocket_is_refused",
            "test_a_late_logout_of_nobody_in_a_websocket_does_nothing",
        ),
        "Django has a guard of its own against forged requests.": (
            "test_a_post_needs_a_token_of_its_session",
            "test_every_page_has_another_token",
            "test_a_token_ends_with_its_id",
        ),
    }.items()
    for name in names
}


class _OverSettings:
    """Applications that are made of Django's settings, which are given back at the end of a test."""

    _projects: list[Project]

    def make(self, spec: AppSpec, *, blocks: bool) -> Any:
        """Return an application."""
        project = Project(spec, blocks=blocks)
        self._projects.append(project)
        return project.app

    @asyncio_fixture(params=["memory", "sqlite"])
    async def anywhere(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
        """Return a coroutine function that starts an application; sessions in cookies there are none."""
        async for opener in self.openers(request.param, lambda: make_store(request.param, tmp_path)):
            yield opener

    async def openers(self, kind: str, make: Callable[[], Any]) -> AsyncIterator[Opener]:
        """Yield a coroutine function that starts an application over a store."""
        self._projects = []
        try:
            async for opener in super().openers(kind, make):  # type: ignore[misc]  # of the suite beside this class
                yield opener
        finally:
            for project in reversed(self._projects):
                project.close()


class TestDjango(_OverSettings, BlockingAdapterSuite):
    """Views that block, over WSGI."""

    documented_in = PAGE
    impossible = MappingProxyType(IMPOSSIBLE)

    def build_blocking(self, spec: AppSpec) -> Any:
        """Return an application of Django."""
        return self.make(spec, blocks=True)


class TestDjangoOnALoop(_OverSettings, AdapterSuite):
    """Asynchronous views, over ASGI."""

    documented_in = PAGE
    impossible = MappingProxyType(IMPOSSIBLE)

    def build(self, spec: AppSpec) -> ASGIApp:
        """Return an application of Django."""
        app: ASGIApp = self.make(spec, blocks=False)
        return app
