"""``limpet keys``: look at the secrets of an application, and put a new one in front of them."""

from __future__ import annotations

import click

from limpet import environment
from limpet.cli.group import Command, Failure
from limpet.cli.options import json_option, print_json
from limpet.keyring import Keyring, generate_secret

__all__ = ["command"]

_NONE = "LIMPET_SECRET is not set: make a first secret with `limpet keygen`"


@click.group("keys")
def command() -> None:
    """Look at the secrets in LIMPET_SECRET, or put a new one in front of them."""


@command.command("list", cls=Command)
@json_option
def list_keys(as_json: bool) -> None:
    """Say what the secrets are for, newest first, without showing any of them.

    A secret is named by four bytes that are derived from it and say nothing about it.
    """
    secrets = _given()
    names = [key.key_id.hex() for key in Keyring(secrets).derive("list", "keys")]
    rows = [
        {"name": name, "use": "signs and encrypts" if not place else "is still accepted"}
        for place, name in enumerate(names)
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(f"{row['name']}  {row['use']}")


@command.command("rotate", cls=Command)
@click.option("--keep", type=click.IntRange(0), default=1, show_default=True, help="Older secrets to go on accepting.")
@json_option
def rotate(keep: int, as_json: bool) -> None:
    """Print a value for LIMPET_SECRET with a new secret in front; no user is logged out.

    Give it to every process. The next request of each browser gets a cookie of the new secret. When the
    sessions of the old one have ended, drop it from the value, or rotate again: that leaves out what is older.
    With --keep 0 everybody is logged out at once, for a secret that has leaked.
    """
    secrets = [generate_secret(), *_given()[:keep]]
    Keyring(secrets)
    if not keep:
        click.echo(
            "Only the new secret is left: cookies of the old ones are refused, and everybody has to log in.",
            err=True,
        )
    if as_json:
        print_json({"secrets": secrets})
    else:
        click.echo(" ".join(secrets))


def _given() -> list[str]:
    secrets = environment.secrets_from_environment()
    if not secrets:
        raise Failure(_NONE)
    return secrets
