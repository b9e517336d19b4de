"""``limpet migrate``: make the folder, the file or the table that a store needs."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import click

from limpet.cli._configuration import shown
from limpet.cli._files import made, missing
from limpet.cli._records import server_store
from limpet.cli.group import Command
from limpet.cli.options import json_option, operator, print_json, run, store_option
from limpet.contract import Checks, Store, supports

__all__ = ["command"]


@runtime_checkable
class Migrates(Protocol):
    """A store with a schema that somebody else may have to create."""

    def migrations_sql(self) -> str:
        """Return the script."""
        ...

    async def migrate(self) -> None:
        """Run it, also where the store itself must not (``create=false``)."""
        ...


@click.command("migrate", cls=Command)
@store_option
@click.option("--sql", is_flag=True, help="Print the statements, for a user who may run them, and change nothing.")
@json_option
def command(store: str | None, sql: bool, as_json: bool) -> None:
    """Create what the store needs, or bring it from an older version to this one; then check it.

    It says which folder and file were missing and were made, so that a mistyped path is noticed.

    Applications do this at first use. Run it at deployment, as a user that may change the schema, where they open the
    store with create=false. Again is fine, also at the same time. What is not well configured is said and is no
    failure: `limpet doctor` judges that. Exit code 1: it could not be done.
    """
    kept = server_store(store, exists=False)
    if sql:
        if not isinstance(kept, Migrates):
            raise click.UsageError(f"--sql is for PostgreSQL; {type(kept).__name__} needs no statements")
        if as_json:
            print_json({"store": type(kept).__name__, "sql": kept.migrations_sql()})
        else:
            click.echo(kept.migrations_sql(), nl=False)
        return
    absent = missing(kept)
    problems = run(_migrate(kept))
    if as_json:
        print_json({"ok": True, "store": type(kept).__name__, "made": absent, "problems": problems})
    else:
        if absent:
            click.echo(f"note: {made(absent)}.", err=True)
        for problem in problems:
            click.echo(f"note: {problem}", err=True)
        place = f" at {shown(store)}" if store else ""
        click.echo(f"{type(kept).__name__}{place} is ready.")


async def _migrate(store: Store) -> list[str]:
    manager = operator(store)
    try:
        if isinstance(store, Migrates):
            await store.migrate()
        await manager.startup()
        return list(await store.check()) if supports(store, Checks) else []
    finally:
        await manager.shutdown()
