"""Check the structure of the package: no import circles, private names stay private, the core stays small.

Usage: ``python -m scripts.check_structure``. Prints one line per problem; exit code 1 if there is any.

* No two modules import each other, directly or by way of others. Imports inside of functions and those for type
  checkers count. A package's ``__init__`` is a module like any other: importing ``limpet.stores.redis`` does not
  import from ``limpet.stores``.
* A name that begins with one underscore is used in the module that defines it, by subclasses through ``self``,
  ``cls`` or ``super()``, and by the friends that ``FRIENDS`` names; see `scripts.private_names`.
* What a store can do is asked with ``supports``. Since Python 3.12, ``isinstance`` with a protocol no longer sees what
  ``__getattr__`` answers, so a store that wraps another one would lose the powers of the one behind it.
* The core has fewer than ``CORE_LINES`` lines.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from scripts.private_names import is_private, private_uses

PACKAGE: Final = Path("src/limpet")
CORE: Final = "_core"
CORE_LINES: Final = 5_900
PROTOCOLS: Final = frozenset({"contract", "protocols"})

FRIENDS: Final[Mapping[str, frozenset[str]]] = {
    # Django's public interface of a model class is underscored: docs.djangoproject.com, "Model _meta API", "Managers".
    "adapters.django.admin": frozenset({"_default_manager", "_meta"}),
    # BlackSheep's own cookie store shows nothing else of how it signs.
    "adapters.blacksheep._application": frozenset({"_signer"}),
    # redis-py opens a connection, and what sends over it directly needs its transport or socket, and its errors.
    "adapters.flask._messages": frozenset({"_get_current_object"}),
    "stores.redis.direct": frozenset({"_parser"}),
    "stores.redis.line": frozenset({"_parser", "_writer"}),
    # cachelib's cache of files says nowhere else where they are.
    "adapters.flask._settings": frozenset({"_path"}),
    # Nexios' documents tell users to read and write `_data` and `_session_cache` in classes of theirs; the other two
    # are underscored so that no attribute of such a class meets them.
    "adapters.nexios._backend_store": frozenset({"_data", "_life", "_next_key"}),
    "adapters.nexios._interfaces": frozenset({"_session_cache"}),
}
"""Modules that may use private names of objects defined elsewhere: below the package, without its name, to the names.
Each entry needs a reason beside it; one that is no longer needed is a problem, too."""


class Module(NamedTuple):
    """One module of the package.

    Attributes:
        name: Its dotted name.
        path: Its file.
        tree: Its syntax.
        is_package: Whether its file is an ``__init__.py``.
    """

    name: str
    path: Path
    tree: ast.Module
    is_package: bool


def modules(package: Path) -> dict[str, Module]:
    """Read all modules of a package, by their names."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")), is_package)
    return found


# --- circles ----------------------------------------------------------------------------------


def imported(module: Module, known: Iterable[str]) -> dict[str, int]:
    """Return the modules of the package that a module imports, with the first line that does."""
    names = set(known)
    lines: dict[str, int] = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            targets = [inner if (inner := f"{base}.{alias.name}") in names else base for alias in node.names]
        else:
            continue
        for target in targets:
            if target in names and target != module.name:
                lines.setdefault(target, node.lineno)
    return lines


def _base(module: Module, node: ast.ImportFrom) -> str:
    """Return the absolute name of the module that `from … import` names."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    up = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*up, node.module] if node.module else up)


def circles(arrows: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of modules in which each reaches each other (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for target in arrows.get(name, ()):
            if target not in order:
                visit(target)
                lowest[name] = min(lowest[name], lowest[target])
            elif target in stack:
                lowest[name] = min(lowest[name], order[target])
        if lowest[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[-len(group) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in arrows:
        if name not in order:
            visit(name)
    return sorted(found)


def circle_problems(package: dict[str, Module]) -> Iterator[str]:
    """Yield a paragraph for each circle, with the imports that make it."""
    arrows = {name: imported(module, package) for name, module in package.items()}
    for group in circles(arrows):
        yield f"{len(group)} modules import each other: {', '.join(group)}"
        for name in group:
            for target, line in arrows[name].items():
                if target in group:
                    yield f"  {package[name].path}:{line}: {name} imports {target}"


# --- private names ----------------------------------------------------------------------------


def private_problems(package: dict[str, Module], friends: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Yield one line for each use of another module's private name, and for each friendship that is not used."""
    used: dict[str, set[str]] = {name: set() for name in friends}
    for name, module in package.items():
        short = name.partition(".")[2] or name
        for use in private_uses(module.tree, name.partition(".")[0]):
            if use.name in friends.get(short, ()):
                used[short].add(use.name)
            else:
                yield f"{module.path}:{use.line}: `{use.code}` is private to another module: give it a public name"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and (base := _base(module, node)) in package:
                for alias in node.names:
                    if is_private(alias.name) and f"{base}.{alias.name}" not in package:
                        yield f"{module.path}:{node.lineno}: imports `{alias.name}`, which is private to {base}"
    for short, names in friends.items():
        for name in sorted(names - used[short]):
            yield f"FRIENDS: {short} does not use {name}: remove the entry"


# --- what a store can do ----------------------------------------------------------------------


def power_problems(package: dict[str, Module], protocols: Collection[str]) -> Iterator[str]:
    """Yield one line for each `isinstance`, `issubclass` or class pattern with a protocol of one of these modules."""
    powers = {
        node.name
        for name, module in package.items()
        if name.partition(".")[2] in protocols
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(each) == "runtime_checkable" for each in node.decorator_list)
    }
    for module in package.values():
        for node in ast.walk(module.tree):
            match node:
                case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kinds]):
                    pass
                case ast.MatchClass(cls=kinds):
                    pass
                case _:
                    continue
            for each in ast.walk(kinds):
                name = getattr(each, "attr", None) or getattr(each, "id", None)
                if name in powers:
                    yield f"{module.path}:{node.lineno}: ask for {name} with supports(), not with isinstance()"


# --- size -------------------------------------------------------------------------------------


def size_problems(core: Path, limit: int) -> Iterator[str]:
    """Yield a line if the files of the core have too many lines together."""
    lines = sum(len(path.read_bytes().splitlines()) for path in core.rglob("*.py"))
    if lines >= limit:
        yield f"{core}: {lines} lines, {limit} or more; what can be simpler, or belongs outside?"


def problems(package: Path) -> list[str]:
    """Return all that is wrong with a package."""
    found = modules(package)
    if not found:
        return [f"there is no package in {package}: run this from the root of the repository"]
    return [
        *circle_problems(found),
        *private_problems(found, FRIENDS),
        *power_problems(found, PROTOCOLS),
        *size_problems(package / CORE, CORE_LINES),
    ]


def main() -> int:
    """Print what was found; return 1 if there was anything."""
    found = problems(PACKAGE)
    for problem in found:
        print(problem)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
