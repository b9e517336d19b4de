"""What every test may use, and what keeps the run short."""

from __future__ import annotations

import asyncio
import gc
import logging
from importlib.metadata import version
from typing import Any

import pytest
from packaging.version import Version

from tests.slow import is_slow

pytest_plugins = ["tests.servers.plugin"]


def pytest_configure(config: pytest.Config) -> None:
    """Keep one event loop for pytest-asyncio, which until 1.4 makes one at its first use and leaves it open.

    It is a warning, and so a failure, of whichever test runs when that loop is collected.
    """
    if Version(version("pytest-asyncio")) < Version("1.4"):
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        config.add_cleanup(loop.close)


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: Any) -> None:
    """Mark what has a run of its own."""
    path, _, name = item.nodeid.partition("::")
    if is_slow(path, name):
        item.add_marker("slow")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Keep the tests of an ``xdist_group`` on one worker, so that each cluster of servers is started once.

    pytest-xdist tells groups by a suffix of the test's id. Up to 3.8 it writes that to an attribute that
    pytest 9.2 no longer reads, and every group falls apart without a word.
    """
    for item in items:
        written = getattr(item, "_nodeid", item.nodeid)
        if written != item.nodeid:
            item._id = type(item._id).parse(written)


def pytest_collection_finish() -> None:
    """Take the tests themselves, which stay until the end, out of what each garbage collection looks through."""
    gc.collect()
    gc.freeze()
    for client in ("httpx", "httpx2"):  # some frameworks let every logger speak, and these tell each request
        logging.getLogger(client).setLevel(logging.WARNING)
