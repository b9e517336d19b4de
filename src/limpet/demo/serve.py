"""Serves the demo: finds out what could be in the way before it says where the page is."""

from __future__ import annotations

import asyncio
import errno
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import uvicorn

from limpet.bound import BoundPolicy
from limpet.demo.app import POLICY, create_app
from limpet.demo.device import BOUND
from limpet.demo.tls import make_certificate
from limpet.demo.watch import WatchedManager
from limpet.environment import secrets_from_environment, store_from_environment
from limpet.runtime import AsyncioRuntime

__all__ = ["CannotListen", "serve"]

_GOODBYE = 3  # seconds that requests under way have when the server is asked to end


class CannotListen(Exception):
    """The address or the port cannot be had; the message says what to do."""


def serve(
    host: str,
    port: int,
    store: str | None,
    dev: bool,
    *,
    tls: bool = False,
    show: Callable[[str], str],
    say: Callable[[str], None],
) -> None:
    """Serve until Ctrl-C.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        store: The store's URL; None: from the environment, or development's own.
        dev: Development mode, for plain http.
        tls: Serve over https, with a certificate that is made for it.
        show: Returns a store's URL without what is secret in it.
        say: Prints one line.

    Raises:
        CannotListen: Another program has the port, or the address is not this machine's.
        StoreUnavailable: The store does not work.
        ConfigurationError: There is no store, or a setting cannot work.
    """
    with ExitStack() as stack, closing(_listen(host, port)) as listener:
        url = store or store_from_environment(dev)
        manager = WatchedManager(store, policy=POLICY, dev=dev, devices=True, bound=_bound(url, dev))
        manager.runtime = AsyncioRuntime()
        asyncio.run(_try(manager))
        app = create_app(manager, store=show(url))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="limpet-demo-"))
        certificate = make_certificate(Path(folder)) if tls else None
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GOODBYE,
                ssl_certfile=None if certificate is None else certificate.path,
            )
        )
        address = f"{'https' if tls else 'http'}://{_name(host)}:{listener.getsockname()[1]}/"
        say(f"The demo is at {address} and keeps its sessions in {show(url)}. Ctrl-C ends it.")
        if certificate is not None:
            say("A browser that trusts its certificate, and keeps the keys of devices in software:")
            say(certificate.command(address))
        if not _is_private(listener):
            say(f"It listens on {host}: everybody who can reach this machine can use it.")
        if not dev and not tls:
            say("Without development mode the cookie is Secure: Safari keeps it over https only.")
        with suppress(KeyboardInterrupt):  # uvicorn has shut down by then, and passes the signal on
            server.run(sockets=[listener])
    say("Stopped. Start it again, and everybody is still signed in." if not url.startswith("memory:") else "Stopped.")


def _bound(url: str, dev: bool) -> bool | BoundPolicy:
    """Return whether sessions can be bound to devices: they are on the server, and there is a secret to sign with."""
    has_secret = dev or bool(secrets_from_environment())
    return BOUND if has_secret and not url.startswith("cookie:") else False


async def _try(manager: WatchedManager) -> None:
    """Find out now whether the store works, and not with the first visitor."""
    await manager.check()
    await manager.shutdown()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise CannotListen(
            f"{host!r} is not an address of this machine: leave --host out, or say 0.0.0.0 for all of them"
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise CannotListen(_why(error, host, port)) from error
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} is in use by another program: stop that one, or say --port {_next(port)}"
        case errno.EACCES:
            return f"this user may not listen on port {port}: take one over 1023, such as --port 8000"
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine: leave --host out, or say 0.0.0.0 for all of them"
    return f"cannot listen on {host}, port {port}: {error.strerror or error}"


def _next(port: int) -> int:
    return port + 1 if port < 65_535 else 8000


def _is_private(listener: socket.socket) -> bool:
    address = listener.getsockname()[0]
    return bool(address.startswith("127.") or address == "::1")


def _name(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):  # all addresses, of which a browser on this machine takes
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
