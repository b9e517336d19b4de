"""Whose sessions: list, end, export and open them from outside, by subject, public id or tag.

All of it needs a store on the server. What a cookie holds the server cannot list or end.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

from limpet._core import events, locks, logins, marks, plan, revocation
from limpet._core.inline import Inline
from limpet._core.logins import Kept
from limpet._core.manager import Engine
from limpet._core.opened import is_key, open_session
from limpet._core.protocols import Scans
from limpet._core.record import NEVER, Record
from limpet._core.session import Session
from limpet.devices import summary
from limpet.errors import LimpetError

__all__ = ["SessionInfo", "Subjects"]

_PAGE: Final = 500  # records that one step of a walk through the store takes


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionInfo:
    """One live session, as a person sees it in a list of devices. It holds nothing that could be sent as a cookie.

    Attributes:
        public_id: Names it, for `Subjects.revoke`.
        subject: Whose it is.
        created_at: When it began.
        last_seen: When it was last used, as exact as ``SessionPolicy.touch_interval``.
        expires_at: When it ends if nobody uses it; None: never.
        authenticated_at: When somebody logged in.
        remember: It was a login with ``remember=True``.
        device: The user agent in a few words, such as ``Firefox 141 on Ubuntu``; ``unknown`` without
            ``SessionManager(devices=True)``.
        user_agent: The header itself.
        address: The truncated address, such as ``203.0.113.0/24``.
        tags: What the application put on the login.
        current: It is the session that was given as ``current``.
    """

    public_id: str
    subject: str | None
    created_at: datetime
    last_seen: datetime
    expires_at: datetime | None
    authenticated_at: datetime | None = None
    remember: bool = False
    device: str = "unknown"
    user_agent: str | None = None
    address: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    current: bool = False


class Subjects(Engine):
    """The part of a `SessionManager` that looks at sessions from outside."""

    async def sessions_of(self, subject: str, *, current: Session | str | None = None) -> list[SessionInfo]:
        """Return the live sessions of a subject, the last used first.

        Args:
            subject: As given to `Session.login`.
            current: The session of this request, or its public id, to be told from the others.

        Raises:
            LimpetError: The sessions live in cookies, or the store keeps no index by subject.
            StoreUnavailable: The store does not answer.
        """
        own = current.public_id if isinstance(current, Session) else current
        found = [self._info(kept, own) for kept in await logins.live(self, subject)]
        return sorted(found, key=lambda info: (info.last_seen, info.public_id), reverse=True)

    async def revoke(self, public_id: str | None = None, *, tag: tuple[str, str] | None = None) -> int:
        """End one session, or all that were logged in with a tag; return how many.

        It holds for the next request everywhere, and for open WebSockets that asked (``close_sockets``). A login with
        the tag that is under way at the same time does not survive.

        Args:
            public_id: As `Session.public_id` and `sessions_of` give it.
            tag: Name and value, as given to ``login(..., tags={name: value})``.

        Raises:
            TypeError: Neither is given, or both.
            StoreUnavailable: The store does not answer; call it again.
        """
        if (public_id is None) == (tag is None):
            raise TypeError("revoke takes a public id, or tag=(name, value)")
        if tag is not None:
            return await self._revoke_tag(*tag)
        assert public_id is not None
        if not self.is_server_side:
            return await revocation.revoke(self, public_id) if is_key(public_id) else 0
        record = await self.call("load", self.server.load(public_id), public_id) if is_key(public_id) else None
        if record is None or marks.is_mark(record.payload):
            return 0
        return int(await self._end(public_id, record, record.subject))

    async def revoke_all(self, subject: str, *, except_: Session | str | None = None) -> int:
        """End all sessions of a subject, on every device; return how many.

        A login of the subject that is under way at the same time does not survive, one that follows does.

        Args:
            subject: As given to `Session.login`.
            except_: The session that stays, as one's own after a change of password; or its public id.

        Raises:
            LimpetError: The sessions live in cookies, or the store keeps no index by subject.
            StoreUnavailable: The store does not answer; call it again, as some may be left.
        """
        if not self.is_server_side:
            mark = await revocation.revoke_all(self, subject)
        else:
            mark = await marks.forbid(self, marks.mark_key(*marks.EVERYONE, subject))
        if isinstance(except_, Session) and except_._login and except_._contents is not None:
            except_._contents.authenticated = mark + 1  # noted, and not saved yet: it counts as later
        return await self._end_of(subject, mark, except_) if self.is_server_side else 0

    async def revoke_everyone(self) -> int:
        """End every session in the store, the anonymous ones too; return how many.

        For an incident, and for a backup that was restored and brought ended sessions back. Logins under way do not
        survive. All managers that share the store are meant.

        Raises:
            LimpetError: The sessions live in cookies, or the store cannot walk through its records.
            StoreUnavailable: The store does not answer; call it again, as some may be left.
        """
        if not self.is_server_side:
            raise LimpetError(
                "sessions in cookies cannot be walked through: to end all of them replace the secret, so that none of "
                "them opens (`limpet keys rotate --keep 0`), or end those of one subject with revoke_all"
            )
        store = self.server
        if not isinstance(store, Scans):
            raise LimpetError(f"{type(store).__name__} cannot walk through its sessions: it has no scan(), see Scans")
        mark, ended, cursor = await marks.forbid(self, marks.mark_key(*marks.EVERYONE)), 0, None
        while True:
            page, cursor = await self.call("scan", cast(Scans, store).scan(cursor, _PAGE))
            for key, record in page:
                if not marks.is_mark(record.payload) and not _is_later(logins.read(self, key, record), mark):
                    ended += await self._end(key, record, record.subject)
            if cursor is None:
                return ended

    async def export(self, subject: str) -> list[dict[str, Any]]:
        """Return everything that is kept of a subject: the data of each live session and what is known of its device.

        Raises:
            LimpetError: The sessions live in cookies, or the store keeps no index by subject.
            StoreUnavailable: The store does not answer.

        Source: Regulation (EU) 2016/679 (GDPR), article 15.
        """
        return [
            {
                "public_id": kept.key,
                "created_at": _moment(kept.contents.created),
                "last_seen": _moment(kept.record.accessed),
                "tags": dict(kept.contents.tags),
                "device": dict(kept.contents.device),
                "data": kept.contents.data,
            }
            for kept in await logins.live(self, subject)
            if kept.contents is not None
        ]

    async def erase(self, subject: str) -> int:
        """Delete everything that is kept of a subject, ended tags included; return how many sessions that ended.

        What remains for a day is the digest of the subject with the time of this call, so that no login under way
        brings anything back.

        Raises:
            LimpetError: The sessions live in cookies, or the store keeps no index by subject.
            StoreUnavailable: The store does not answer; call it again, as something may be left.

        Source: Regulation (EU) 2016/679 (GDPR), article 17.
        """
        tags = {
            pair for kept in await logins.find(self, subject) if kept.contents for pair in kept.contents.tags.items()
        }
        ended = await self.revoke_all(subject)
        for name, value in tags:
            await marks.amend(self, marks.tag_key(name, value), lambda facts: _without(facts, subject, self.clock()))
        return ended

    def open(self, public_id: str) -> AbstractAsyncContextManager[Session]:
        """Open a live session without its client, in a worker or a background job.

        ::

            async with manager.open(public_id) as session:
                session["report"] = "ready"

        It is saved at the end, merged with what requests wrote meanwhile; after an exception nothing is. It never
        makes a session, cannot change its id, and does not count as a use: the idle deadline stays.

        Raises:
            SessionEnded: There is none with that id.
            StoreUnavailable: The store does not answer.
        """
        self.use_running_loop()
        return open_session(self, public_id)

    def exclusive(self, name: str, *, life: float = 30.0, wait: float = 10.0) -> AbstractAsyncContextManager[None]:
        """Hold the only lock of a name over all processes that use the store.

        Args:
            name: What is done one at a time.
            life: Seconds after which another may go ahead, should this process die.
            wait: Seconds to wait for others at most.

        Raises:
            SessionBusy: Others held it all the time.
            StoreUnavailable: The store does not answer.
        """
        self.use_running_loop()
        return locks.hold(self, "name", name, life=life, wait=wait)

    def use_running_loop(self) -> None:
        """Run on asyncio from now on, if this is called on an event loop of its; the middleware does it by itself."""
        asyncio = sys.modules.get("asyncio")  # whoever runs on it has imported it
        if asyncio is not None and isinstance(self.runtime, Inline) and asyncio._get_running_loop() is not None:
            from limpet.runtime import AsyncioRuntime

            self.runtime = AsyncioRuntime()

    # -- steps

    async def _revoke_tag(self, name: str, value: str) -> int:
        subjects: list[str] = []

        def note(facts: marks.Facts) -> None:
            subjects[:] = facts.get("subjects", {})

        mark = await marks.forbid(self, marks.tag_key(name, value), note)
        return sum([await self._end_of(subject, mark, None, (name, value)) for subject in subjects])

    async def _end_of(
        self, subject: str, mark: int, spared: Session | str | None, tag: tuple[str, str] | None = None
    ) -> int:
        """End the sessions that were logged in to before a mark.

        A renewal or `regenerate` on the way may take a session out of sight of one look: two looks in a row have
        to find nothing.
        """
        ended = clean = 0
        while clean < 2:
            spare = await self._key_now(spared)
            clean += 1
            for kept in await logins.find(self, subject):
                tagged = tag is None or (kept.contents is not None and kept.contents.tags.get(tag[0]) == tag[1])
                if kept.key == spare or not tagged or _is_later(kept, mark):
                    continue
                clean = 0
                ended += await self._end(kept.key, kept.record, subject)
        return ended

    async def _key_now(self, spared: Session | str | None) -> str | None:
        """Return the key of the session that stays, wherever a renewal moved it."""
        if not isinstance(spared, Session) or not spared._raw:
            return spared._key if isinstance(spared, Session) else spared
        found = await self.locate(spared._raw, met=True, key=spared._key)
        return None if found is None else found.key

    async def _end(self, key: str, record: Record, subject: str | None) -> bool:
        ended = await logins.end(self, key, record)
        if ended:
            self.emit(events.SessionRevoked, key, subject=subject)
        return ended

    def _info(self, kept: Kept, own: str | None) -> SessionInfo:
        contents, record = kept.contents, kept.record
        assert contents is not None
        limit = plan.deadline(contents, record.accessed, self.policy)
        agent = contents.device.get("agent")
        return SessionInfo(
            public_id=kept.key,
            subject=record.subject,
            created_at=_moment(contents.created),
            last_seen=_moment(record.accessed),
            expires_at=None if limit == NEVER else _moment(limit),
            authenticated_at=_moment(contents.authenticated) if contents.authenticated else None,
            remember=contents.remember,
            device=summary(agent or ""),
            user_agent=agent,
            address=contents.device.get("address"),
            tags=dict(contents.tags),
            current=kept.key == own,
        )


def _is_later(kept: Kept, mark: int) -> bool:
    contents = kept.contents
    return contents is not None and contents.authenticated is not None and contents.authenticated > mark


def _without(facts: marks.Facts, subject: str, now: int) -> tuple[marks.Facts, int]:
    subjects = {who: end for who, end in facts.get("subjects", {}).items() if who != subject and end > now}
    return {**facts, "subjects": subjects}, max([*subjects.values(), now + marks.LIFE])


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
