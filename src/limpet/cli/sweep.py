"""``limpet sweep``: delete expired sessions now."""

from __future__ import annotations

import click

from limpet import environment
from limpet.cli._records import progress, require
from limpet.cli.group import Command
from limpet.cli.options import json_option, operator, print_json, run, store_option
from limpet.contract import ClientStore, Store, Sweeps, supports
from limpet.stores import open_store

__all__ = ["command"]

_STEP = 500  # sessions between two signs of progress; also the size of one step of the manager


@click.command("sweep", cls=Command)
@store_option
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Delete at most so many. Default: all that expired."
)
@json_option
def command(store: str | None, limit: int | None, as_json: bool) -> None:
    """Delete expired sessions from the store.

    Applications do this by themselves while they run. It is safe beside their traffic, goes in small steps,
    and can be interrupted at any time. A session that `expire_in` has shortened is dead at its own deadline; its
    record goes at the one that the store was given. What has expired stays for five minutes, since the clock
    of another host may be behind by that.
    """
    kept = open_store(store or environment.store_from_environment(environment.is_development(None)))
    if supports(kept, ClientStore) or not supports(kept, Sweeps):
        if not supports(kept, ClientStore):
            run(_ask(kept))
        where = "in the browsers' cookies" if supports(kept, ClientStore) else "in a store that forgets them by itself"
        if as_json:
            print_json({"deleted": 0, "needed": False})
        else:
            click.echo(f"Nothing to do: these sessions are kept {where}.")
        return
    require(kept)
    deleted = run(_sweep(kept, limit, show=not as_json))
    if as_json:
        print_json({"deleted": deleted, "needed": True})
    else:
        click.echo(f"{deleted:,} expired session{'' if deleted == 1 else 's'} deleted.")


async def _ask(store: Store) -> None:
    """Ask a store that has nothing to sweep whether it is there.

    Raises:
        StoreUnavailable: It does not answer.
    """
    manager = operator(store)
    try:
        await manager.check()
    finally:
        await manager.shutdown()


async def _sweep(store: Store, limit: int | None, *, show: bool) -> int:
    manager = operator(store)
    deleted = 0
    try:
        with progress("sweeping", show=show) as bar:
            while limit is None or deleted < limit:
                step = _STEP if limit is None else min(_STEP, limit - deleted)
                done = await manager.sweep(step)
                deleted += done
                bar.update(done)
                if done < step:
                    break
    finally:
        await manager.shutdown()
    return deleted
