"""The proxies of the tests leave nothing open, so that a test after them is not blamed."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from typing import Any

import pytest

from tests.servers.process import free_port
from tests.servers.proxies import pooler_proxy, tcp_proxy


@pytest.mark.parametrize("proxy", [tcp_proxy, pooler_proxy], ids=["tcp", "pooler"])
@pytest.mark.parametrize("passes", range(6))
def test_a_connection_that_has_just_been_accepted_is_closed_with_its_proxy(passes: int, proxy: Any) -> None:
    """However far the loop has come with it when the proxy ends."""
    clients: list[socket.socket] = []

    async def main() -> None:
        async with proxy(free_port()) as running:
            clients.extend(socket.create_connection(("127.0.0.1", running.port)) for _ in range(5))
            for _ in range(passes):
                await asyncio.sleep(0)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(main())
        for client in clients:
            client.close()
        gc.collect()
    assert not caught, [str(warning.message) for warning in caught]
