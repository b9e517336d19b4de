"""F22: an application that forks after it served requests, as a preloading server does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.local import KINDS, finish, running, url
from tests.faults.service import Service


def serve(place: str) -> None:
    with running("fork", place, module="tests.faults.site_worker") as process:
        finish(process)


@pytest.mark.parametrize("kind", KINDS)
def test_f22_preloaded_on_one_machine(kind: str, tmp_path: Path) -> None:
    """Parent and four children serve sessions with the manager that the parent made: each finds its own."""
    serve(url(kind, tmp_path))


async def test_f22_preloaded_beside_a_server(service: Service) -> None:
    """The same over a network: no connection is shared, no reply is read by another process."""
    await service.site()
    serve(service.url())
