"""Running one block: in a process and an empty folder of its own, with its routes driven over HTTP."""

from __future__ import annotations

import ast
import difflib
import html
import importlib.util
import os
import re
import tempfile
import traceback
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.documents.blocks import Block, Route, bindings, free_names, parse, prefixed, routes
from tests.documents.standins import SECRET, application, count_visits, module_for, reader_store, stand_in

__all__ = ["Result", "run"]

_FORM: Final = {"username": "ann", "password": "secret", "name": "Ann", "email": "ann@example.org", "id": "1"}
_ATTEMPTS: Final = 6


@dataclass
class Result:
    """What came of a block.

    Attributes:
        runs: It does what it says.
        mistake: It cannot, because of a mistake in the block itself.
        says: One sentence.
        notes: What was put in place for it.
    """

    runs: bool
    says: str
    mistake: bool = False
    notes: list[str] = field(default_factory=list)


class Mistake(Exception):
    """The block cannot run as printed, whatever the framework does.

    Attributes:
        typo: A name that is defined nowhere, and the one that was meant, if that can be told.
    """

    def __init__(self, message: str, typo: tuple[str, str] | None = None) -> None:
        super().__init__(message)
        self.typo = typo


def run(block: Block) -> Result:
    """Run a block; never raises."""
    warnings.simplefilter("ignore")  # weak secrets and the like are meant to be warned about
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        _templates(Path(folder))
        try:
            return Result(True, _run(block, notes), notes=notes)
        except Mistake as mistake:
            return Result(False, f"{mistake}{_corrected(block, mistake)}", mistake=True, notes=notes)
        except Exception as error:  # noqa: BLE001 - whatever the block raises is the answer
            where = traceback.extract_tb(error.__traceback__)[-1]
            return Result(False, f"{type(error).__name__}: {error} ({where.name}:{where.lineno})", notes=notes)
        finally:
            os.chdir("/")


def _corrected(block: Block, mistake: Mistake) -> str:
    """Say what the block does once its misspelt name is put right."""
    if mistake.typo is None:
        return ""
    wrong, right = mistake.typo
    try:
        source = re.sub(rf"\b{re.escape(wrong)}\b", right, block.source)
        return f"; put right, it runs: {_run(replace(block, source=source), [])}"
    except Exception as error:  # noqa: BLE001 - whatever the block raises is the answer
        return f"; put right, {type(error).__name__}: {error}"


def _run(block: Block, notes: list[str]) -> str:
    try:
        tree = parse(block.source)
    except SyntaxError as error:
        raise Mistake(f"line {error.lineno} is no Python: {error.msg}") from error
    names: dict[str, Any] = {"__name__": f"{block.framework}_block"}
    _own_modules(tree, block, notes)
    _provide(tree, block, names, notes)
    exec(compile(tree, block.document, "exec"), names)  # noqa: S102 - that is what this program is for
    backends = [value for value in names.values() if _is_backend(value, names["__name__"])]
    driven = [_drive_backend(block, kind) for kind in backends]
    declared = routes(tree)
    if declared:
        driven += _drive(names.get("app") or application(block.framework), declared, notes)
    elif not backends:
        driven += _drive_settings(block, names, notes)
    return "; ".join(driven) or "declares a name"


def _drive_settings(block: Block, names: dict[str, Any], notes: list[str]) -> list[str]:
    """Count visits in the application that a block makes, or in one with the settings that it makes."""
    app, own = names.get("app"), names.get("config", names.get("app_config"))
    if app is None and own is not None and block.framework == "nexios":
        from limpet.adapters.nexios import NexiosApp, SessionMiddleware

        app = NexiosApp(config=own)
        app.add_middleware(SessionMiddleware())
    if app is None:
        return []
    if block.framework == "nexios" and not app.config.secret_key:
        app.config.secret_key = SECRET
        notes.append("secret_key put in")
    return [_count(app, block.framework, "the application")]


def _own_modules(tree: ast.Module, block: Block, notes: list[str]) -> None:
    """A module that only the reader has: with what an earlier block defines under that name, else a small store."""
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        if importlib.util.find_spec(node.module.partition(".")[0]) is not None:
            continue
        contents: dict[str, Any] = {}
        for alias in node.names:
            scope: dict[str, Any] = {"__name__": node.module}
            if not _from_earlier(alias.name, block, scope, []):
                raise Mistake(f"it imports {alias.name} from {node.module}, which is the reader's")
            unfinished = any("..." in source and f"class {alias.name}" in source for source in block.earlier)
            contents[alias.name] = reader_store() if unfinished else scope[alias.name]
            notes.append(f"{node.module}.{alias.name} {'stands in' if unfinished else 'from an earlier block'}")
        module_for(node.module, contents)


