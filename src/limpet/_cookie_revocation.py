"""How cookie sessions are ended, where that was asked for: by marks in a server-side store.

With ``denylist`` there is one mark (`limpet._wire.marks`) for each login, named by the *lineage* that all its cookies
have in common: it says that the login was ended, or how often its id was changed, so that cookies from before the last
change are dead. With ``epoch`` sessions of a subject are ended together, by the numbers of `limpet._core.positions`. A
cookie is believed only after the mark was looked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, TypeVar

from limpet._core.positions import number_of, subject_key
from limpet._wire import marks
from limpet._wire.journal import JOURNAL
from limpet._wire.record import Contents
from limpet.contract import NEVER
from limpet.errors import LimpetError, StoreUnavailable
from limpet.policy import slack_ms

if TYPE_CHECKING:
    from limpet._core.storage import Storage
    from limpet.contract import Store

__all__ = ["Due", "Ended", "Mode", "Revocation", "Whose", "require"]

Mode: TypeAlias = Literal["none", "epoch", "denylist"]
Whose: TypeAlias = tuple[Contents, str | None]
"""The contents of a cookie, and its subject."""
Done = TypeVar("Done")

_LONGEST: Final = 400 * 86_400_000  # milliseconds that a browser keeps a cookie at most
_REMEMBERED: Final = 10_000  # answers that the cache holds at most


class Ended(NamedTuple):
    """What ending a session came to.

    Attributes:
        number: The number of the revocation that was written for it; 0: none.
        before: What the mark said before.
    """

    number: int = 0
    before: Sequence[marks.Facts] = ()


class Due(NamedTuple):
    """What is to end before a cookie goes out: the contents of cookies, and whose they are.

    Attributes:
        others: Sessions that it takes the place of.
        renewed: What its own session was, if older cookies of that are to be dead; None: they stay.
    """

    others: list[Whose]
    renewed: Whose | None = None


class Revocation:
    """How cookie sessions are ended.

    Args:
        mode: ``"epoch"`` or ``"denylist"``.
        store: Where the marks are kept.
        cache_ms: So long an answer of the store is believed without asking again. 0: not at all.
    """

    def __init__(self, mode: Mode, store: Store, cache_ms: int) -> None:
        self.mode = mode
        self.store = store
        self._cache_ms = cache_ms
        self._answers: dict[str, tuple[int, int]] = {}

    async def limit(self, storage: Storage, key: str) -> int:
        """Return what a cookie has to have seen at least, as the mark of this key says.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        now, journal = storage.clock(), storage.positions.journal
        known = self._answers.get(key)
        if known is not None and 0 <= now - known[0] < self._cache_ms:
            return known[1]
        if self.mode == "epoch":
            record, there = await storage.load_many((key, JOURNAL))
            journal = storage.positions.take(there)
        else:
            record = await storage.load(key)
        facts = {} if record is None else marks.read(record.payload)
        # A damaged mark ends what it is about: trouble in the store never logs anybody in.
        if facts is None or facts.get("ended") or (self.mode == "epoch" and journal.seq < 0):
            limit = NEVER
        elif self.mode == "epoch":
            limit = number_of(record, journal.seq)
        else:
            limit = int(facts.get("generation", 0))
        if self._cache_ms:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            self._answers[key] = now, limit
        return limit

    def forget(self, key: str) -> None:
        """Ask for this mark again, as this process has just written it."""
        self._answers.pop(key, None)

    def key_of(self, contents: Contents, subject: str | None) -> str | None:
        """Return the key of the mark that would end this session, or None: it has no lineage, so nothing can end it."""
        if self.mode == "epoch" and subject is not None:
            return subject_key(subject)
        return None if contents.lineage is None else marks.mark_key("cookie", contents.lineage)

    async def is_live(self, storage: Storage, contents: Contents, subject: str | None) -> bool:
        """Tell whether the session of a cookie was not ended.

        Raises:
            StoreUnavailable: The store does not answer, so that it cannot be told.
        """
        key = self.key_of(contents, subject)
        if key is None:
            return False  # one from before revocation was switched on could never be ended
        of_subject = self.mode == "epoch" and subject is not None
        return await self.limit(storage, key) <= (contents.seen if of_subject else contents.generation)

    async def end(
        self, storage: Storage, key: str, subject: str | None, before: list[marks.Facts] | None = None
    ) -> Ended:
        """End one session, and with ``epoch`` all of its subject.

        Args:
            before: Takes what the mark said before each write that is tried.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        before = [] if before is None else before
        if self.mode != "epoch" or subject is None:
            await self.end_lineage(storage, key, before)
            return Ended()
        number = await storage.positions.advance(key, note=before.append)
        self.forget(key)
        return Ended(number, before)

    async def end_lineage(self, storage: Storage, key: str, before: list[marks.Facts] | None = None) -> None:
        """Write the mark that ends a login.

        Args:
            before: See `end`.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        until = _longest(storage)

        def ended(facts: marks.Facts) -> tuple[marks.Facts, int]:
            if before is not None:
                before.append(facts)
            kept = max(until, int(facts.get("until", 0)))
            return {**facts, "ended": 1, "until": kept}, kept

        await marks.amend(storage, key, ended)
        self.forget(key)

    def owed(self, due: Due, own: Whose, others: Sequence[Whose]) -> Due:
        """Add what a cookie takes the place of that an earlier save of the same request has made.

        Args:
            own: The session of that cookie.
            others: What it may take the place of: what the request had read, and what else it came with.
        """
        key, renewed, named = self.key_of(*own), due.renewed, list(due.others)
        for each in others:
            if self.mode == "denylist" and each[0].lineage == own[0].lineage:
                renewed = renewed or each
            elif self.mode == "denylist" or self.key_of(*each) != key:
                named.append(each)
        return Due(named, renewed)

    async def carry_out(self, storage: Storage, due: Due | None, generation: int) -> bool:
        """End what a cookie takes the place of, before it goes out; False: somebody else was first, or ended it.

        Args:
            generation: How often the id was changed, as that cookie says.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        for contents, subject in () if due is None else due.others:
            key = self.key_of(contents, subject)
            assert key is not None
            tried: list[marks.Facts] = []
            await self._surely(storage, self.end(storage, key, subject, tried), contents, subject, tried)
        if due is None or due.renewed is None or (key := self.key_of(*due.renewed)) is None:
            return True
        sent: list[int] = []
        advance = self._advance(storage, key, generation, sent)
        advanced = await self._surely(storage, advance, *due.renewed, sent)
        return advanced is None or advanced

    async def _surely(
        self,
        storage: Storage,
        ending: Awaitable[Done],
        contents: Contents,
        subject: str | None,
        sent: Sequence[object],
    ) -> Done | None:
        """Await what ends the session of a cookie; None: the reply was lost, and it has ended.

        Args:
            sent: Where it has noted a write that ends the cookie of the browser itself: None also if it cannot be told
                what became of that, else nothing would be left to a browser whose cookie has ended.

        Raises:
            StoreUnavailable: The session was not ended.
        """
        failure: StoreUnavailable | None = None
        try:
            return await ending
        except StoreUnavailable as error:
            failure = error
        try:
            if not await self.is_live(storage, contents, subject):
                return None
        except StoreUnavailable:
            if sent:
                say = storage.emitter.log.warning
                say("old cookie", "older cookies of a session may still be alive: the store does not answer")
                return None
        raise failure

    async def _advance(self, storage: Storage, key: str, generation: int, sent: list[int]) -> bool:
        until, admitted = _longest(storage), True

        def next_(facts: marks.Facts) -> tuple[marks.Facts, int]:
            nonlocal admitted
            admitted = not facts.get("ended") and facts.get("generation", 0) < generation
            kept = max(until, int(facts.get("until", 0)))
            sent.append(generation)
            return ({**facts, "generation": generation, "until": kept} if admitted else facts), kept

        await marks.amend(storage, key, next_)
        self.forget(key)
        return admitted


def require(revocation: Revocation | None, mode: Mode) -> Revocation:
    """Check that cookie sessions are ended in this way; return how.

    Raises:
        LimpetError: They are not; the message says which setting would do it.
    """
    if revocation is None or revocation.mode != mode:
        what = "a single cookie session" if mode == "denylist" else "all cookie sessions of a subject"
        raise LimpetError(f"{what} can be ended with CookieStore(revocation={mode!r}, revocation_store=...) only")
    return revocation


def _longest(storage: Storage) -> int:
    """Return when every cookie that exists now is dead, whatever session it is of and whatever policy sealed it."""
    policy = storage.policy
    spans = [policy.absolute_ms if policy.absolute_ms is not None else policy.idle_ms]
    spans += [policy.remember_ms] if policy.remember_ms is not None else []
    lasting = [span for span in spans if span is not None]
    if len(lasting) < len(spans):
        return NEVER
    return storage.clock() + max(_LONGEST, 2 * max(lasting)) + slack_ms(None)
