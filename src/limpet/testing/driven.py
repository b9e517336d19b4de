"""A store as a blocking application uses it, for suites whose tests are coroutines."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from limpet._blocking import drive
from limpet.contract import Store
from limpet.stores.wrapping import WrappingStore

__all__ = ["driven"]

_THREADS: Final = 64


class _OnThreads:
    """A store whose calls are driven without an event loop, each on a thread of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="limpet-driven")

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return partial(self._run, found) if inspect.iscoroutinefunction(found) else found

    async def _run(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: drive(method(*arguments, **named)))

    def __repr__(self) -> str:
        return repr(self._store)


def driven(store: Store) -> WrappingStore:
    """Return the store as threads without an event loop use it.

    Give it to `StoreSuite`: what runs at once there runs on threads, through the client that blocks::

        @pytest.fixture
        def store(self) -> Store:
            return driven(MyStore())
    """
    behind: Any = _OnThreads(store)
    return WrappingStore(behind)
