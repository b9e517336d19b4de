"""``limpet revoke``: end sessions from outside."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import replace

import click

from limpet import SessionManager, environment
from limpet.cli._configuration import shown
from limpet.cli._records import looked_into, not_found, progress, require, resolve
from limpet.cli._revocation import Whose, count, count_sealed, end_cookies
from limpet.cli.group import Command, Failure
from limpet.cli.options import json_option, print_json, run, store_option
from limpet.events import acting
from limpet.stores import open_store
from limpet.stores.cookie import CookieStore

__all__ = ["command"]


@click.command("revoke", cls=Command)
@click.argument("public_ids", nargs=-1, metavar="[PUBLIC_ID]...")
@click.option("--subject", metavar="SUBJECT", help="All sessions of this subject.")
@click.option("--tag", metavar="NAME=VALUE", help="All sessions that were logged in with this tag.")
@click.option("--everyone", is_flag=True, help="Every session in the store, for an incident or a restored backup.")
@click.option("--why", metavar="TEXT", help="The reason, for the application's log and audit lines.")
@click.option("--yes", is_flag=True, help="Do not ask before --everyone.")
@click.option("--dry-run", is_flag=True, help="Say how many would end, and end none.")
@store_option
@json_option
def command(
    public_ids: tuple[str, ...],
    subject: str | None,
    tag: str | None,
    everyone: bool,
    why: str | None,
    yes: bool,
    dry_run: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """End sessions: some by their public ids, all of a subject, all with a tag, or everybody's.

    The first eight digits of a public id, as logs show them, are enough where only one session begins with them.

    It takes effect at once, for the next request in every process, and a login under way at the same time does not
    survive. The records are deleted after that, page by page: if that is interrupted, the sessions have ended all the
    same. Where sessions live in their cookies, it notes what was ended where the application looks for that
    (revocation=epoch or denylist); they cannot be counted. Exit code 1: a public id that was given names no
    session, or --everyone was not confirmed.

    Who called it, where and --why are in the log and the audit lines of the applications that use the store.
    """
    given = [bool(public_ids), subject is not None, tag is not None, everyone]
    if sum(given) != 1:
        raise click.UsageError("give public ids, --subject, --tag or --everyone: one of them")
    if tag is not None and "=" not in tag:
        raise click.BadParameter(f"{tag!r} is no NAME=VALUE", param_hint="--tag")
    name, _, value = (tag or "").partition("=")
    whose = Whose(public_ids=public_ids, subject=subject, tag=(name, value) if tag else None, everyone=everyone)
    url = store or environment.store_from_environment(environment.is_development(None))
    kept = open_store(url)
    if not isinstance(kept, CookieStore):
        require(kept)
    if everyone and not yes and not dry_run:
        _confirm(url)
    if isinstance(kept, CookieStore):
        if dry_run:
            raise click.UsageError("cookie sessions cannot be counted: leave out --dry-run")
        with acting(_who(), why=why):
            run(end_cookies(kept, whose))
        ended, unknown, sealed = None, list[str](), 0
    else:
        with acting(_who(), why=why):
            ended, unknown, sealed = run(_revoke(url, whose, dry_run=dry_run, show=not as_json))
    if as_json:
        uncounted = {"uncounted": sealed} if sealed else {}
        print_json({"would_revoke" if dry_run else "revoked": ended, "unknown": unknown, **uncounted})
    elif ended is None:
        click.echo("Recorded: the next request with such a cookie is anonymous.")
    else:
        click.echo(f"{_sessions(ended)} {'would end' if dry_run else 'ended'}.")
        if sealed:
            click.echo(
                f"Not counted: those with {tag} among {_sessions(sealed)} encrypted at rest. They "
                f"{'would end' if dry_run else 'have ended'} too; only the application can read which ones."
            )
    if unknown:
        raise Failure(not_found(unknown))


def _who() -> str:
    """Return who calls this command, and where."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        user = str(os.getuid()) if hasattr(os, "getuid") else "somebody"
    return f"{user}@{socket.gethostname()} (limpet revoke)"


def _confirm(url: str) -> None:
    """Ask.

    Raises:
        Failure: The answer is no, or nobody is there to answer.
    """
    try:
        agreed = click.confirm(f"This logs everybody out of {shown(url)}. Go on?", err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):  # and not Ctrl-C
            raise Failure("no session was ended: the question was not answered (--yes leaves it out)") from None
        raise
    if not agreed:
        raise Failure("no session was ended")


def _sessions(number: int) -> str:
    return f"{number:,} session{'' if number == 1 else 's'}"


async def _revoke(url: str, whose: Whose, *, dry_run: bool, show: bool) -> tuple[int, list[str], int]:
    """Return how many ended, which public ids are unknown, and how many sessions could not be read to be counted."""
    async with looked_into(url) as manager:
        sealed = 0 if whose.tag is None else await count_sealed(manager, *whose.tag)
        short = [one.lower() for one in whose.public_ids]
        known = await resolve(manager, short, show=show)
        whose = replace(whose, public_ids=tuple(known.get(one, one) for one in short))
        if dry_run:
            return *await count(manager, whose), sealed
        if whose.everyone:
            return await _revoke_everyone(manager, show=show), [], 0
        if whose.subject is not None:
            return await manager.revoke_all(whose.subject), [], 0
        if whose.tag is not None:
            return await manager.revoke(tag=whose.tag), [], sealed
        unknown = [public_id for public_id in whose.public_ids if not await manager.revoke(public_id)]
        return len(whose.public_ids) - len(unknown), unknown, 0


async def _revoke_everyone(manager: SessionManager, *, show: bool) -> int:
    with progress("deleting", show=show) as bar:
        shown = 0

        def step(deleted: int) -> None:
            nonlocal shown
            bar.update(deleted - shown)
            shown = deleted

        return await manager.directory.revoke_everyone(progress=step)
