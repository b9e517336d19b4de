"""Find uses of private names, those that begin with one underscore, outside of the module that defines them.

The syntax alone does not say what an object is. So a use is taken for a foreign one if

* the object has a type that the module imports from the package (an annotated parameter, variable or attribute, an
  attribute set from such a parameter, or the result of calling such a class), or
* the type is unknown, and the module gives nothing of its own that name.

``self``, ``cls`` and ``super()`` inside of a class are the class's own. Names of another library's module are not
looked at: `os._exit`, say, is documented.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

__all__ = ["Use", "is_private", "private_uses"]

PUBLIC: Final = frozenset({"_replace", "_asdict", "_fields", "_make", "_field_defaults"})
"""Public although they begin with an underscore: what every `NamedTuple` has."""

_OWN: Final = frozenset({"self", "cls", "mcs"})
_BY_NAME: Final = frozenset({"getattr", "setattr", "hasattr", "delattr", "attrgetter"})

Types: TypeAlias = dict[str, bool]
"""Whether the type of a variable, or of an attribute of ``self``, is a foreign one; others are not in it."""
_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Use(NamedTuple):
    """One use of a private name of something foreign.

    Attributes:
        line: Where.
        name: The private name.
        code: The expression.
    """

    line: int
    name: str
    code: str


def is_private(name: str) -> bool:
    """Return whether a name begins with an underscore and means it."""
    return name.startswith("_") and not name.startswith("__") and name != "_" and name not in PUBLIC


def private_uses(tree: ast.Module, package: str) -> Iterator[Use]:
    """Yield the uses of private names that a module does not define; ``package`` is the name of the outermost one."""
    yield from sorted(_Finder(tree, package).found)


class _Finder(ast.NodeVisitor):
    """Goes through a module and notes what is used.

    Attributes:
        found: What was found.
    """

    def __init__(self, tree: ast.Module, package: str) -> None:
        self.found: list[Use] = []
        self._own = _defined(tree)
        classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        self._known = dict.fromkeys(classes, False) | dict.fromkeys(_imported(tree, package) - classes, True)
        self._others = _modules(tree)
        self._variables: Types = {}
        self._attributes: Types = {}
        self._in_class = False
        self.visit(tree)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Learn the types of a class's attributes, then look into it."""
        before = self._attributes, self._in_class
        self._attributes, self._in_class = self._attributes_of(node), True
        self.generic_visit(node)
        self._attributes, self._in_class = before

    def visit_FunctionDef(self, node: _Function) -> None:
        """Learn the types of a function's parameters and variables, then look into it."""
        before = self._variables
        self._variables = before | self._locals(node)
        self.generic_visit(node)
        self._variables = before

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 (the name is given by `NodeVisitor`)
    visit_Lambda = visit_FunctionDef  # noqa: N815

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Judge ``object._name``."""
        self._judge(node, node.value, node.attr)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Judge ``getattr(object, "_name")`` and its like."""
        name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
        if name in _BY_NAME or name in {"__setattr__", "__getattribute__"}:
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            for text in texts[:1]:
                self._judge(node, node.args[0], text)
        self.generic_visit(node)

    def _judge(self, node: ast.expr, owner: ast.expr, name: str) -> None:
        if not is_private(name):
            return
        foreign = self._is_foreign(owner)
        if foreign or (foreign is None and name not in self._own):
            self.found.append(Use(node.lineno, name, ast.unparse(node)))

    def _is_foreign(self, node: ast.expr) -> bool | None:
        """Return whether the type of an object is foreign; None if that is not known."""
        match node:
            case ast.Name(id=name) if name in self._variables:
                return self._variables[name]
            case ast.Name(id=name) if name in _OWN and self._in_class:
                return False
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in _OWN and self._in_class:
                return self._attributes.get(name)
            case ast.Call(func=ast.Name(id="super")) if self._in_class:
                return False
            case ast.Name(id=name) if name in self._others:
                return False
            case ast.Call(func=ast.Name(id=name)) | ast.Name(id=name):
                return self._known.get(name)
            case ast.Await(value=value) | ast.NamedExpr(value=value):
                return self._is_foreign(value)
        return None

    def _locals(self, function: _Function) -> Types:
        """Return the types of a function's parameters and annotated variables; a new variable hides an outer one."""
        types: Types = {}
        spec = function.args
        for each in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs):
            self._learn(types, each.arg, each.annotation)
        for node in ast.walk(function):
            match node:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                    self._learn(types, name, annotation)
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id=kind))):
                    if kind in self._known:
                        types[name] = self._known[kind]
        return types

    def _attributes_of(self, node: ast.ClassDef) -> Types:
        """Return the types of the attributes of a class's instances."""
        types: Types = {}
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                self._learn(types, statement.target.id, statement.annotation)
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            variables = self._locals(statement)
            for each in ast.walk(statement):
                match each:
                    case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=name), annotation=kind):
                        self._learn(types, name, kind)
                    case ast.Assign(targets=targets, value=ast.Name(id=value)) if value in variables:
                        types.update(dict.fromkeys(_set_on_self(targets), variables[value]))
                    case ast.Assign(targets=targets, value=ast.Call(func=ast.Name(id=kind))) if kind in self._known:
                        types.update(dict.fromkeys(_set_on_self(targets), self._known[kind]))
        return types

    def _learn(self, types: Types, name: str, annotation: ast.expr | None) -> None:
        """Note the type of a variable or an attribute, if its annotation names one class of the package."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode="eval").body
        if annotation is None:
            return
        if isinstance(annotation, ast.Subscript) and not _is_named(annotation.value, "Optional", "Final", "ClassVar"):
            return
        names = [each.id for each in ast.walk(annotation) if isinstance(each, ast.Name)]
        known = [self._known[each] for each in names if each in self._known]
        if len(known) == 1:
            types[name] = known[0]


def _is_named(node: ast.expr, *names: str) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _set_on_self(targets: list[ast.expr]) -> list[str]:
    """Return the names of the attributes of ``self`` among the targets of an assignment."""
    return [each.attr for each in targets if isinstance(each, ast.Attribute) and _is_named(each.value, "self")]


def _imported(tree: ast.Module, package: str) -> set[str]:
    """Return the names that a module imports from the package."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == package)
        for alias in node.names
    }


def _modules(tree: ast.Module) -> set[str]:
    """Return the names that `import` statements give."""
    return {
        alias.asname or alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }


def _defined(tree: ast.Module) -> set[str]:
    """Return the private names that a module gives: to attributes, methods and slots of its classes, and variables."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id="__slots__")], value=value):
                names.update(str(each.value) for each in ast.walk(value) if isinstance(each, ast.Constant))
        if isinstance(node, ast.ClassDef):
            for each in ast.walk(node):
                match each:
                    case ast.Attribute(value=ast.Name(id=owner), attr=name, ctx=ast.Store()) if owner in _OWN:
                        names.add(name)
    return {name for name in names if is_private(name)}
