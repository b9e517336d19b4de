"""``limpet keygen``: print a new secret."""

from __future__ import annotations

import click

from limpet.cli.group import Command
from limpet.cli.options import json_option, print_json
from limpet.keyring import generate_secret

__all__ = ["command"]


@click.command("keygen", cls=Command)
@json_option
def command(as_json: bool) -> None:
    """Print a new secret for LIMPET_SECRET.

    It is 32 random bytes in 43 characters. To replace a secret without logging anybody out, put the new one in
    front of the old one, separated by a space, and drop the old one when the sessions of that one have ended.
    """
    secret = generate_secret()
    if as_json:
        print_json({"secret": secret})
    else:
        click.echo(secret)
