"""A session that is a dict, for code that asks ``isinstance(request.session, dict)`` or hands it to C.

What serializes, copies or joins a dict reads it past its methods, so this one holds what is in the session itself:
filled at the first use, and compared with what it was filled with after each write and before the session is saved.
"""

from __future__ import annotations

import copy
import inspect
from abc import ABCMeta
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from operator import is_
from typing import Any, Final, cast

from limpet._core.session import Session
from limpet._core.state import FROZEN
from limpet.errors import SessionNotLoaded

__all__ = ["DictSession"]

_READS: Final = ("__contains__", "__eq__", "__iter__", "__len__", "__ne__", "__reversed__", "keys")
_HAND_OUT: Final = ("__or__", "__ror__", "copy", "items", "values")
_WRITES: Final = ("__delitem__", "__ior__", "pop", "popitem", "setdefault", "update")


class DictSession(dict[str, Any]):
    """The dict of a session, with the methods of the session beside those of a dict.

    Args:
        session: The session that it shows, and is saved as. A mapping instead makes one that belongs to no request and
            is never saved, for tests of handlers.
    """

    __slots__ = ("__weakref__", "_base", "_session")

    def __init__(self, session: Session | Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._session = session if isinstance(session, Session) else Session.standalone(session)
        self._base: dict[str, Any] | None = None  # as it was filled; None: it is not filled yet

    # -- between the two

    def pull(self) -> None:
        """Show what is in the session now; objects in it are the session's own, so that changes inside them count."""
        self._base = self._session.peek()
        dict.clear(self)
        dict.update(self, self._base)

    def hand_out(self, key: Any) -> None:
        """Let the session look through the container under a key when it is saved, since a handler has got it."""
        if key in self._session:
            self._session[key]

    def push(self) -> None:
        """Give the session what was changed here since."""
        base, session = self._base, self._session
        if base is None:
            return
        values, items, changed = dict.values(self), dict.items(self), False
        if len(base) == len(items) and all(map(is_, values, base.values())) and [*dict.keys(self)] == [*base]:
            return  # nothing was assigned, and the order is the same
        for key, value in items:
            if key not in base or base[key] is not value:
                session[key], changed = value, True
        if len(base) != len(items) or changed:
            for key in [key for key in base if not dict.__contains__(self, key)]:
                session.pop(key, None)
            self._base = dict(items)

    def fill(self) -> None:
        """Read the session, once."""
        if self._base is None:
            self.pull()

    def replace(self, data: Mapping[str, Any]) -> None:
        """Put other data in the place of what is here; nothing at all ends the session."""
        if not data:
            self.clear()
            return
        self.fill()
        dict.clear(self)
        dict.update(self, data)

    # -- a dict, beyond what is made below

    def __getitem__(self, key: str) -> Any:
        if self._base is None:
            self.pull()
        value = dict.__getitem__(self, key)
        if type(value) not in FROZEN:
            self.hand_out(key)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or the default."""
        if self._base is None:
            self.pull()
        value = dict.get(self, key, default)
        if type(value) not in FROZEN:
            self.hand_out(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        if self._base is None:
            self.pull()
        self._session[key] = value  # refused here, if it is
        dict.__setitem__(self, key, value)
        if self._base is not None:
            self._base[key] = value

    def clear(self) -> None:
        """End the session, as `Session.clear`; a later write begins a new one."""
        self._session.clear()
        dict.clear(self)
        self._base = {}

    def __repr__(self) -> str:
        return repr(self._session)  # nothing of what is in it

    def __copy__(self) -> dict[str, Any]:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(self.copy(), memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self.copy(),)

    @classmethod
    def fromkeys(cls, keys: Any, value: Any = None) -> dict[str, Any]:  # type: ignore[override]
        """Return a plain dict."""
        return dict.fromkeys(keys, value)

    # -- a session

    @property
    def accessed(self) -> bool:
        """Whether a handler read or wrote it; what ``Vary: Cookie`` depends on. True can be set."""
        return self._session.accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        if value:
            self.mark_accessed()

    @property
    def modified(self) -> bool:
        """Whether there is something to save, nested changes included; setting it changes nothing about that."""
        self.push()
        return self._session.modified

    @modified.setter
    def modified(self, value: bool) -> None:
        if value:
            self.mark_accessed()

    def mark_modified(self) -> None:
        """Do what Starlette's own session needs for a nested change. Here those are found by comparing."""
        self.mark_accessed()

    def mark_accessed(self) -> None:
        """Note that a handler took hold of the session (Starlette calls this), and read it for what it does next.

        Raises:
            SessionNotLoaded: It is lazy: what reads a dict without asking it would find this one empty.
        """
        try:
            self.fill()
        except SessionNotLoaded:
            raise SessionNotLoaded("await get_session(request).load()") from None
        self._session.mark_accessed()

    def exclusive(self, name: str, **options: Any) -> AbstractAsyncContextManager[DictSession]:
        """Do something once at a time for this session; see `Session.exclusive`."""
        return self._exclusive(name, options)

    @asynccontextmanager
    async def _exclusive(self, name: str, options: Mapping[str, Any]) -> AsyncIterator[DictSession]:
        self.push()
        async with self._session.exclusive(name, **options):
            self.pull()
            yield self
            self.push()
        self.pull()

    def __getattr__(self, name: str) -> Any:
        """Return what the session has beyond a dict; its methods see what was changed here, and show what they did."""
        if name.startswith("_"):
            return getattr(self._session, name)
        self.push()
        found = getattr(self._session, name)
        return self._around(found) if inspect.isroutine(found) else found

    def _around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.push()
            done = method(*args, **options)
            if inspect.isawaitable(done):
                return self._wait(done)
            self._show()
            return done

        return call

    async def _wait(self, done: Any) -> Any:
        result = await done
        self._show()
        return self if result is self._session else result

    def _show(self) -> None:
        if self._base is not None:
            self.pull()


def _reading(name: str) -> Callable[..., Any]:
    method = getattr(dict, name)

    def reading(self: DictSession, *args: Any, **options: Any) -> Any:
        if self._base is None:
            self.pull()
        return method(self, *args, **options)

    reading.__name__, reading.__doc__ = name, method.__doc__
    return reading


def _handing_out(name: str) -> Callable[..., Any]:
    """Return a method whose result has all values: each is the session's own, and may be changed."""
    reading = _reading(name)

    def handing_out(self: DictSession, *args: Any, **options: Any) -> Any:
        result = reading(self, *args, **options)
        for key, value in dict.items(self):
            if type(value) not in FROZEN:
                self.hand_out(key)
        return result

    handing_out.__name__, handing_out.__doc__ = name, reading.__doc__
    return handing_out


def _writing(name: str) -> Callable[..., Any]:
    """Return a method that writes to the session at once: what the session refuses is refused there, and undone."""
    method = getattr(dict, name)

    def writing(self: DictSession, *args: Any, **options: Any) -> Any:
        if self._base is None:
            self.pull()
        done = method(self, *args, **options)
        try:
            self.push()
        except BaseException:
            self.pull()
            raise
        if name == "setdefault" and type(done) not in FROZEN:
            self.hand_out(args[0])
        return done

    writing.__name__, writing.__doc__ = name, method.__doc__
    return writing


for _name in _READS:
    setattr(DictSession, _name, _reading(_name))
for _name in _HAND_OUT:
    setattr(DictSession, _name, _handing_out(_name))
for _name in _WRITES:
    setattr(DictSession, _name, _writing(_name))

cast("ABCMeta", Session).register(DictSession)  # for `isinstance`
