"""A marimo notebook in an application: `make packages` runs this, with the package; it is too large for every one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
import websockets

from tests.packages.served import served

pytestmark = pytest.mark.skipif(find_spec("marimo") is None, reason="marimo is not installed: make packages")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server."""
    folder = tmp_path_factory.mktemp("marimo")
    with served("marimo_site", folder, NOTEBOOKS=str(folder)) as address:
        yield address


def test_a_notebook_is_for_who_is_logged_in(address: str) -> None:
    """The guard reads the session of the application around the notebook."""
    with httpx.Client(base_url=address, timeout=30) as ann:
        assert ann.get("/report/").status_code == 401
        ann.get("/sign-in/ann")
        page = ann.get("/report/", follow_redirects=True)
        assert page.status_code == 200
        assert "marimo" in page.text
        ann.get("/sign-out")
        assert ann.get("/report/").status_code == 401


async def test_its_socket_knows_the_user_and_ends_with_the_session(address: str) -> None:
    """The notebook runs over a WebSocket: it shows who is there, and is cut off after the logout."""
    async with httpx.AsyncClient(base_url=address, timeout=30) as ann:
        await ann.get("/sign-in/ann")
        await ann.get("/report/", follow_redirects=True)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in ann.cookies.items())}
        there = f"{address.replace('http', 'ws')}/report/ws?session_id={uuid.uuid4()}"
        async with asyncio.timeout(60), websockets.connect(there, additional_headers=headers) as socket:
            assert json.loads(await socket.recv())
            await ann.get("/sign-out")
            with contextlib.suppress(websockets.ConnectionClosedError):
                async for _ in socket:
                    pass
            assert socket.close_code == 1008


def test_its_own_token_on_our_sessions(tmp_path: Path) -> None:
    """Who has shown the token once is let in afterwards, by a session that limpet has encrypted."""
    with (
        served("marimo_token_site", tmp_path, NOTEBOOKS=str(tmp_path), TOKEN="open sesame") as address,
        httpx.Client(base_url=address, timeout=30) as ann,
    ):
        assert ann.get("/own/").status_code == 303, "to the page that asks for the token"
        assert ann.get("/own/", params={"access_token": "open sesame"}).status_code in {200, 303}
        (session,) = ann.cookies.values()
        assert session.startswith("A"), "a token of limpet's"
        assert ann.get("/own/").status_code == 200
