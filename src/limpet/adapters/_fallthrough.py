"""Names and submodules that an adapter does not have are those of the framework that it stands for.

An adapter that follows a framework's documentation is used by putting a prefix before the framework's name in an import
line. No line has to be split for that: what the adapter does not define is taken from the framework, names and
submodules alike, and is the framework's own object, never a second copy of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["fall_through"]


def fall_through(here: str, there: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module that stands for a framework's, and serve the submodules it lacks.

    ::

        __getattr__ = fall_through(__name__, "blacksheep.sessions")

    Args:
        here: The module's name.
        there: The name of the framework's module. If the framework has none, absent names are errors as usual.
    """
    _Finder.find_or_install().homes[here] = there

    def missing(name: str) -> Any:
        if name.startswith("__"):  # what the import system asks for
            raise AttributeError(f"module {here!r} has no attribute {name!r}")
        theirs = getattr(import_module(there), name, None) if _exists(there) else None
        if theirs is not None and not isinstance(theirs, ModuleType):
            return theirs
        if _exists(f"{here}.{name}"):  # a submodule: ours before theirs
            return import_module(f"{here}.{name}")
        if theirs is None:
            raise AttributeError(f"neither {here} nor {there} has {name!r}")
        return theirs

    return missing


class _Finder(MetaPathFinder):
    """Finds the submodules that only the framework has.

    Attributes:
        homes: For each of our packages, the framework's that it stands for.
        aliases: Names of ours under which a module of the framework itself was imported, with its own name. What is
            below one is the framework's too.
    """

    def __init__(self) -> None:
        self.homes: dict[str, str] = {}
        self.aliases: dict[str, str] = {}

    @classmethod
    def find_or_install(cls) -> _Finder:
        """Return the one in ``sys.meta_path``, the only thing that importing such an adapter leaves behind."""
        finder = next((entry for entry in sys.meta_path if isinstance(entry, cls)), None)
        if finder is None:
            finder = cls()
            sys.meta_path.insert(0, finder)  # before the one that would load a framework's file a second time
        return finder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to import a submodule, if it is the framework's."""
        parent, _, name = fullname.rpartition(".")
        there = self.aliases.get(parent) or self.homes.get(parent)
        if there is None or (parent in self.homes and PathFinder.find_spec(fullname, path) is not None):
            return None
        return ModuleSpec(fullname, _Alias(self, f"{there}.{name}")) if _exists(f"{there}.{name}") else None


class _Alias(Loader):
    """Puts the framework's own module in the place of the one that is being imported."""

    def __init__(self, finder: _Finder, name: str) -> None:
        self._finder = finder
        self._name = name

    def exec_module(self, module: ModuleType) -> None:
        """Import it and take the place of ``module``, as the import system allows a module to do."""
        here = module.__name__
        sys.modules[here] = import_module(self._name)
        self._finder.aliases[here] = self._name


def _exists(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is no package, or does not exist
        return False
