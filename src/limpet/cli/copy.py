"""``limpet copy``: move the sessions into another store while the application runs, without a logout."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import click

from limpet import SessionManager
from limpet._wire import marks
from limpet.cli._copied import Copied, State
from limpet.cli._copied_marks import Marks, is_placeholder, is_tombstone, placeholder
from limpet.cli._files import made, missing
from limpet.cli._records import PAGE, milliseconds, progress, server_store
from limpet.cli.group import Command, Failure
from limpet.cli.options import json_option, operator, print_json, run
from limpet.contract import DONE, Outcome, Record, Scans, Store, supports
from limpet.contract import Counts as Countable

__all__ = ["command"]

_AT_ONCE: Final = 128  # sessions that are copied side by side


@dataclass
class Counts:
    """What has been done so far."""

    copied: int = 0
    updated: int = 0
    unchanged: int = 0
    kept: int = 0
    expired: int = 0
    ended: int = 0
    removed: int = 0
    marks: int = 0


@click.command("copy", cls=Command)
@click.argument("source")
@click.argument("destination")
@click.option(
    "--state",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default="limpet-copy.state",
    show_default=True,
    help="Where to note what was copied, so that it can be interrupted and repeated.",
)
@click.option(
    "--mirror",
    is_flag=True,
    help="Also delete at the destination what was never copied. Only before an application uses the destination.",
)
@json_option
def command(source: str, destination: str, state: Path, mirror: bool, as_json: bool) -> None:
    """Copy all sessions from one store to another, both named by URL.

    Cookies stay valid, as keys are copied as they are; the application must keep its secret and its cookie's name.
    Run it while the application uses the old store, again right before it is switched over, and once more when no
    process uses the old store any more. Each run ends at the destination what was copied and has ended at the source.
    What was changed at the destination stays, and what has ended there is not brought back. What was revoked at the
    source is revoked at the destination, before any session is copied. Where both stores have taken revocations, that
    also ends sessions of the same subject or tag (or everybody's) that began after it. A run
    after an interrupted one knows what that one has copied.
    """
    if source == destination:
        raise click.UsageError("source and destination are the same store")
    old, new = server_store(source), server_store(destination, exists=False)
    absent = missing(new)
    place = State(state, sha256(f"{source}\n{destination}".encode()).hexdigest())
    try:
        counts = run(_copy(old, new, place, mirror, not as_json))
    finally:
        place.close()
    if absent:
        click.echo(f"note: {made(absent)}.", err=True)
    if as_json:
        print_json(asdict(counts))
    else:
        click.echo(
            f"{counts.copied:,} copied, {counts.updated:,} brought up to date, {counts.unchanged:,} as they were, "
            f"{counts.kept:,} changed there and kept, {counts.expired:,} expired and {counts.ended:,} ended there, "
            f"left out, {counts.removed:,} removed; {counts.marks:,} revocations, tags and other marks written."
        )


async def _copy(source: Store, destination: Store, place: State, mirror: bool, show: bool) -> Counts:
    if not supports(source, Scans):
        raise Failure(f"{type(source).__name__} cannot walk through its sessions, so they cannot be copied")
    reader, writer = operator(source), operator(destination)
    cursor, counts = None, Counts()
    others = Marks(source, reader.engine.storage, writer.engine.storage, place)
    try:
        await others.begin(show=show)
        with progress("copying", show=show, total=await _total(source)) as bar:
            while True:
                page, cursor = await reader.engine.storage.call("scan", source.scan(cursor, PAGE))
                await others.keep_up()
                sessions = dict[str, Record]()
                for key, record in page:
                    if marks.is_mark(record.payload) and not is_tombstone(record):
                        await others.put(key, record)
                    else:
                        sessions[key] = record
                await _put_all(writer, destination, sessions, counts, place)
                bar.update(len(page))
                if cursor is None:
                    break
        counts.marks = others.written
        await _end_gone(reader, writer, source, destination, counts, place)
        if mirror:
            await _remove_ended(reader, writer, source, destination, counts, show)
    finally:
        await reader.shutdown()
        await writer.shutdown()
    return counts


async def _total(source: Store) -> int | None:
    return await source.count() if supports(source, Countable) else None


async def _put_all(
    writer: SessionManager, destination: Store, records: dict[str, Record], counts: Counts, place: State
) -> None:
    """Copy these sessions side by side, so that stores which carry out concurrent writes together can do so.

    Raises:
        StoreUnavailable: A store does not answer.
    """
    left = deque(records.items())

    async def work() -> None:
        while left:
            await _put(writer, destination, *left.popleft(), counts, place)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(records))):
                group.create_task(work())
    except ExceptionGroup as failures:  # of the same store at the same time
        raise failures.exceptions[0] from failures


async def _put(
    writer: SessionManager, destination: Store, key: str, record: Record, counts: Counts, place: State
) -> None:
    """Create the record, or replace the version of it that was copied before; never one that was written there.

    What takes a new record's place first is no session yet. It is noted that the session is about to be there, and then
    it is written. So of a run that is killed, what was not noted has not begun at the destination, and what was noted
    and is not there has ended.
    """
    now = milliseconds()
    copied = place.find(key)
    if is_tombstone(record):
        if copied is not None:
            await _end(writer, destination, copied, counts)
            place.forget(key)
        return
    if record.expires <= now:
        place.saw(key)
        counts.expired += 1
        return
    there: Outcome | None
    if copied is None:
        first = placeholder(record)
        there = await writer.engine.storage.call("create", destination.create(key, first, now=now))
        there = first if there is DONE else there
    else:
        there = await writer.engine.storage.call("load", destination.load(key))
    begins = isinstance(there, Record) and is_placeholder(there)
    ours = () if copied is None else copied.versions
    if isinstance(there, Record) and (begins or there.version in ours) and there.version != record.version:
        place.note(key, record, there.version)  # first, so that a run after a killed one knows both as copies
        there = await writer.engine.storage.call("update", destination.update(key, record, there.version, now=now))
        if there is DONE:
            counts.copied += begins
            counts.updated += not begins
            return
    place.note(key, record)  # also what was not copied now: once it has ended there, it does not begin again
    if not isinstance(there, Record) or is_tombstone(there):
        counts.ended += 1
    elif there.version == record.version:
        if there.accessed < record.accessed:
            await writer.engine.storage.call("touch", destination.touch(key, record.accessed, record.expires, now=now))
        counts.unchanged += 1
    else:
        counts.kept += 1


async def _end_gone(
    reader: SessionManager, writer: SessionManager, source: Store, destination: Store, counts: Counts, place: State
) -> None:
    """End what was copied once and what the source has ended since, if it is there as it was copied.

    What the source has forgotten because its time was over may be in use at the destination, which judges by itself.
    """
    while gone := place.unseen(PAGE):
        for copied in gone:
            there = await reader.engine.storage.call("load", source.load(copied.key))
            if there is not None and not is_tombstone(there):
                place.saw(copied.key)
                continue
            if there is not None or copied.expires > milliseconds():
                await _end(writer, destination, copied, counts)
            place.forget(copied.key)


async def _end(writer: SessionManager, destination: Store, copied: Copied, counts: Counts) -> None:
    for version in copied.versions:
        there = await writer.engine.storage.call("delete", destination.delete(copied.key, version))
        if not isinstance(there, Record):
            counts.removed += there is DONE
            return
        if is_tombstone(there):
            return
    counts.kept += 1


async def _remove_ended(
    reader: SessionManager, writer: SessionManager, source: Store, destination: Store, counts: Counts, show: bool
) -> None:
    if not supports(destination, Scans):
        raise Failure(f"{type(destination).__name__} cannot walk through its sessions, so --mirror cannot work")
    cursor = None
    with progress("comparing", show=show) as bar:
        while True:
            page, cursor = await writer.engine.storage.call("scan", destination.scan(cursor, PAGE))
            for key, record in page:
                if marks.is_mark(record.payload):
                    continue
                there = await reader.engine.storage.call("load", source.load(key))
                if there is not None and not is_tombstone(there):
                    continue
                counts.removed += (
                    await writer.engine.storage.call("delete", destination.delete(key, record.version)) is DONE
                )
            bar.update(len(page))
            if cursor is None:
                return
