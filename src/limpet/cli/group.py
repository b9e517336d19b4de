"""Which subcommands there are. A new one is a file here that defines ``command``, and a line in `NAMES`."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from typing import Any, Final

import click
from click.core import ParameterSource

from limpet import __version__
from limpet._native import build
from limpet.errors import LimpetError

__all__ = ["NAMES", "Command", "Commands", "Failure", "limpet"]

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


_MEANT: Final = (
    ("store", re.compile(r"(?:[\w+]+://|(?:memory|file|cookie):).*")),
    ("app", re.compile(r"[\w.]+:[\w.]+")),
    ("port", re.compile(r"[0-9]+")),
    ("subject", re.compile(r".+")),
)
"""Options whose values people give without the option's name, and what these look like; the first that fits counts."""


class Command(click.Command):
    """A subcommand that says of an argument too many which option it may have been meant for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments.

        Raises:
            click.UsageError: They are wrong, or too many.
        """
        ctx.allow_extra_args = True  # click's own refusal knows no option
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            said = f"unexpected argument{'s' * (len(rest) > 1)} {' '.join(rest)}"
            raise click.UsageError(f"{said}{self._cure(ctx, rest[0])}", ctx)
        return rest

    def _cure(self, ctx: click.Context, given: str) -> str:
        free = {each.name for each in self.params if each.name is not None and _is_default(ctx, each.name)}
        for name, looks in _MEANT:
            if name in free and looks.fullmatch(given):
                return f": did you mean --{name} {shlex.quote(given)}?"
        return ""


def _is_default(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE


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
