"""Which build this is, and what mypyc is told about a class; see ``hatch_build.py``."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, TypeVar

__all__ = ["build", "caused", "mypyc_attr", "own_registry"]

E = TypeVar("E", bound=BaseException)
_INIT: Final = "_abc_init"

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**_):
        """Leave a class as it is: mypyc reads this in the source, and nothing has to be installed for it."""
        return lambda decorated: decorated


def build() -> str:
    """Return ``"compiled"`` or ``"pure"``: what the engine of this installation is."""
    spec = find_spec("limpet._core.plan")
    return "pure" if spec is None or (spec.origin or "").endswith(".py") else "compiled"


def caused(error: E, cause: BaseException | None) -> E:
    """Return an error with its cause: mypyc leaves out what stands behind ``from`` in a ``raise``."""
    error.__cause__ = cause
    return error


def own_registry(of: type) -> None:
    """Give an abstract class a registry of its own: a compiled one has its base's, to which every dict belongs."""
    if "_abc_impl" not in vars(of):
        getattr(import_module("_abc"), _INIT)(of)  # what `abc.ABCMeta` itself calls
