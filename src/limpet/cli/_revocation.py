"""What ``limpet revoke`` needs beside the manager: how many it would end, and cookie sessions whose end is noted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from limpet import SessionManager, SessionPolicy
from limpet import _listing as listing
from limpet import _tags as tags
from limpet._detached import is_key
from limpet._wire import marks
from limpet.cli._records import (
    contents_of,
    is_live,
    is_revoked,
    is_sealed,
    kind_of,
    milliseconds,
    pages,
    require,
    stands,
)
from limpet.cli.group import Failure
from limpet.cli.options import PATIENCE
from limpet.contract import Record
from limpet.keyring import generate_secret
from limpet.runtime import AsyncioRuntime
from limpet.stores.cookie import CookieStore

__all__ = ["Whose", "count", "count_sealed", "end_cookies"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Whose:
    """Which sessions are meant: one of these is given.

    Attributes:
        public_ids: These.
        subject: All of a subject.
        tag: All that were logged in with a tag, its name and value.
        everyone: All there are.
    """

    public_ids: tuple[str, ...] = ()
    subject: str | None = None
    tag: tuple[str, str] | None = None
    everyone: bool = False


async def count(manager: SessionManager, whose: Whose) -> tuple[int, list[str]]:
    """Return how many sessions would end, and the public ids that name none. Nothing is changed.

    Raises:
        Failure: The store cannot walk through its sessions, which ``everyone`` needs.
        StoreUnavailable: The store does not answer.
    """
    now, found = milliseconds(), 0
    if whose.everyone:
        async for page in pages(manager):
            for _, record in page:
                found += kind_of(record) not in ("mark", "renewed") and await stands(manager, record, now)
        return found, []
    if whose.subject is not None:
        async for some in listing.pages_of(manager.engine, whose.subject):
            for kept in some:
                found += await stands(manager, kept.record, now)
        return found, []
    if whose.tag is not None:
        name, value = whose.tag
        async for record in _of_tag(manager, name, value):
            contents = contents_of(record)
            tagged = contents is not None and contents.tags.get(name) == value
            found += tagged and await stands(manager, record, now)
        return found, []
    unknown: list[str] = []
    for public_id in whose.public_ids:
        there = await manager.engine.storage.load(public_id) if is_key(public_id) else None
        if there is None or marks.is_mark(there.payload) or await is_revoked(manager, there):
            unknown.append(public_id)
    return len(whose.public_ids) - len(unknown), unknown


async def count_sealed(manager: SessionManager, name: str, value: str) -> int:
    """Return how many live sessions, of the subjects that logged in with a tag, cannot be read to look for it.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    now, found = milliseconds(), 0
    async for record in _of_tag(manager, name, value):
        found += is_sealed(record) and is_live(record, now)
    return found


async def _of_tag(manager: SessionManager, name: str, value: str) -> AsyncIterator[Record]:
    """Return the records of the subjects that logged in with a tag: of all subjects, if there are more than a few."""
    mark = await manager.engine.storage.load(marks.tag_key(name, value))
    facts = (marks.read(mark.payload) if mark is not None else None) or {}
    if facts.get("many", 0) > milliseconds():
        async for page in pages(manager):
            for _, record in page:
                yield record
        return
    for subject in await tags.subjects_of(manager.engine.storage, facts):
        async for kept in listing.pages_of(manager.engine, subject):
            for one in kept:
                yield one.record


async def end_cookies(store: CookieStore, whose: Whose) -> None:
    """Note the end of sessions that live in their cookies, where the application looks for such notes.

    Raises:
        Failure: It looks for none, or the store of the notes is not there.
        LimpetError: Notes of this kind end other sessions than those that are meant.
        StoreUnavailable: The store of the notes does not answer.
    """
    if store.revocation_store is None:
        raise Failure(
            "these sessions are kept in the browsers' cookies, and the application looks nowhere whether one was "
            "ended: add ?revocation=epoch&store=URL to its store. To log everybody out, replace the secret: `limpet "
            "keys rotate --keep 0`"
        )
    require(store.revocation_store)
    if whose.tag is not None:
        raise Failure("cookie sessions cannot be found by a tag: give --subject, or a public id")
    async with _noting(store) as manager:
        if whose.everyone:
            await manager.revoke_everyone()
        elif whose.subject is not None:
            await manager.revoke_all(whose.subject)
        else:
            for public_id in whose.public_ids:
                await manager.revoke(public_id)


@asynccontextmanager
async def _noting(store: CookieStore) -> AsyncIterator[SessionManager]:
    """Return a manager whose notes outlive every cookie, as this process does not know how long those may live."""
    endless = SessionPolicy(idle_timeout=None, absolute_timeout=None, remember=None, store_timeout=PATIENCE)
    manager = SessionManager(store, secret=generate_secret(), policy=endless, dev=False)
    manager.runtime = AsyncioRuntime()
    try:
        yield manager
    finally:
        await manager.shutdown()
