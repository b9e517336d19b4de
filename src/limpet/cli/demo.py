"""``limpet demo``: serve the small application that shows what sessions do."""

from __future__ import annotations

import click

from limpet.cli._configuration import shown
from limpet.cli.group import Command, Failure
from limpet.cli.options import store_option
from limpet.errors import MissingDependency

__all__ = ["command"]

_OF_STORES = ("redis", "postgres", "psycopg")


@click.command("demo", cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port to listen on; 0 takes a free one.",
)
@store_option
@click.option(
    "--dev/--no-dev",
    default=True,
    show_default=True,
    help="Development mode: a cookie that works over plain http, and a store in .limpet/ if none is named.",
)
@click.option(
    "--tls",
    is_flag=True,
    help="Serve over https, and say how Chromium is started so that it binds sessions to this device.",
)
def command(host: str, port: int, store: str | None, dev: bool, tls: bool) -> None:
    """Serve a small web application that shows what sessions do.

    It needs no server and no set-up. Open the address that it prints, in two tabs if you like; kill it, start it
    again: you are still signed in.
    """
    try:
        from limpet.demo.serve import CannotListen, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "limpet":
            raise
        raise MissingDependency("the demo", "demo") from error
    try:
        serve(host, port, store, dev, tls=tls, show=shown, say=click.echo)
    except CannotListen as error:
        raise Failure(str(error)) from error
    except MissingDependency as error:
        if error.extra in _OF_STORES:
            raise
        raise MissingDependency("the demo", "demo") from error
