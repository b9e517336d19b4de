"""Match Python code by its syntax, and put other code in its place.

A pattern is Python code. Formatting, comments, quotes and redundant parentheses make no difference; order and names do.

* A pattern of one expression matches that expression wherever it stands, inside of a larger one too.
* Any other pattern is one statement or several, and matches the same number of statements in a row.
* ``__X__``, any name in capitals between double underscores, is a placeholder for one expression, one statement, or
  one identifier. The same placeholder twice stands for the same code twice.
* ``__MORE__``, or any placeholder whose name begins with ``MORE``, stands for any number of statements, arguments or
  elements, none included.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = ["Stale", "replaced"]

Bound: TypeAlias = dict[str, Any]
"""What each placeholder stands for: a node, an identifier, or a list of nodes."""

_PLACEHOLDER: Final = re.compile(r"__[A-Z][A-Z0-9_]*?__")
_MORE: Final = re.compile(r"__MORE[A-Z0-9_]*?__")
_IGNORED: Final = {"ctx", "kind", "type_comment"}


class Stale(Exception):
    """A pattern that does not match exactly once, or a change that changes nothing."""


class _Place(NamedTuple):
    """Where a pattern has matched: items of a list, or one node in a field (then start and end are None)."""

    parent: ast.AST
    field: str
    start: int | None
    end: int | None
    bound: Bound


def replaced(source: str, where: str, old: str, new: str) -> str:
    """Return the text of a module in which one piece of code is replaced; comments and formatting are not kept.

    Args:
        source: The text of the module.
        where: The qualified name of the function, class or attribute to look in; empty for the whole module.
        old: The pattern.
        new: What takes its place; empty removes statements. It may use the placeholders of the pattern.

    Raises:
        Stale: Nothing has that name, the pattern does not match there exactly once, or the change makes no difference.
        ValueError: The pattern is empty, or ``new`` has a placeholder that the pattern lacks.
    """
    module = ast.parse(source)
    before = ast.unparse(module)
    pattern, substitute = ast.parse(old).body, ast.parse(new).body
    if not pattern:
        raise ValueError("the pattern is empty: write the code that is to be replaced")
    expression = _expression(pattern), _expression(substitute)
    scopes = list(_named(module, where.split("."))) if where else [module]
    if not scopes:
        raise Stale(f"there is no {where}")
    if expression[0] is not None and expression[1] is not None:
        found = [place for scope in scopes for place in _expressions(scope, expression[0])]
        values: list[ast.AST] = [expression[1]]
    else:
        found = [place for scope in scopes for place in _runs(module, scope, pattern)]
        values = list(substitute)
    if len(found) != 1:
        raise Stale(f"the code is there {len(found)} times in {where or 'the module'}")
    _put(found[0], [each for value in values for each in _filled(value, found[0].bound)])
    after = ast.unparse(ast.fix_missing_locations(module))
    if after == before:
        raise Stale("the change makes no difference")
    compile(after, "<replaced>", "exec")
    return after


def _expression(body: list[ast.stmt]) -> ast.expr | None:
    """Return what a pattern consists of if it is one expression."""
    return body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else None


def _named(holder: ast.AST, path: list[str]) -> Iterator[ast.AST]:
    """Find what has a qualified name: definitions, and assignments to a name of a class or module."""
    for statement in _statements(holder):
        if path[0] not in _names(statement):
            continue
        if len(path) == 1:
            yield statement
        else:
            yield from _named(statement, path[1:])


def _statements(holder: ast.AST) -> Iterator[ast.stmt]:
    """Go through the statements of a block, and of the `if`, `try`, `with` and loops in it; into no definition."""
    for child in ast.iter_child_nodes(holder):
        if isinstance(child, ast.stmt):
            yield child
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case) and not _names(child):
            yield from _statements(child)


def _names(node: ast.AST) -> list[str]:
    """Return the names that a definition or an assignment gives."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


def _expressions(scope: ast.AST, pattern: ast.expr) -> Iterator[_Place]:
    """Find an expression anywhere below a node."""
    for parent in ast.walk(scope):
        for field, value in ast.iter_fields(parent):
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                bound: Bound = {}
                if isinstance(node, ast.expr) and _matches(pattern, node, bound):
                    yield _Place(parent, field, index, None if index is None else index + 1, bound)


