"""``limpet list``: whose sessions there are."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

import click

from limpet import SessionManager
from limpet import _listing as listing
from limpet.cli._records import (
    SEALED_NOTE,
    contents_of,
    facts,
    kind_of,
    looked_into,
    milliseconds,
    pages,
    progress,
    stands,
)
from limpet.cli.group import Command
from limpet.cli.options import json_option, print_json, printable, run, store_option
from limpet.contract import Record

__all__ = ["command"]

_ORDERS: Final = ("last-seen", "created", "expires", "bytes")


class _Found(NamedTuple):
    """The sessions to show, and how many there are beside them."""

    shown: list[dict[str, Any]]
    more: int


@click.command("list", cls=Command)
@store_option
@click.option("--subject", metavar="SUBJECT", help="Only the sessions of this subject.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="List at most so many."
)
@click.option(
    "--sort",
    type=click.Choice(_ORDERS),
    default="last-seen",
    show_default=True,
    help="What comes first: used last, begun last, ends last, or the largest.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@json_option
def command(store: str | None, subject: str | None, limit: int, sort: str, reverse: bool, as_json: bool) -> None:
    """List live sessions: public id, last use, subject, device, and whether it is bound to that. No values.

    A public id is good for `show` and `revoke`, and useless as a cookie; its first eight digits are what logs show.
    What --json calls `expires`, and --sort orders by, is when the store may forget a session: at the next of its
    deadlines, as of the last use that was noted, and up to a minute later. A use moves it on.

    All sessions are read, page by page, to find the first ones and to count the rest. How many there are beside those
    that are listed is said on standard error.
    """
    found = run(_list(store, subject, limit, sort, reverse, show=not as_json))
    if as_json:
        print_json(found.shown)
    else:
        for line in _table(found.shown):
            click.echo(line)
        if any(one.get("encrypted") for one in found.shown):
            click.echo(f"(encrypted): {SEALED_NOTE}.", err=True)
        if not found.shown:
            click.echo("No sessions." if subject is None else f"No sessions of {subject}.", err=True)
    if found.more:
        click.echo(f"{found.more:,} more: raise --limit, or name a --subject.", err=True)


def _table(sessions: list[dict[str, Any]]) -> list[str]:
    """Return a header and a line for each session, in columns."""
    rows = [("PUBLIC ID", "LAST USED", "SUBJECT", "DEVICE")] if sessions else []
    for one in sessions:
        who = one["subject"] if one["subject"] is not None else "(nobody)"
        device = "(encrypted)" if one.get("encrypted") else one.get("device", "")
        shown = f"{device} (bound)" if one.get("bound") else device
        rows.append((one["public_id"], one["last_seen"], printable(who), printable(shown)))
    widths = [max((len(row[at]) for row in rows), default=0) for at in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


async def _list(store: str | None, subject: str | None, limit: int, sort: str, reverse: bool, *, show: bool) -> _Found:
    now, count = milliseconds(), 0
    first: list[tuple[int, str, Record]] = []  # the smallest of them is at the top, and gives way
    async with looked_into(store) as manager:
        with progress("reading", show=show) as bar:
            async for key, record in _sessions(manager, subject):
                bar.update(1)
                if not await stands(manager, record, now):
                    continue
                count += 1
                rank = -_rank(record, sort) if reverse else _rank(record, sort)
                if len(first) < limit:
                    heapq.heappush(first, (rank, key, record))
                else:
                    heapq.heappushpop(first, (rank, key, record))
    first.sort(key=lambda one: one[:2], reverse=True)
    return _Found([facts(key, record) for _, key, record in first], count - len(first))


async def _sessions(manager: SessionManager, subject: str | None) -> AsyncIterator[tuple[str, Record]]:
    if subject is not None:
        async for kept in listing.pages_of(manager.engine, subject):
            for one in kept:
                yield one.key, one.record
        return
    async for page in pages(manager):
        for key, record in page:
            if kind_of(record) in ("session", "encrypted", "unreadable"):
                yield key, record


def _rank(record: Record, sort: str) -> int:
    if sort == "bytes":
        return len(record.payload)
    if sort == "last-seen":
        return record.accessed
    contents = contents_of(record)
    if sort == "created":
        return 0 if contents is None else contents.created
    return record.expires if contents is None or contents.ends is None else min(record.expires, contents.ends)
