"""Names and submodules that an adapter does not have are those of the framework that it stands for.

An adapter that follows a framework's documentation is used by putting a prefix before the framework's name in an import
line. No line has to be split for that: what the adapter does not define is taken from the framework, names and
submodules alike, and is the framework's own object, never a second copy of it.

What the adapter does define, it defines wherever the framework has it. A class of the framework that has a counterpart
here is exchanged for it at every import path below the prefix, found by what it is and not by a list of paths: so the
place that a line imports from never decides whether the line gets this library's sessions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

__all__ = ["fall_through"]

_THEIRS: Final = "__limpet_view_of__"
_NONE: Final = object()
_FORWARDED: Final = frozenset({"__all__", "__file__", "__version__"})


def fall_through(here: str, there: str, *, counterparts: Iterable[tuple[object, object]] = ()) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module that stands for a framework's, and serve the submodules it lacks.

    ::

        __getattr__ = fall_through(__name__, "blacksheep.sessions")

    Args:
        here: The module's name.
        there: The name of the framework's module. If the framework has none, absent names are errors as usual.
        counterparts: Objects of the framework, each with what takes its place below the prefix.
    """
    finder = _Finder.find_or_install()
    finder.homes[here] = there
    finder.counterparts.update({id(theirs): (theirs, ours) for theirs, ours in counterparts})

    def missing(name: str) -> Any:
        if name.startswith("__"):  # what the import system asks for
            raise AttributeError(f"module {here!r} has no attribute {name!r}")
        return finder.find(here, there, name)

    return missing


class _Finder(MetaPathFinder):
    """Finds the submodules that only the framework has.

    Attributes:
        homes: For each of our packages, the framework's that it stands for; and for each view its module.
        counterparts: The framework's objects and ours, by the identity of theirs.
    """

    def __init__(self) -> None:
        self.homes: dict[str, str] = {}
        self.counterparts: dict[int, tuple[object, object]] = {}

    @classmethod
    def find_or_install(cls) -> _Finder:
        """Return the one in ``sys.meta_path``, the only thing that importing such an adapter leaves behind."""
        finder = next((entry for entry in sys.meta_path if isinstance(entry, cls)), None)
        if finder is None:
            finder = cls()
            sys.meta_path.insert(0, finder)  # before the one that would load a framework's file a second time
        return finder

    def find(self, here: str, there: str, name: str) -> Any:
        """Return what a name means in a module that stands for a framework's.

        Raises:
            AttributeError: Neither has it.
        """
        theirs = getattr(import_module(there), name, _NONE) if _exists(there) else _NONE
        if theirs is not _NONE and not isinstance(theirs, ModuleType):
            return self.ours_for(theirs)
        if _exists(f"{here}.{name}"):  # a submodule: ours before theirs
            return import_module(f"{here}.{name}")
        if theirs is _NONE:
            raise AttributeError(f"neither {here} nor {there} has {name!r}")
        return theirs

    def ours_for(self, theirs: object) -> object:
        """Return what takes the place of an object of the framework: the object itself if nothing does."""
        return self.counterparts.get(id(theirs), (theirs, theirs))[1]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import a submodule, if it is the framework's."""
        parent, _, name = fullname.rpartition(".")
        there = self.homes.get(parent)
        if there is None or PathFinder.find_spec(fullname, path) is not None or not _exists(f"{there}.{name}"):
            return None
        return ModuleSpec(fullname, _Standing(self, f"{there}.{name}"), is_package=True)


class _Standing(Loader):
    """Loads a submodule that only the framework has.

    A module without submodules and without anything that has a counterpart is the framework's own module. Any other is
    a view of it, in which the counterparts are ours.
    """

    def __init__(self, finder: _Finder, name: str) -> None:
        self._finder = finder
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the view; `exec_module` takes it away again where it is not needed."""
        return _View(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Import the framework's module."""
        here, theirs = module.__name__, import_module(self._name)
        exchanged = any(self._finder.ours_for(each) is not each for each in list(vars(theirs).values()))
        if hasattr(theirs, "__path__") or exchanged:
            vars(module).update({_THEIRS: theirs, "__doc__": theirs.__doc__})
            self._finder.homes[here] = self._name
        else:
            sys.modules[here] = theirs  # as the import system allows a module to do


class _View(ModuleType):
    """A module of the framework, seen from below the prefix. What is set on it stays on it."""

    def __getattr__(self, name: str) -> Any:
        theirs = vars(self).get(_THEIRS)
        if theirs is None or (name.startswith("__") and name not in _FORWARDED):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name == "__all__":
            return list(getattr(theirs, name, [each for each in vars(theirs) if not each.startswith("_")]))
        return _Finder.find_or_install().find(self.__name__, theirs.__name__, name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(vars(self)[_THEIRS]), *vars(self)})


def _exists(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is no package, or does not exist
        return False