def _runs(module: ast.Module, scope: ast.AST, pattern: list[ast.stmt]) -> Iterator[_Place]:
    """Find statements in a row: the named one itself, or in any block below it."""
    inside = set(ast.walk(scope))
    for parent in ast.walk(module):
        for field, block in ast.iter_fields(parent):
            if not (isinstance(block, list) and block and isinstance(block[0], ast.stmt)):
                continue
            within = [index for index, statement in enumerate(block) if statement in inside]
            for start, end in combinations_with_replacement(within, 2):
                bound: Bound = {}
                if _all_match(pattern, block[start : end + 1], bound):
                    yield _Place(parent, field, start, end + 1, bound)


def _matches(pattern: Any, node: Any, bound: Bound) -> bool:
    """Compare a pattern and code; note in ``bound`` what the placeholders stand for."""
    name = _placeholder(pattern)
    if name is not None and isinstance(node, ast.stmt if isinstance(pattern, ast.stmt) else ast.expr):
        return _binds(name, node, bound)
    if isinstance(pattern, list):
        return isinstance(node, list) and _all_match(pattern, node, bound)
    if not isinstance(pattern, ast.AST):
        if isinstance(pattern, str) and isinstance(node, str) and _PLACEHOLDER.fullmatch(pattern):
            return _binds(pattern, node, bound)
        return type(pattern) is type(node) and bool(pattern == node)
    return type(pattern) is type(node) and all(
        _matches(value, getattr(node, field), bound)
        for field, value in ast.iter_fields(pattern)
        if field not in _IGNORED
    )


def _all_match(patterns: list[Any], nodes: list[Any], bound: Bound) -> bool:
    """Compare lists, in which some placeholders stand for any number of items."""
    if not patterns:
        return not nodes
    name = _placeholder(patterns[0])
    if name is None or not _MORE.fullmatch(name):
        return bool(nodes) and _matches(patterns[0], nodes[0], bound) and _all_match(patterns[1:], nodes[1:], bound)
    for count in range(len(nodes) + 1):
        tried = dict(bound)
        if _binds(name, nodes[:count], tried) and _all_match(patterns[1:], nodes[count:], tried):
            bound.update(tried)
            return True
    return False


def _binds(name: str, value: Any, bound: Bound) -> bool:
    """Note what a placeholder stands for; return whether that agrees with what it stood for before."""
    return bool(_key(bound.setdefault(name, value)) == _key(value))


def _placeholder(node: Any) -> str | None:
    """Return the name of a placeholder; one that is a statement stands for statements."""
    if isinstance(node, ast.Expr):
        node = node.value
    return node.id if isinstance(node, ast.Name) and _PLACEHOLDER.fullmatch(node.id) else None


def _key(value: Any) -> Any:
    """Return what is equal for equal pieces of code, whether they are read or assigned to."""
    if isinstance(value, list):
        return [_key(each) for each in value]
    if isinstance(value, ast.AST):
        return [type(value), *(_key(part) for field, part in ast.iter_fields(value) if field not in _IGNORED)]
    return type(value), value


def _filled(node: ast.AST, bound: Bound) -> list[Any]:
    """Return new code, with what the placeholders stand for."""
    name = _placeholder(node)
    if name is not None:
        if name not in bound:
            raise ValueError(f"{name} is a placeholder of the new code that the pattern lacks")
        value = bound[name]
        if isinstance(node, ast.expr) and isinstance(value, str):
            return [ast.Name(value, ast.Load())]
        return list(value) if isinstance(value, list) else [value]
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            setattr(node, field, _filled(value, bound)[0])
        elif isinstance(value, list):
            items = [_filled(each, bound) if isinstance(each, ast.AST) else [each] for each in value]
            setattr(node, field, [each for item in items for each in item])
        elif isinstance(value, str) and field != "value" and value in bound:
            setattr(node, field, bound[value])
    return [node]


def _put(place: _Place, values: list[Any]) -> None:
    """Put nodes where a pattern has matched."""
    if place.start is None:
        setattr(place.parent, place.field, values[0])
        return
    items = getattr(place.parent, place.field)
    statements = isinstance(items[place.start], ast.stmt)
    items[place.start : place.end] = values
    if statements and not items:
        items.append(ast.Pass())
