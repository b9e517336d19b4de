"""The mapping side of Django's contract: keys and values, and the attributes that others poke."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final, Self

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.utils.module_loading import import_string

from limpet._core.session import Session, backend_of, state_of
from limpet._core.state import OVER

__all__ = ["MappingStore"]

_MISSING: Final[Any] = object()


class MappingStore(SessionBase):  # type: ignore[misc]  # Django has no annotations
    """A session of the engine behind the methods and attributes of ``SessionBase``; expiry and test cookies are its.

    Args:
        session_key: What the cookie holds; None: a new session.

    Attributes:
        remember: The login that is saved next lives as long as ``SessionPolicy.remember``.
        acr: How sure the application is of the login that is saved next; None: it has not said.
        amr: By what that login is made.
    """

    def __init__(self, session_key: str | None = None) -> None:
        self._session_key = session_key
        self.accessed: bool = False
        self._modified: bool | None = None  # None: nobody has said
        self._held: Session | None = None  # None: it was not read yet
        self._login_noted = False
        self.remember = False
        self.acr: str | None = None
        self.amr: tuple[str, ...] = ()

    @abstractmethod
    def hold(self) -> Session:
        """Return the session of the engine, read."""

    @abstractmethod
    async def ahold(self) -> Session:
        """Return the session of the engine, read."""

    @abstractmethod
    def note(self) -> None:
        """Tell the engine what Django keeps in the data: whose session it is, and when it ends."""

    # -- copies

    def __copy__(self) -> Self:
        """Return another object of the same session, as with Django's own: once read, each has the other's changes."""
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        """Return the keys and values as a plain dict."""
        return copy.deepcopy(self._read().copy(), memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self._read().copy(),)

    # -- what others poke

    @cached_property
    def serializer(self) -> Any:
        """The class that ``SESSION_SERIALIZER`` names; `encode` and `decode` use it."""
        return import_string(settings.SESSION_SERIALIZER)

    @property
    def modified(self) -> bool:
        """Whether there is something to save, changes inside of values included; what was set stays."""
        if self._modified is None:
            return self._held is not None and self._held.modified
        return self._modified

    @modified.setter
    def modified(self, modified: bool) -> None:
        self._modified = modified

    @property
    def _session_cache(self) -> dict[str, Any]:
        """The dict that is saved; not there before the session was read, as Django has it."""
        if self._held is None:
            raise AttributeError("_session_cache")
        return self._held.live_data()

    @_session_cache.setter
    def _session_cache(self, data: Mapping[str, Any]) -> None:
        held = self.hold()
        if data is not state_of(held).data:
            for key in held.keys() - data.keys():
                del held[key]
            held.update(data)

    @_session_cache.deleter
    def _session_cache(self) -> None:
        self._held = None

    def _get_session(self, no_load: bool = False) -> dict[str, Any]:
        self.accessed = True
        return self.hold().live_data()

    async def _aget_session(self, no_load: bool = False) -> dict[str, Any]:
        self.accessed = True
        return (await self.ahold()).live_data()

    _session = property(_get_session)

    def is_empty(self) -> bool:
        """Tell whether there is neither a key nor data; Django then deletes the cookie.

        Not where another request ended the session or changed its key: the browser may hold a newer cookie by now.
        """
        if self._session_key or self._held is None:
            return not self._session_key
        state = state_of(self._held)
        return not state.data and not state.flags & OVER

    # -- keys and values

    def _read(self) -> Session:
        self.accessed = True
        return self.hold() if self._held is None else self._held

    async def _aread(self) -> Session:
        self.accessed = True
        return await self.ahold() if self._held is None else self._held

    def __contains__(self, key: object) -> bool:
        return key in self._read()

    def __getitem__(self, key: str) -> Any:
        return self._read()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._set(self._read(), key, value)

    def __delitem__(self, key: str) -> None:
        del self._read()[key]
        self.modified = True

    def _set(self, held: Session, key: str, value: Any) -> None:
        held[key] = value
        self.modified = True
        if key == SESSION_KEY:
            backend_of(held).note_login(state_of(held))  # a revocation from now on ends it, however late it is saved
            self._login_noted = True

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        return self._read().get(key, default)

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Remove a key and return its value, or the default.

        Raises:
            KeyError: There is neither.
        """
        held = self._read()
        if key in held:
            self.modified = True
        return held.pop(key) if default is _MISSING else held.pop(key, default)

    def setdefault(self, key: str, value: Any) -> Any:
        """Return the value of a key; set it first if there is none."""
        held = self._read()
        if key not in held:
            self._set(held, key, value)
        return held[key]

    def update(self, dict_: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Set several keys."""
        held = self._read()
        for key, value in dict(dict_).items():
            self._set(held, key, value)
        self.modified = True

    def has_key(self, key: str) -> bool:
        """Tell whether there is a value."""
        return key in self._read()

    def clear(self) -> None:
        """Remove all keys; the session key stays."""
        held = self._read()
        for key in list(held):
            del held[key]
        self.modified = True

    # -- the same, where the session is read without blocking

    async def aset(self, key: str, value: Any) -> None:
        """Do what ``session[key] = value`` does."""
        self._set(await self._aread(), key, value)

    async def aget(self, key: str, default: Any = None) -> Any:
        """Do what `get` does."""
        return (await self._aread()).get(key, default)

    async def apop(self, key: str, default: Any = _MISSING) -> Any:
        """Do what `pop` does."""
        await self._aread()
        return self.pop(key, default)

    async def asetdefault(self, key: str, value: Any) -> Any:
        """Do what `setdefault` does."""
        await self._aread()
        return self.setdefault(key, value)

    async def aupdate(self, dict_: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Do what `update` does."""
        await self._aread()
        self.update(dict_)

    async def ahas_key(self, key: str) -> bool:
        """Do what `has_key` does."""
        return key in await self._aread()

    async def adelete_test_cookie(self) -> None:
        """Do what ``delete_test_cookie`` does."""
        await self._aread()
        del self[self.TEST_COOKIE_NAME]
