"""Which subcommands there are. A new one is a file here that defines ``command``, and a line in `NAMES`."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import click

from limpet import __version__
from limpet._native import build
from limpet.errors import LimpetError

__all__ = ["NAMES", "Commands", "Failure", "limpet"]

NAMES: Final = (
    "demo",
    "doctor",
    "keygen",
    "keys",
    "list",
    "show",
    "revoke",
    "stats",
    "sweep",
    "migrate",
    "copy",
)


class Failure(click.ClickException):
    """Something that the operator has to fix; exit code 1."""

    def show(self, file: Any = None) -> None:
        """Print it the way the errors of other commands look."""
        click.echo(f"limpet: {self.format_message()}", file=file, err=file is None)


class Commands(click.Group):
    """Imports a subcommand when it is asked for, so that none pays for another's imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help page."""
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the ``command`` of the file with that name, or None."""
        if cmd_name not in NAMES:
            return None
        command: click.Command = import_module(f"limpet.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; what limpet refuses becomes one sentence and exit code 1."""
        try:
            return super().invoke(ctx)
        except LimpetError as error:
            raise Failure(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(f"{__version__} ({build()})", prog_name="limpet", message="%(prog)s %(version)s")
def limpet() -> None:
    """Web sessions: look after them, make secrets, check a configuration, try it out."""