def _provide(tree: ast.AST, block: Block, names: dict[str, Any], notes: list[str]) -> None:
    """Give every name that the block does not bring along: from an earlier block, else a stand-in."""
    for name in free_names(tree):
        if name in names:
            continue
        if name != "app" and _from_earlier(name, block, names, notes):
            continue
        try:
            names[name] = stand_in(name, block.framework)
        except KeyError:
            known = [*names, *bindings(tree if isinstance(tree, ast.Module) else ast.Module([], []))]
            close = difflib.get_close_matches(name, known, 1)
            typo = (name, close[0]) if close else None
            raise Mistake(f"{name} is defined nowhere" + (f" ({close[0]} is)" if close else ""), typo) from None
        notes.append(f"{name} stands in")


def _from_earlier(name: str, block: Block, names: dict[str, Any], notes: list[str]) -> bool:
    for source in reversed(block.earlier):
        try:
            statement = bindings(parse(source)).get(name)
        except SyntaxError:
            continue
        if statement is not None:
            alone = ast.Module([statement], [])
            _provide(alone, block, names, notes)
            exec(compile(alone, block.document, "exec"), names)  # noqa: S102
            notes.append(f"{name} from an earlier block")
            return True
    return False


def _drive(app: Any, declared: list[Route], notes: list[str]) -> list[str]:
    """Ask for every route in the printed order, twice; a session key that a handler takes for granted is put in."""
    from limpet.testing import client

    with client(app, follow_redirects=False) as browser:
        return [f"{route.method.upper()} {route.path} {_ask(browser, route, notes)}" for route in declared * 2]


def _ask(browser: Any, route: Route, notes: list[str]) -> int:
    path = re.sub(r"\{[^}]*\}", "1", route.path)
    for _ in range(_ATTEMPTS):
        missing = None
        try:
            answer = browser.request(route.method.upper(), path, data=_form(route))
        except KeyError as error:
            missing = re.match(r"'(\w+)'", str(error))
        else:
            if answer.status_code < 500:
                return int(answer.status_code)
            missing = re.search(r"KeyError\W+(\w+)'", html.unescape(answer.text))
        if missing is None:
            raise AssertionError(f"{route.method} {path} fails")
        with browser.session() as session:
            session[missing[1]] = "put in"
        notes.append(f"session[{missing[1]!r}] put in")
    raise AssertionError(f"{route.method} {path} takes more for granted than was put in")


def _form(route: Route) -> dict[str, str] | None:
    return _FORM if route.method == "post" else None


def _is_backend(value: Any, home: str) -> bool:
    """Tell whether a block defines this as a place to keep sessions in, and really does: not only with three dots."""
    if not isinstance(value, type) or value.__module__ != home:
        return False
    return any(base.__name__ in {"BaseSessionInterface", "SessionStore"} for base in value.__mro__[1:])


def _drive_backend(block: Block, kind: type) -> str:
    """Count visits over one cookie jar and over two, with the block's own class behind the sessions."""
    if "..." in prefixed(block.source):
        return f"{kind.__name__} is left to the reader"
    settings = {"manager": kind} if block.framework == "nexios" else {"store": kind()}
    return _count(application(block.framework, **settings), block.framework, kind.__name__)


def _count(app: Any, framework: str, what: str) -> str:
    from limpet.testing import client

    count_visits(app, framework)
    with client(app) as one, client(app) as other:
        seen = [_visit(visitor) for visitor in (one, one, other, one)]
    if seen != ["1", "2", "1", "3"]:
        raise AssertionError(f"{what} counted {seen}")
    return f"{what} counts visits"


def _visit(visitor: Any) -> str:
    answer = visitor.get("/visits")
    if "x-session-id" in answer.headers:  # a store that uses a header in place of a cookie
        visitor.headers["x-session-id"] = answer.headers["x-session-id"]
    return str(answer.text)


def _templates(folder: Path) -> None:
    """Lay out a template for every name that a block may render."""
    wizard = folder / "templates" / "wizard"
    wizard.mkdir(parents=True)
    (wizard / "step1.html").write_text("<form>{{ form_data }}</form>")
