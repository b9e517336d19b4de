"""``limpet doctor --app module:name``: the manager of an application, whatever its framework."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any

from limpet import SessionManager
from limpet.asgi import PROBE
from limpet.cli.group import Failure
from limpet.errors import ConfigurationError, LimpetError

__all__ = ["load"]


async def load(name: str) -> SessionManager:
    """Import what is named as ``module:attribute``; the folder where the command runs is searched first.

    It is the manager, an application with one, a middleware or an extension such as ``limpet.adapters.flask.Limpet``,
    or a function that returns one of these and can be called without arguments.

    Raises:
        Failure: There is no such thing, or it cannot be made; the message says why, and what to write.
    """
    module, colon, path = name.partition(":")
    if not module or not colon or not path:
        raise Failure(f"{name!r} names no manager: write --app module:attribute, such as --app shop.main:manager")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
        if inspect.isfunction(found) and _needs_nothing(found):
            found = found()
        managers = [found] if isinstance(found, SessionManager) else await _managers_of(found)
    except Exception as error:
        raise Failure(f"--app {name}: {_said(error)}") from error
    if len(managers) != 1:
        which = "nor an application with one" if not managers else f"but an application with {len(managers)}"
        kind = type(found).__name__
        raise Failure(f"--app {name} is a {kind}, no SessionManager {which}: name the manager itself, module:manager")
    return managers[0]


def _needs_nothing(function: Any) -> bool:
    """Tell whether a function can be called without arguments: all that it has have a default."""
    parameters = inspect.signature(function).parameters.values()
    return all(each.default is not each.empty for each in parameters)


def _said(error: Exception) -> str:
    """Return what an error says; of one that says little by itself, its type too, and the line that raised it."""
    if isinstance(error, (ImportError, AttributeError, LimpetError)):
        return str(error)
    at = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith("<")][-1]
    return f"{type(error).__name__}: {error} ({at.filename}, line {at.lineno})"


async def _managers_of(app: Any) -> list[SessionManager]:
    """Ask an application for its managers; if it is not ASGI's, look at it and at what it is around."""
    managers = await _asked(app)
    inside, seen = app, set[int]()
    while not managers and inside is not None and id(inside) not in seen:
        seen.add(id(inside))
        managers += _held_by(inside)
        inside = getattr(inside, "app", getattr(inside, "wsgi_app", None))
    return list({id(manager): manager for manager in managers}.values())


async def _asked(app: Any) -> list[SessionManager]:
    """Ask an application for its managers, by a scope that only session middleware answers.

    Raises:
        ConfigurationError: Its middleware is made when it is asked, and cannot be.
    """
    scope: dict[str, Any] = {"type": PROBE, "managers": [], "path": "/", "headers": []}

    async def nothing(*_: object) -> dict[str, Any]:
        return {"type": "http.disconnect"}

    managers: list[SessionManager] = scope["managers"]
    try:
        await app(scope, nothing, nothing)
    except ConfigurationError:
        if not managers:
            raise
    except Exception:  # noqa: BLE001, S110 - what is behind the middleware does not know the scope and may say so
        pass
    return managers


def _held_by(app: Any) -> Iterator[SessionManager]:
    """Yield the managers of what no scope can ask: an extension, WSGI middleware, an application that is not ASGI's."""
    own = getattr(app, "manager", None)
    if isinstance(own, SessionManager):
        yield own
    of_flask = getattr(getattr(app, "session_interface", None), "manager_for", None)
    if of_flask is not None:
        yield of_flask(app)
    aiohttp, django = (sys.modules.get(f"limpet.adapters.{name}") for name in ("aiohttp", "django"))
    if aiohttp is not None and isinstance(app, aiohttp.web.Application):
        yield from app.get(aiohttp.MANAGERS, ())
    handlers = sys.modules.get("django.core.handlers.base")
    if django is not None and handlers is not None and isinstance(app, handlers.BaseHandler):
        yield django.manager()
