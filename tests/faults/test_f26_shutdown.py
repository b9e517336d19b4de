"""F26: a server is told to end while it saves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from limpet.stores import Store, open_store
from tests.faults.local import IN_FLIGHT, ROOT, SOURCE, url
from tests.faults.service import Service
from tests.races.counted import CountedSite
from tests.servers.process import free_port


async def ends_well(place: str) -> None:
    """SIGTERM with two hundred requests in flight: each that was answered is saved, and the process ends in peace."""
    port = free_port()
    command = [sys.executable, "-W", "error::ResourceWarning", "-m", "uvicorn", "tests.faults.served:app"]
    server = subprocess.Popen(
        [*command, "--port", str(port), "--log-level", "warning", "--timeout-graceful-shutdown", "10"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "LIMPET_STORE": place, "LIMPET_SECRET": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        limits = httpx.Limits(max_connections=IN_FLIGHT)
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, limits=limits, timeout=20) as client:
            async with asyncio.timeout(20):
                while True:
                    try:
                        assert (await client.get("/up")).status_code == 200
                        break
                    except httpx.ConnectError:
                        await asyncio.sleep(0.05)
            visits = [asyncio.create_task(client.get(f"/{number}")) for number in range(IN_FLIGHT)]
            assert server.stdout is not None
            assert await asyncio.to_thread(server.stdout.readline) == "all here\n"
            server.send_signal(signal.SIGTERM)
            replies = await asyncio.gather(*visits)
        _, said = await asyncio.to_thread(server.communicate, timeout=20)
    finally:
        server.kill()
        server.communicate()
    assert {reply.status_code for reply in replies} == {200}
    assert "Task was destroyed" not in said
    assert "Traceback" not in said, said
    assert server.returncode in (0, -signal.SIGTERM)
    store = open_store(place)
    assert isinstance(store, Store)
    site = CountedSite(store)
    site.clock.now = time.time_ns() // 1_000_000
    for number, reply in enumerate(replies):
        token = reply.headers["set-cookie"].partition("=")[2].partition(";")[0]
        assert await site.read(token) == {"mark": f"/{number}"}
    await site.manager.shutdown()


@pytest.mark.parametrize("kind", ["sqlite", "file"])
async def test_f26_on_one_machine(kind: str, tmp_path: Path) -> None:
    """On this machine's stores."""
    await ends_well(url(kind, tmp_path))


async def test_f26_beside_a_server(service: Service) -> None:
    """On stores behind a network: the connections are closed as well."""
    await service.site()
    await ends_well(service.url())
