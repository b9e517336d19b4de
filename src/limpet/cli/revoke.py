"""``limpet revoke``: end sessions from outside."""

from __future__ import annotations

import click

from limpet import SessionManager, environment
from limpet._core import events, listing, marks
from limpet.cli._configuration import shown
from limpet.cli._records import is_sealed, looked_into, progress
from limpet.cli._revocation import Whose, count, end_cookies
from limpet.cli.group import Failure
from limpet.cli.options import json_option, print_json, run, store_option
from limpet.stores import open_store
from limpet.stores.cookie import CookieStore

__all__ = ["command"]


@click.command("revoke")
@click.argument("public_ids", nargs=-1, metavar="[PUBLIC_ID]...")
@click.option("--subject", metavar="SUBJECT", help="All sessions of this subject.")
@click.option("--tag", metavar="NAME=VALUE", help="All sessions that were logged in with this tag.")
@click.option("--everyone", is_flag=True, help="Every session in the store, for an incident or a restored backup.")
@click.option("--yes", is_flag=True, help="Do not ask before --everyone.")
@click.option("--dry-run", is_flag=True, help="Say how many would end, and end none.")
@store_option
@json_option
def command(
    public_ids: tuple[str, ...],
    subject: str | None,
    tag: str | None,
    everyone: bool,
    yes: bool,
    dry_run: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """End sessions: some by their public ids, all of a subject, all with a tag, or everybody's.

    It holds for the next request in every process. A login under way at the same time does not survive. Where
    sessions live in their cookies, it notes what was ended where the application looks for that (revocation=epoch or
    denylist); how many there were nobody knows. Exit code 1: a public id that was given names no session, or --everyone
    was not confirmed.
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
    if everyone and not yes and not dry_run:
        _confirm(url)
    if isinstance(kept, CookieStore):
        if dry_run:
            raise click.UsageError("how many cookie sessions there are nobody knows: leave out --dry-run")
        run(end_cookies(kept, whose))
        ended, unknown = None, list[str]()
    else:
        ended, unknown = run(_revoke(url, whose, dry_run=dry_run, show=not as_json))
    if as_json:
        print_json({"would_revoke" if dry_run else "revoked": ended, "unknown": unknown})
    elif ended is None:
        click.echo("It is noted: the next request with such a cookie is nobody's.")
    else:
        click.echo(f"{ended:,} session{'' if ended == 1 else 's'} {'would end' if dry_run else 'ended'}.")
    if unknown:
        raise Failure(f"no such session: {', '.join(unknown)}")


def _confirm(url: str) -> None:
    """Ask.

    Raises:
        Failure: The answer is no, or nobody is there to answer.
    """
    try:
        agreed = click.confirm(f"This logs everybody out of {shown(url)}. Go on?", err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):  # and not Ctrl-C
            raise Failure("nobody was logged out: nobody answered, so give --yes") from None
        raise
    if not agreed:
        raise Failure("nobody was logged out")


async def _revoke(url: str, whose: Whose, *, dry_run: bool, show: bool) -> tuple[int, list[str]]:
    async with looked_into(url) as manager:
        if whose.tag is not None:
            await _refuse_sealed(manager, *whose.tag)
        if dry_run:
            return await count(manager, whose)
        if whose.everyone:
            with progress("ending", show=show) as bar:
                manager.listen(lambda event: bar.update(1) if isinstance(event, events.SessionRevoked) else None)
                return await manager.revoke_everyone(), []
        if whose.subject is not None:
            return await manager.revoke_all(whose.subject), []
        if whose.tag is not None:
            return await manager.revoke(tag=whose.tag), []
        unknown = [public_id for public_id in whose.public_ids if not await manager.revoke(public_id)]
        return len(whose.public_ids) - len(unknown), unknown


async def _refuse_sealed(manager: SessionManager, name: str, value: str) -> None:
    """Refuse before anything is done where the tags of the sessions cannot be read: none of them would end.

    Raises:
        Failure: Sessions of a subject that has logged in with the tag are encrypted at rest.
    """
    key = marks.tag_key(name, value)
    mark = await manager.engine.storage.load(key)
    facts = (marks.read(mark.payload) if mark is not None else None) or {}
    sealed = [
        subject
        for subject in facts.get("subjects", {})
        if any(is_sealed(kept.record) for kept in await listing.every(manager.engine, subject))
    ]
    if sealed:
        raise Failure(
            f"sessions with {name}={value} are sealed by encrypt=True, and this command has no key to read which: end "
            f"all of their subjects' with --subject ({', '.join(sealed)}), or call manager.revoke(tag=...) in the "
            "application. Nothing was ended"
        )
