"""``holdfast copy``: move the sessions into another store while the application runs, logging nobody out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import click

from holdfast import SessionManager
from holdfast._core import marks
from holdfast._core.protocols import ABSENT, DONE, Outcome, Scans, Store
from holdfast._core.record import Record
from holdfast.cli._records import PAGE, milliseconds, progress, server_store
from holdfast.cli.group import Failure
from holdfast.cli.options import json_option, operator, print_json, run

__all__ = ["command"]

_PREFIX: Final = 8  # bytes of a key that are noted


@dataclass
class Counts:
    """What has been done so far."""

    copied: int = 0
    updated: int = 0
    unchanged: int = 0
    expired: int = 0
    ended: int = 0
    removed: int = 0


@click.command("copy")
@click.argument("source")
@click.argument("destination")
@click.option(
    "--state",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default="holdfast-copy.state",
    show_default=True,
    help="Where to note the place and what was copied, so that it can be interrupted and repeated.",
)
@click.option(
    "--mirror",
    is_flag=True,
    help="Delete at the destination what the source no longer has. Only before an application uses the destination.",
)
@json_option
def command(source: str, destination: str, state: Path, mirror: bool, as_json: bool) -> None:
    """Copy all sessions from one store to another, both named by URL.

    Cookies stay valid, as keys are copied as they are; the application must keep its secret and its cookie's name.
    Run it while the application uses the old store, then with --mirror right before it is switched over, then once
    more for what was written in between. What is newer at the destination stays, and what was copied and has ended
    there is not brought back. Interrupted, it goes on where it was.
    """
    if source == destination:
        raise click.UsageError("source and destination are the same store")
    noted = _State(state, sha256(f"{source}\n{destination}".encode()).hexdigest())
    counts = run(_copy(server_store(source), server_store(destination, exists=False), noted, mirror, not as_json))
    if as_json:
        print_json(asdict(counts))
    else:
        click.echo(
            f"{counts.copied:,} copied, {counts.updated:,} brought up to date, {counts.unchanged:,} as they were, "
            f"{counts.expired:,} expired and {counts.ended:,} ended there, left out, {counts.removed:,} removed."
        )


async def _copy(source: Store, destination: Store, place: _State, mirror: bool, show: bool) -> Counts:
    if not isinstance(source, Scans):
        raise Failure(f"{type(source).__name__} cannot walk through its sessions, so they cannot be copied")
    reader, writer = operator(source), operator(destination)
    try:
        with progress("copying", show=show) as bar:
            while not place.done:
                page, place.cursor = await reader.call("scan", source.scan(place.cursor, PAGE))
                for key, record in page:
                    known = bytes.fromhex(key)[:_PREFIX] in place.known
                    await _put(writer, destination, key, record, place.counts, known)
                place.done = place.cursor is None
                place.write([key for key, _ in page])
                bar.update(len(page))
        if mirror:
            await _remove_ended(reader, writer, source, destination, place.counts, show)
    finally:
        await reader.shutdown()
        await writer.shutdown()
    return place.counts


async def _put(
    writer: SessionManager, destination: Store, key: str, record: Record, counts: Counts, known: bool
) -> None:
    """Create the record, or replace an older one; never one that was used later than this.

    Args:
        known: It was copied before: if it is not there any more, it was ended there.
    """
    now = milliseconds()
    if record.expires <= now:
        counts.expired += 1
        return
    if known:
        there = await writer.call("load", destination.load(key))
        if there is None:
            counts.ended += 1
            return
        outcome: Outcome = there
    else:
        outcome = await writer.call("create", destination.create(key, record, now=now))
    new = outcome is DONE
    while isinstance(outcome, Record):
        if outcome.version == record.version or outcome.accessed > record.accessed:
            if outcome.version == record.version and outcome.accessed < record.accessed:
                await writer.call("touch", destination.touch(key, record.accessed, record.expires, now=now))
            counts.unchanged += 1
            return
        outcome = await writer.call("update", destination.update(key, record, outcome.version, now=now))
    if outcome is ABSENT:
        counts.ended += 1
        return
    if new:
        counts.copied += 1
    else:
        counts.updated += 1


async def _remove_ended(
    reader: SessionManager, writer: SessionManager, source: Store, destination: Store, counts: Counts, show: bool
) -> None:
    if not isinstance(destination, Scans):
        raise Failure(f"{type(destination).__name__} cannot walk through its sessions, so --mirror cannot work")
    cursor = None
    with progress("comparing", show=show) as bar:
        while True:
            page, cursor = await writer.call("scan", destination.scan(cursor, PAGE))
            for key, record in page:
                if marks.is_mark(record.payload) or await reader.call("load", source.load(key)) is not None:
                    continue
                counts.removed += await writer.call("delete", destination.delete(key, record.version)) is DONE
            bar.update(len(page))
            if cursor is None:
                return


class _State:
    """How far a copy has come, and which keys it has copied, in two files.

    The keys are 8 bytes each, one behind the other: so much of a digest tells a million of them apart.
    """

    def __init__(self, path: Path, pair: str) -> None:
        self._path, self._keys_path, self._pair = path, path.with_name(path.name + ".keys"), pair
        self.cursor: str | None = None
        self.counts = Counts()
        self.done = False
        self.known: set[bytes] = set()
        if path.exists():
            self._read()

    def _read(self) -> None:
        try:
            noted = json.loads(self._path.read_text())
            pair, self.cursor, finished = noted["pair"], noted["cursor"], noted["done"]
            self.counts = Counts() if finished else Counts(**noted["counts"])
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(f"{self._path} holds no place of a copy: name another file with --state") from error
        if pair != self._pair:
            raise Failure(f"{self._path} is of a copy between other stores: name another file with --state")
        keys = self._keys_path.read_bytes() if self._keys_path.exists() else b""
        self.known = {keys[at : at + _PREFIX] for at in range(0, len(keys) - _PREFIX + 1, _PREFIX)}

    def write(self, page: list[str]) -> None:
        """Note the keys of a page, then the place behind it; that file is replaced as a whole."""
        new_keys = {bytes.fromhex(key)[:_PREFIX] for key in page} - self.known
        with self._keys_path.open("ab") as file:
            file.write(b"".join(new_keys))
        self.known |= new_keys
        new = self._path.with_name(self._path.name + ".new")
        noted = {"pair": self._pair, "cursor": self.cursor, "done": self.done, "counts": asdict(self.counts)}
        new.write_text(json.dumps(noted))
        new.replace(self._path)
