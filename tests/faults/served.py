"""An application for a real server: ``uvicorn tests.faults.served:app``, with its store in LIMPET_STORE."""

from __future__ import annotations

import asyncio

from limpet.asgi import Receive, Scope, Send, SessionMiddleware
from tests.faults.local import IN_FLIGHT

_here: set[str] = set()
_all_here = asyncio.Event()


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] != "/up":
        _here.add(scope["path"])
        if len(_here) == IN_FLIGHT:
            print("all here", flush=True)
            _all_here.set()
        await _all_here.wait()
        await asyncio.sleep(0.05)  # the signal to end comes now
        scope["session"]["mark"] = scope["path"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


app = SessionMiddleware(_app)
