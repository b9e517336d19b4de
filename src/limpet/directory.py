"""Whose sessions: list, end, export and open them from outside, by subject, public id or tag.

Sessions in cookies are never listed, and ended only with ``CookieStore(revocation=...)``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any

from limpet import _listing as listing
from limpet import _tags as tags
from limpet import events
from limpet._acts import Act, forget, hear
from limpet._arguments import check_subject, of_tag
from limpet._cookie_revocation import require
from limpet._core import ending, locks
from limpet._core.engine import Engine
from limpet._core.positions import subject_key
from limpet._core.session import Session, state_of
from limpet._core.state import LOGIN, PASSIVE, Stored
from limpet._detached import check_session, is_key, open_session, public_id_of
from limpet._listing import Kept
from limpet._moments import moment
from limpet._session_info import SessionInfo, info_of, last_used_first
from limpet._wire import marks, moved, tokens
from limpet._wire.record import Found, Predecessor, pack
from limpet.contract import Record, Scans, supports
from limpet.errors import LimpetError

__all__ = ["Directory", "SessionInfo"]

log: logging.Logger = logging.getLogger("limpet")


class Directory:
    """Looks at the sessions of one manager from outside: by subject, public id or tag."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        hear(engine)

    async def sessions_of(self, subject: str, *, current: Session | str | None = None) -> list[SessionInfo]:
        """Return the live sessions of a subject, the last used first.

        Args:
            subject: As given to `Session.login`.
            current: The session of this request, or its public id, to be told from the others. Given as a session, it
                is last seen now.

        Raises:
            LimpetError: The sessions live in cookies, or the store keeps no index by subject.
            StoreUnavailable: The store does not answer.
        """
        check_subject(subject)
        check_session("current", current)
        if isinstance(current, Session):
            await self._engine.load(current)
        own = current.public_id if isinstance(current, Session) else current
        used = 0
        if isinstance(current, Session) and not state_of(current).flags & PASSIVE:
            used = self._engine.clock()
        infos = (info_of(self._engine, kept, own, used) async for kept in self._live(subject))
        return await last_used_first(self._engine, infos)

    async def revoke(self, public_id: str | None = None, *, tag: tuple[str, str] | None = None) -> int:
        """End one session, or all that were logged in with a tag; return how many: of a session in its cookie always 1.

        It holds for the next request everywhere, and for open WebSockets that asked (``close_sockets``). A login with
        the tag that is under way at the same time does not survive. A session whose change of id could not be finished
        ends under its old id too, if that is the same subject's.

        Args:
            public_id: As `Session.public_id` and `sessions_of` give it.
            tag: Name and value, as given to ``login(..., tags={name: value})``.

        Raises:
            TypeError: Neither is given, or both, or one is of another type.
            LimpetError: The sessions live in cookies that cannot be ended so, or, with a tag, the store keeps no index.
            StoreUnavailable: The store does not answer; call it again.
        """
        if (public_id is None) == (tag is None):
            raise TypeError("revoke takes a public id, or tag=(name, value)")
        if tag is not None:
            return await self._revoke_tag(*of_tag(tag))
        public_id = public_id_of(public_id)
        engine = self._engine
        if not engine.is_server_side:
            if not is_key(public_id):
                return 0
            revocation = require(engine.revocation, "denylist")
            await revocation.end_lineage(engine.storage, public_id)
            return 1
        record = await engine.storage.load(public_id) if is_key(public_id) else None
        if record is None:
            return 0
        if not (await ending.end(engine, Stored(b"", public_id, record), "revoke", None))[1]:
            return 0
        engine.emit(events.SessionRevoked, public_id, subject=record.subject)
        if events.ACTOR.get()[0] is not None and engine.storage.has_marks:
            note = Act(what="session", tag=public_id[:8], subject=record.subject).note(engine)
            await engine.storage.positions.advance(None, before=note, announced=True, said=True)
        return 1

    async def revoke_all(self, subject: str, *, except_: Session | str | None = None) -> int:
        """End all sessions of a subject, on every device; return how many: of those in cookies always 0.

        It holds from the moment at which the store has noted it, whatever the index by subject knows; the records are
        deleted after that, a page at a time. A login of the subject that is under way at the same time does not
        survive, one that follows does.

        Args:
            subject: As given to `Session.login`.
            except_: The session that stays, as one's own after a change of password; or its public id. Sessions in
                cookies end together, this one too unless it logs in: call `Session.login` after it.

        Raises:
            LimpetError: The sessions live in cookies that cannot be ended so, or the store keeps no index by subject.
            SessionBusy: With ``except_``: for 10 seconds others did the same for this subject. Nothing has ended.
            StoreUnavailable: The store does not answer; call it again, as records may be left.
        """
        check_subject(subject)
        check_session("except_", except_)
        engine = self._engine
        if engine.is_server_side:
            engine.storage.require_index()
        else:
            require(engine.revocation, "epoch")
        if isinstance(except_, Session):
            await engine.load(except_)  # one that was not read yet has a key all the same
        spared: list[str] = []
        act = Act(what="subject", subject=subject)

        async def spare(number: int) -> None:
            assert except_ is not None
            spared[:] = await self._spare(except_, number)

        alone = except_ is not None and engine.is_server_side  # else two would each mean what the other spares
        lock = locks.Lock(engine, "spare", subject, life=10.0, wait=10.0) if alone else nullcontext()
        async with lock:
            number = await engine.storage.positions.advance(
                subject_key(subject), before=act.note(engine), spare=spare if alone else None, said=act.said
            )
        if isinstance(except_, Session) and state_of(except_).flags & LOGIN:  # not saved yet: it counts as later
            state_of(except_).position = number
        return await self._end_of(subject, number, spared) if engine.is_server_side else 0

    async def revoke_everyone(self, progress: Callable[[int], None] | None = None) -> int:
        """End every session in the store, the anonymous ones too; return how many.

        For an incident, and for a backup that was restored and brought ended sessions back. It holds from the moment at
        which the store has noted it; the records are deleted after that. Logins under way do not survive. All managers
        that share the store are meant.

        A store that cannot walk through its records (`Scans`) keeps them until they expire, which is logged: no session
        opens any more, and none is counted.

        Args:
            progress: Called with the number of records that are deleted so far.

        Raises:
            LimpetError: The sessions live in cookies, or the store keeps no index by subject, without which nobody asks
                for the journal.
            StoreUnavailable: The store does not answer; call it again, as records may be left.
        """
        engine = self._engine
        if not engine.is_server_side:
            raise LimpetError(
                "sessions in cookies cannot be walked through: to end all of them replace the secret, so that none of "
                "them opens (`limpet keys rotate --keep 0`), or end those of one subject with revoke_all"
            )
        engine.storage.require_index()
        store: object = engine.storage.server
        act = Act(what="everyone")
        number = await engine.storage.positions.advance(None, before=act.note(engine), said=act.said)
        if not supports(store, Scans):
            log.warning(
                "all sessions have ended. %s cannot walk through its records (it has no scan(), see Scans): they stay "
                "until they expire",
                type(store).__name__,
            )
            return 0
        return await self._end_all(store, number, progress=progress)

    async def export(self, subject: str) -> list[dict[str, Any]]:
        """Return everything that is kept of a subject: the data of each live session and what is known of its device.

        Raises:
            LimpetError: The sessions live in cookies, or the store keeps no index by subject.
            StoreUnavailable: The store does not answer.

        Source: Regulation (EU) 2016/679 (GDPR), article 15.
        """
        check_subject(subject)
        return [
            {
                "public_id": kept.key,
                "created_at": moment(kept.contents.created),
                "last_seen": moment(kept.record.accessed),
                "tags": dict(kept.contents.tags),
                "acr": kept.contents.level,
                "amr": list(kept.contents.methods),
                "device": dict(kept.contents.device),
                "bound": dict(kept.contents.bound or {}),
                "data": kept.contents.data,
            }
            async for kept in self._live(subject)
            if kept.contents is not None
        ]

    async def erase(self, subject: str) -> int:
        """Delete everything that is kept of a subject, its name included; return how many sessions that ended.

        What remains are digests of the subject: with the number and time of this call, as long as a session from
        before it could live, so that nothing brings it back; in the lists of tags of sessions that had ended before,
        up to their deadline; and with ``max_sessions``, with the number of its logins.

        Raises:
            LimpetError: The sessions live in cookies, or the store keeps no index by subject.
            StoreUnavailable: The store does not answer; call it again, as something may be left.

        Source: Regulation (EU) 2016/679 (GDPR), article 17.
        """
        check_subject(subject)
        engine = self._engine
        pairs: set[tuple[str, str]] = set()
        async for page in listing.pages_of(engine, subject):
            pairs |= {pair for kept in page if kept.contents is not None for pair in kept.contents.tags.items()}
        ended = await self.revoke_all(subject)
        await tags.forget(engine, subject, pairs)
        await forget(engine, subject)
        return ended

    def open(self, public_id: str) -> AbstractAsyncContextManager[Session]:
        """Open a live session without its client, in a worker or a background job.

        ::

            async with manager.open(public_id) as session:
                session["report"] = "ready"

        It is saved at the end, merged with what requests wrote meanwhile; after an exception nothing is but a logout,
        unless the policy says ``save_on_error``. It never makes a session, cannot change its id, and does not count as
        activity: the idle deadline stays.

        Raises:
            LimpetError: The sessions live in cookies.
            SessionEnded: There is none with that id, or it was ended while it was open.
            StoreUnavailable: The store does not answer.
        """
        return open_session(self._engine, public_id, Session)

    # -- steps

    async def _live(self, subject: str) -> AsyncIterator[Kept]:
        """Yield the live sessions of a subject. Other tasks run between two pages of them, whatever is made of them."""
        found = await listing.live(self._engine, subject)
        found.reverse()
        while found:  # each is let go of by itself: to free hundreds of thousands at once would take half a second
            yield found.pop()
            if not len(found) % listing.PAGE:
                await self._engine.runtime.sleep(0)

    async def _revoke_tag(self, name: str, value: str) -> int:
        engine = self._engine
        engine.storage.require_index()
        known: marks.Facts = {}

        def note(facts: marks.Facts) -> None:
            known.update(facts)

        act = Act(what="tag")
        number = await engine.storage.positions.advance(
            marks.tag_key(name, value), note=note, before=act.note(engine), said=act.said
        )
        store: object = engine.storage.server
        if known.get("many", 0) > engine.clock() and supports(store, Scans):
            return await self._end_all(store, number, (name, value))
        ended = 0
        for subject in await tags.subjects_of(engine.storage, known):
            ended += await self._end_of(subject, number, [], (name, value))
        return ended

    async def _end_all(
        self,
        store: Scans,
        number: int,
        tag: tuple[str, str] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Delete what a revocation of everyone, or of a tag with very many subjects, ended."""
        engine, ended, cursor = self._engine, 0, None
        while True:
            page, cursor = await engine.storage.call("scan", store.scan(cursor, listing.PAGE))
            kept = [listing.decoded(engine, key, record) for key, record in page if not marks.is_mark(record.payload)]
            ended += await self._end_page(kept, number, tag)
            if progress is not None:
                progress(ended)
            if cursor is None:
                return ended
            await engine.runtime.sleep(0)

    async def _end_of(self, subject: str, number: int, spared: list[str], tag: tuple[str, str] | None = None) -> int:
        """Delete the records of the sessions that a revocation ended.

        A renewal on the way may take one out of sight of a page; it is dead all the same, and deleted when it is used.
        """
        ended = 0
        async for page in listing.pages_of(self._engine, subject):
            ended += await self._end_page([one for one in page if one.key not in spared], number, tag)
        return ended

    async def _spare(self, spared: Session | str, number: int, whose: str | None = None) -> list[str]:
        """Let a session count as later than a revocation, if it is ``whose``; return its key, wherever it moved.

        And that of its old id, which the browser has until the response of a request that has saved a new one.
        """
        engine = self._engine
        state = state_of(spared) if isinstance(spared, Session) else None
        stored = None if state is None else state.stored
        raw, key = (b"", "") if stored is None else (stored.raw, stored.key or "")
        key = spared if isinstance(spared, str) else key
        if not is_key(key):
            return [key]
        while True:
            found = await engine.storage.locate(raw, key, met_alive=True)
            if not isinstance(found, Found) or (whose and found.record.subject != whose):
                return [key]
            found.contents.seen = max(found.contents.seen, number)  # another who spares it may be ahead
            payload = pack(found.contents, engine.serializer)
            record = found.record._replace(version=tokens.new_version(), payload=payload)
            if await engine.storage.update(found.key, record, found.record.version, urgent=True) is None:
                break
        if state is not None and state.draft is not None:
            state.draft.seen = found.contents.seen
            if state.stored is stored and stored is not None and stored.record.version == found.record.version:
                state.stored = Stored(found.raw, found.key, record, stored.ends)
        keys = [found.key]
        for row in map(Predecessor.of, found.contents.predecessors):
            keys += await self._spare(row.key, number, found.record.subject) if row.base is not None else ()
        return keys

    async def _end_page(self, page: Sequence[Kept], number: int, tag: tuple[str, str] | None) -> int:
        def spares(key: str, there: Record) -> bool:  # it was written to: by who spares it, it may be
            return not _is_over(listing.decoded(self._engine, key, there), number, tag)

        steps = [partial(self._end, one.key, one.record, spares) for one in page if _is_over(one, number, tag)]
        return sum(await self._engine.runtime.together(steps))

    async def _end(self, public_id: str, record: Record, spares: Callable[[str, Record], bool]) -> bool:
        """Delete a session that a numbered revocation ended, wherever it has gone; False: it was gone, or stays.

        Args:
            spares: Takes a key and what lies there by now, if that is something else; tells whether it stays.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        engine, key = self._engine, public_id
        there: Record | None = record
        while there is not None:
            after = moved.led_to(key, there)
            if after is not None:
                key, there = after, await engine.storage.load(after)
            elif marks.is_mark(there.payload):
                return False
            else:
                obstacle = await engine.storage.delete(key, there.version)
                if obstacle is None:
                    engine.emit(events.SessionRevoked, public_id, subject=record.subject)
                    return True
                there = obstacle if isinstance(obstacle, Record) else None
            if there is not None and spares(key, there):
                return False
        return False


def _is_over(kept: Kept, number: int, tag: tuple[str, str] | None) -> bool:
    """Tell whether a session ended with the revocation of that number: of everything, or of a tag."""
    tagged = tag is None or (kept.contents is not None and kept.contents.tags.get(tag[0]) == tag[1])
    return tagged and kept.seen < number
