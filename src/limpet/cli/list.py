"""``limpet list``: whose sessions there are."""

from __future__ import annotations

from typing import Any

import click

from limpet._core import listing
from limpet.cli._records import SEALED_NOTE, facts, kind_of, looked_into, milliseconds, pages, stands
from limpet.cli.options import json_option, print_json, run, store_option

__all__ = ["command"]


@click.command("list")
@store_option
@click.option("--subject", metavar="SUBJECT", help="Only the sessions of this subject.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="List at most so many."
)
@json_option
def command(store: str | None, subject: str | None, limit: int, as_json: bool) -> None:
    """List live sessions: public id, subject, last use, device. No values.

    A public id is good for `show` and `revoke`, and useless as a cookie.
    """
    found = run(_list(store, subject, limit))
    if as_json:
        print_json(found)
        return
    for one in found:
        who = one["subject"] if one["subject"] is not None else "(nobody)"
        device = "(sealed)" if one.get("sealed") else one.get("device", "")
        click.echo(f"{one['public_id']}  {one['last_seen']}  {who}  {device}".rstrip())
    if any(one.get("sealed") for one in found):
        click.echo(f"(sealed): {SEALED_NOTE}.", err=True)
    if not found:
        click.echo("No sessions." if subject is None else f"No sessions of {subject}.", err=True)


async def _list(store: str | None, subject: str | None, limit: int) -> list[dict[str, Any]]:
    now, found = milliseconds(), []
    async with looked_into(store) as manager:
        if subject is not None:
            records = [(kept.key, kept.record) for kept in await listing.every(manager.engine, subject)]
            return [facts(key, record) for key, record in records if await stands(manager, record, now)][:limit]
        async for page in pages(manager):
            for key, record in page:
                if kind_of(record) in ("session", "sealed", "unreadable") and await stands(manager, record, now):
                    found.append(facts(key, record))
                    if len(found) == limit:
                        return found
    return found
