"""What several subcommands share: their options, their JSON, the way they run coroutines."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from limpet import SessionManager, SessionPolicy
from limpet.contract import ClientStore, Store
from limpet.keyring import generate_secret
from limpet.runtime import AsyncioRuntime

__all__ = ["PATIENCE", "json_option", "operator", "print_json", "printable", "run", "store_option"]

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a call of the store may take here, where no visitor waits for it."""

store_option: Callable[[Any], Any] = click.option(
    "--store",
    metavar="URL",
    help="The store, such as sqlite:///sessions.db. Default: what LIMPET_STORE says.",
)
json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def printable(text: str) -> str:
    """Return a text of a visitor's as a terminal may show it, on one line.

    What is not printed as a character (escape sequences, ends of lines, marks that turn the direction) becomes its
    escape: it could move the cursor, imitate another line, or do what the terminal does at such a sequence.
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def print_json(value: Any) -> None:
    """Print one JSON document; what a terminal would not show as characters is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo("".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text))


def operator(store: Store | ClientStore | str) -> SessionManager:
    """Return a manager that looks after a store and never hands out a session.

    Store calls need neither the application's secret nor its cookie, so this works where those are wrong.
    """
    manager = SessionManager(store, secret=generate_secret(), policy=SessionPolicy(store_timeout=PATIENCE), dev=False)
    manager.runtime = AsyncioRuntime()
    return manager


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end.

    What the engine would log is raised as well and printed once, by the subcommand.
    """
    logging.getLogger("limpet").addHandler(logging.NullHandler())
    return asyncio.run(work)
