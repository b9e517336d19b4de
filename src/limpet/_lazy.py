"""Names of a package that are imported when somebody asks for them (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType

__all__ = ["lazily"]

_NO_EXTRAS: Mapping[str, str] = MappingProxyType({})


def lazily(
    package: str, places: Mapping[str, str], public: Sequence[str], extras: Mapping[str, str] = _NO_EXTRAS
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: Its name.
        places: The module of each name, below the package.
        public: All that ``dir()`` shows.
        extras: What to install for a name whose module needs more than the plain package.
    """

    def find(name: str) -> object:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(f"{package}.{places[name]}"), name)
        except ModuleNotFoundError as error:
            if name not in extras or (error.name or "").partition(".")[0] == "limpet":
                raise
            from limpet.errors import MissingDependency

            raise MissingDependency(name, extras[name]) from error

    return find, lambda: sorted(public)
