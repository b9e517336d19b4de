"""The command ``limpet``.

Each subcommand is one file of this package and is imported when it is used: see `limpet.cli.group`.
Exit codes: 0 no problems, 1 something has to be fixed, 2 the command was given wrongly, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from limpet.errors import MissingDependency
from limpet.keyring import generate_secret

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: What follows ``limpet`` on the command line; None: what this process was given.
    """
    try:
        import click
    except ModuleNotFoundError:
        if tuple(sys.argv[1:] if arguments is None else arguments) == ("keygen",):
            print(generate_secret())  # errors send people here who may have installed nothing else
            return 0
        print(f"limpet: {MissingDependency('the command line', 'cli')}", file=sys.stderr)
        return 1
    from limpet.cli.group import limpet

    try:
        code = limpet.main(arguments, prog_name="limpet", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("limpet: interrupted", file=sys.stderr)
        return 130
    return code if isinstance(code, int) else 0
