"""What limpet does and Django has no word for: ``request.session.limpet``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, overload

from limpet._blocking import drive
from limpet._core.session import Session
from limpet.adapters.django._settings import manager
from limpet.directory import SessionInfo

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from limpet.adapters.django._mapping import MappingStore

__all__ = ["Exclusive", "Extras"]


class Extras:
    """What a session of limpet can do beside Django's contract; each method that asks the store has an a-form.

    Args:
        store: The session of a request.
    """

    __slots__ = ("_store",)

    def __init__(self, store: MappingStore) -> None:
        self._store = store

    # -- values

    @overload
    def increment(self, key: str, by: int = 1) -> int: ...

    @overload
    def increment(self, key: str, by: float) -> float: ...

    def increment(self, key: str, by: float = 1) -> Any:
        """Add to a number (an absent one counts as 0) and return the sum; exact under concurrent requests.

        Raises:
            TypeError: The value is not a number.
        """
        return self._added(self._store.hold(), key, by)

    @overload
    async def aincrement(self, key: str, by: int = 1) -> int: ...

    @overload
    async def aincrement(self, key: str, by: float) -> float: ...

    async def aincrement(self, key: str, by: float = 1) -> Any:
        """Do what `increment` does."""
        return self._added(await self._store.ahold(), key, by)

    def _added(self, held: Session, key: str, by: float) -> Any:
        self._store.accessed = self._store.modified = True
        return held.increment(key, by)

    def exclusive(self, name: str, *, life: float = 30.0, wait: float = 10.0) -> Exclusive:
        """Do something once at a time for this session, over all processes: for ``with``, and for ``async with``.

        The session is read anew when the lock is there and saved before it is given back.

        Args:
            name: What is done; other names do not wait.
            life: Seconds after which another may go ahead, should this process die.
            wait: Seconds to wait for others at most.

        Raises:
            SessionBusy: Others held it all the time.
            StoreUnavailable: The store does not answer.
        """
        return Exclusive(self._store, name, life, wait)

    def refresh(self) -> None:
        """See what other requests saved meanwhile; own unsaved changes are merged over it.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        drive(self.arefresh())

    async def arefresh(self) -> None:
        """Do what `refresh` does."""
        await (await self._store.ahold()).refresh()

    # -- whose session it is

    def authenticated_by(self, *amr: str, acr: str | None = None) -> None:
        """Say how somebody logs in with this request; call it before Django's ``login``.

        ::

            request.session.limpet.authenticated_by("pwd", "otp", acr="aal2")
            login(request, user)

        Args:
            amr: By what, such as ``"pwd"``, ``"otp"``.
            acr: How sure you are of it, such as ``"aal2"``.
        """
        self._store.acr, self._store.amr = acr, amr

    def remember(self, remember: bool = True) -> None:
        """Let this request's login live as long as ``SessionPolicy.remember``; call it beside Django's ``login``."""
        self._store.remember = remember

    @property
    def public_id(self) -> str | None:
        """Names this session in lists and for `revoke`; useless as a cookie. None before it was saved."""
        return self._store.hold().public_id

    @property
    def subject(self) -> str | None:
        """Whose session it is: the primary key of the user, as text."""
        return self._store.hold().subject

    @property
    def authenticated_at(self) -> datetime | None:
        """When somebody last logged in, or None."""
        return self._store.hold().authenticated_at

    @property
    def is_bound(self) -> bool:
        """Whether the session is bound to the device that it began on, so that a copied cookie opens nothing."""
        return self._store.hold().is_bound

    @property
    def expires_at(self) -> datetime | None:
        """When the session ends if it is not used, or None if it never does (or does not exist)."""
        return self._store.hold().expires_at

    @property
    def acr(self) -> str | None:
        """How sure the application was of who logged in, as `authenticated_by` said, or None."""
        return self._store.hold().acr

    @property
    def amr(self) -> tuple[str, ...]:
        """By what somebody logged in, as `authenticated_by` said."""
        return self._store.hold().amr

    def is_fresh(self, minutes: float | None = 5, *, level: str | None = None) -> bool:
        """Whether somebody logged in lately and surely enough; see `limpet.Session.is_fresh`."""
        return self._store.hold().is_fresh(minutes, level=level)

    def sessions(self) -> list[SessionInfo]:
        """Return the live sessions of this session's user, the last used first; none where nobody is logged in.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        return drive(self.asessions())

    async def asessions(self) -> list[SessionInfo]:
        """Do what `sessions` does."""
        held = await self._store.ahold()
        return [] if held.subject is None else await manager().sessions_of(held.subject, current=held)

    def revoke(self, public_id: str) -> int:
        """End one of this user's sessions; return how many ended: 0 if it is none of theirs.

        Raises:
            StoreUnavailable: The store does not answer; call it again.
        """
        return drive(self.arevoke(public_id))

    async def arevoke(self, public_id: str) -> int:
        """Do what `revoke` does."""
        if not any(info.public_id == public_id for info in await self.asessions()):
            return 0
        return await manager().revoke(public_id)

    def revoke_others(self) -> int:
        """End all sessions of this user but this one; return how many.

        Raises:
            StoreUnavailable: The store does not answer; call it again.
        """
        return drive(self.arevoke_others())

    async def arevoke_others(self) -> int:
        """Do what `revoke_others` does."""
        held = await self._store.ahold()
        return 0 if held.subject is None else await manager().revoke_all(held.subject, except_=held)


class Exclusive:
    """A lock of one session, held by ``with`` or ``async with``; gives the session."""

    __slots__ = ("_life", "_lock", "_name", "_store", "_wait")

    def __init__(self, store: MappingStore, name: str, life: float, wait: float) -> None:
        self._store = store
        self._name = name
        self._life = life
        self._wait = wait
        self._lock: AbstractAsyncContextManager[Session] | None = None

    async def __aenter__(self) -> MappingStore:
        held = await self._store.ahold()
        self._store.accessed = True
        self._lock = held.exclusive(self._name, life=self._life, wait=self._wait)
        await self._lock.__aenter__()
        return self._store

    async def __aexit__(self, *error: Any) -> None:
        assert self._lock is not None
        if error[0] is None:
            self._store.note()
        await self._lock.__aexit__(*error)

    def __enter__(self) -> MappingStore:
        return drive(self.__aenter__())

    def __exit__(self, *error: Any) -> None:
        drive(self.__aexit__(*error))
