"""``limpet show``: what is known of one session."""

from __future__ import annotations

import json
from typing import Any

import click

from limpet._detached import is_key
from limpet._wire import forward
from limpet.cli._records import (
    SEALED_NOTE,
    contents_of,
    facts,
    is_revoked,
    is_sealed,
    kind_of,
    looked_into,
    not_found,
    resolve,
)
from limpet.cli.group import Command, Failure
from limpet.cli.options import json_option, print_json, printable, run, store_option
from limpet.contract import Record

__all__ = ["command"]


@click.command("show", cls=Command)
@click.argument("public_id")
@store_option
@click.option("--values", is_flag=True, help="Show the values too. They may be private.")
@json_option
def command(public_id: str, store: str | None, values: bool, as_json: bool) -> None:
    """Show one session by its public id, or by its first eight digits, as logs show them: times, device, tags, keys.

    Of one that is encrypted at rest, only whose it is and its times: the rest needs the application's keys.

    `expires` is when the store may forget it: at the next of its deadlines, as of the last use that was noted, and up
    to a minute later.

    Exit code 1: there is no such session.
    """
    found = run(_load(store, public_id.lower(), show=not as_json))
    if found is None:
        raise Failure(not_found([public_id]))
    key, record = found
    known: dict[str, Any] = facts(key, record)
    contents = contents_of(record)
    if values and contents is not None:
        known["values"] = {name: _plain(value) for name, value in contents.data.items()}
    if as_json:
        print_json(known)
        return
    if is_sealed(record):
        known["encrypted"] = SEALED_NOTE
    private: dict[str, Any] = known.pop("values", {})
    for name, value in known.items():
        shown = "-" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else value
        click.echo(f"{name:<14} {printable(str(shown))}")
    for at, (name, value) in enumerate(private.items()):
        line = f"{name}  {json.dumps(value, ensure_ascii=False)}"
        click.echo(f"{'' if at else 'values':<14} {printable(line)}")


def _plain(value: object) -> Any:
    """Return a value as JSON has it; of what JSON has not, what Python shows of it."""
    return json.loads(json.dumps(value, default=repr))


async def _load(store: str | None, public_id: str, *, show: bool) -> tuple[str, Record] | None:
    async with looked_into(store) as manager:
        known = await resolve(manager, [public_id], show=show)
        key, record = known.get(public_id, ""), None
        while is_key(key):
            record = await manager.engine.storage.load(key)
            if record is None or not forward.is_forward(record.payload):
                break
            key = forward.successor(record.payload)
        if record is None or kind_of(record) == "mark" or await is_revoked(manager, record):
            return None
        return key, record
