"""Finding the blocks of a document, what each is about, and which names it does not bring along."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

__all__ = ["PREFIXES", "Block", "Route", "bindings", "free_names", "parse", "prefixed", "read", "routes"]

PREFIXES: Final = {
    "nexios": "limpet.adapters.nexios",
    "nexio": "limpet.adapters.nexios",  # printed once so, and meant as the line above
    "blacksheep": "limpet.adapters.blacksheep",
    "fastmiddleware": "limpet.adapters.fastmvc",
}
_IMPORT: Final = re.compile(rf"^(\s*(?:from|import)\s+)({'|'.join(PREFIXES)})(?=[\s.])", re.MULTILINE)
_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})


@dataclass(frozen=True, kw_only=True)
class Block:
    """A Python block of a document.

    Attributes:
        document: The file's name.
        number: Its place among the Python blocks, from 1.
        line: The line of its fence, from 1.
        source: What is printed, without the indentation of the whole.
        framework: The adapter it is about: ``nexios``, ``blacksheep`` or ``fastmvc``.
        earlier: The sources of the blocks before it in the same document.
    """

    document: str
    number: int
    line: int
    source: str
    framework: str
    earlier: tuple[str, ...]


@dataclass(frozen=True)
class Route:
    """A route that a block declares, as printed in its decorator."""

    method: str
    path: str


def read(path: Path) -> list[Block]:
    """Return the Python blocks of a Markdown document."""
    text = path.read_text(encoding="utf-8")
    fences = [
        token
        for token in MarkdownIt().parse(text)
        if token.type == "fence" and token.info.split() and token.info.split()[0] in {"python", "py", "python3"}
    ]
    sources = [textwrap.dedent(token.content) for token in fences]
    named = [match for source in sources for match in _IMPORT.findall(source)]
    framework = PREFIXES[named[0][1]].rpartition(".")[2] if named else "none"
    return [
        Block(
            document=path.name,
            number=number,
            line=(token.map or [0])[0] + 1,
            source=source,
            framework=framework,
            earlier=tuple(sources[: number - 1]),
        )
        for number, (token, source) in enumerate(zip(fences, sources, strict=True), 1)
    ]


def prefixed(source: str) -> str:
    """Return the source with the prefix in its import lines, and nothing else changed."""
    return _IMPORT.sub(lambda match: match[1] + PREFIXES[match[2]], source)


def parse(source: str) -> ast.Module:
    """Return the tree of a block.

    Raises:
        SyntaxError: The block is no Python.
    """
    return ast.parse(prefixed(source))


def routes(tree: ast.Module) -> list[Route]:
    """Return the routes in the decorators of the block's functions, in their order."""
    found: list[Route] = []
    for node in tree.body:
        if not isinstance(node, (ast.AsyncFunctionDef, ast.FunctionDef)):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and decorator.args and isinstance(decorator.args[0], ast.Constant):
                name = decorator.func.attr if isinstance(decorator.func, ast.Attribute) else None
                name = decorator.func.id if isinstance(decorator.func, ast.Name) else name
                if name in _METHODS:
                    found.append(Route(name, str(decorator.args[0].value)))
    return found


def bindings(tree: ast.Module) -> dict[str, ast.stmt]:
    """Return which statement at the top of a block binds which name."""
    bound: dict[str, ast.stmt] = {}
    for node in tree.body:
        for name in _bound_by(node):
            bound[name] = node
    return bound


def _bound_by(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        for target in ast.walk(node):
            if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
                yield target.id


def free_names(tree: ast.AST) -> list[str]:
    """Return the names that are used and nowhere bound, in the order of their first use."""
    bound = set(dir(builtins))
    used: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                used.setdefault(node.id)
            else:
                bound.add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.stmt):
            bound.update(_bound_by(node))
    return [name for name in used if name not in bound]
