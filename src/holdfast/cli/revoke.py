"""``holdfast revoke``: end sessions from outside."""

from __future__ import annotations

import click

from holdfast.cli._records import looked_into
from holdfast.cli.group import Failure
from holdfast.cli.options import json_option, print_json, run, store_option

__all__ = ["command"]


@click.command("revoke")
@click.argument("public_ids", nargs=-1, metavar="[PUBLIC_ID]...")
@click.option("--subject", metavar="SUBJECT", help="All sessions of this subject.")
@click.option("--tag", metavar="NAME=VALUE", help="All sessions that were logged in with this tag.")
@click.option("--everyone", is_flag=True, help="Every session in the store, for an incident or a restored backup.")
@click.option("--yes", is_flag=True, help="Do not ask before --everyone.")
@store_option
@json_option
def command(
    public_ids: tuple[str, ...],
    subject: str | None,
    tag: str | None,
    everyone: bool,
    yes: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """End sessions: some by their public ids, all of a subject, all with a tag, or everybody's.

    It holds for the next request in every process. A login under way at the same time does not survive. Exit code 1:
    a public id that was given names no session.
    """
    given = [bool(public_ids), subject is not None, tag is not None, everyone]
    if sum(given) != 1:
        raise click.UsageError("give public ids, --subject, --tag or --everyone: one of them")
    if tag is not None and "=" not in tag:
        raise click.BadParameter(f"{tag!r} is no NAME=VALUE", param_hint="--tag")
    if everyone and not yes:
        click.confirm("This logs everybody out. Go on?", abort=True, err=True)
    ended, unknown = run(_revoke(store, public_ids, subject, tag, everyone))
    if as_json:
        print_json({"revoked": ended, "unknown": unknown})
    else:
        click.echo(f"{ended:,} session{'' if ended == 1 else 's'} ended.")
    if unknown:
        raise Failure(f"no such session: {', '.join(unknown)}")


async def _revoke(
    store: str | None, public_ids: tuple[str, ...], subject: str | None, tag: str | None, everyone: bool
) -> tuple[int, list[str]]:
    async with looked_into(store) as manager:
        if everyone:
            return await manager.revoke_everyone(), []
        if subject is not None:
            return await manager.revoke_all(subject), []
        if tag is not None:
            name, _, value = tag.partition("=")
            return await manager.revoke(tag=(name, value)), []
        unknown = [public_id for public_id in public_ids if not await manager.revoke(public_id)]
        return len(public_ids) - len(unknown), unknown
