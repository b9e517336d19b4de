"""``limpet stats``: how many sessions there are, and how large."""

from __future__ import annotations

from typing import Any

import click

from limpet.cli._records import (
    SEALED_NOTE,
    contents_of,
    is_live,
    is_revoked,
    kind_of,
    looked_into,
    milliseconds,
    moment,
    pages,
    progress,
)
from limpet.cli.group import Command
from limpet.cli.options import json_option, print_json, run, store_option

__all__ = ["command"]

_DAY = 86_400_000


@click.command("stats", cls=Command)
@store_option
@json_option
def command(store: str | None, as_json: bool) -> None:
    """Count sessions: logged in, anonymous, expired or revoked and not deleted yet; and say how large they are.

    Marks are the records beside the sessions: revocations, tags, locks, and what an ended id leaves for a minute.

    It reads the whole store, page by page beside the traffic.
    """
    counted = run(_count(store, show=not as_json))
    if as_json:
        print_json(counted)
        return
    for name, value in counted.items():
        shown = "-" if value is None else f"{value:,}" if isinstance(value, int) else value
        click.echo(f"{name.replace('_', ' '):<18} {shown:>20}")
    if counted["encrypted"]:
        click.echo(f"encrypted: {SEALED_NOTE}.", err=True)


async def _count(store: str | None, *, show: bool) -> dict[str, Any]:
    now = milliseconds()
    total = dict.fromkeys(("sessions", "logged_in", "anonymous", "used_in_last_day"), 0)
    total |= dict.fromkeys(
        ("expired", "revoked", "renewed_ids", "marks", "encrypted", "unreadable", "bytes", "largest"), 0
    )
    subjects: set[str] = set()
    oldest: int | None = None
    async with looked_into(store) as manager:
        with progress("reading", show=show) as bar:
            async for page in pages(manager):
                bar.update(len(page))
                for _, record in page:
                    kind = kind_of(record)
                    if kind in ("mark", "renewed"):
                        total["marks" if kind == "mark" else "renewed_ids"] += 1
                        continue
                    if not is_live(record, now):
                        total["expired"] += 1
                        continue
                    if await is_revoked(manager, record):
                        total["revoked"] += 1
                        continue
                    contents = contents_of(record)
                    total["sessions"] += 1
                    total["encrypted"] += kind == "encrypted"
                    total["unreadable"] += kind == "unreadable"
                    total["used_in_last_day"] += now - record.accessed < _DAY
                    total["bytes"] += len(record.payload)
                    total["largest"] = max(total["largest"], len(record.payload))
                    if record.subject is not None:
                        subjects.add(record.subject)
                    signed_in = record.subject is not None or bool(contents and contents.authenticated)
                    total["logged_in" if signed_in else "anonymous"] += 1
                    if contents is not None:
                        oldest = contents.created if oldest is None else min(oldest, contents.created)
    return {**total, "subjects": len(subjects), "oldest": None if oldest is None else moment(oldest)}
