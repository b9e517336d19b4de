"""For tests of an application (`client`, `FakeClock`), of a store (`StoreSuite`), of an adapter (`AdapterSuite`).

Needs ``pip install limpet[testing]``; nothing is imported until it is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from limpet._lazy import lazily

if TYPE_CHECKING:
    from limpet.testing.clients import AsyncSessionClient, SessionClient, async_client, client
    from limpet.testing.clock import FakeClock
    from limpet.testing.driven import driven
    from limpet.testing.histories import check_faults, check_histories, check_histories_on_loop
    from limpet.testing.interleave import Race, every_order, some_orders
    from limpet.testing.machine import FailingStore, session_machine
    from limpet.testing.suite_adapter import AdapterSuite
    from limpet.testing.suite_blocking import BlockingAdapterSuite
    from limpet.testing.suite_store import StoreSuite

__all__ = [
    "AdapterSuite",
    "AsyncSessionClient",
    "BlockingAdapterSuite",
    "FailingStore",
    "FakeClock",
    "Race",
    "SessionClient",
    "StoreSuite",
    "async_client",
    "check_faults",
    "check_histories",
    "check_histories_on_loop",
    "client",
    "driven",
    "every_order",
    "session_machine",
    "some_orders",
]

_PLACES: Final = {
    "AdapterSuite": "suite_adapter",
    "AsyncSessionClient": "clients",
    "BlockingAdapterSuite": "suite_blocking",
    "FailingStore": "machine",
    "FakeClock": "clock",
    "Race": "interleave",
    "SessionClient": "clients",
    "StoreSuite": "suite_store",
    "async_client": "clients",
    "check_faults": "histories",
    "check_histories": "histories",
    "check_histories_on_loop": "histories",
    "client": "clients",
    "driven": "driven",
    "every_order": "interleave",
    "session_machine": "machine",
    "some_orders": "interleave",
}

if not TYPE_CHECKING:  # a type checker is to know every name, and no others
    __getattr__, __dir__ = lazily(__name__, _PLACES, __all__)
