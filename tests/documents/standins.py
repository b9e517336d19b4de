"""What stands in for the names that a block leaves to its reader: a database, a look-up, an application, a module."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

__all__ = ["SECRET", "application", "count_visits", "module_for", "reader_store", "stand_in"]

SECRET: Final = "kq3vX8cPz1Lw7RtYb5NmHs0JdGf2AeUo9iKxQyTl4Wg"
_REAL_MODULES: Final = frozenset({"json", "math", "os", "secrets", "time"})


class Shelf:
    """Stands in for a Redis server and its client, with and without ``await``: each answer can be awaited."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def __call__(self) -> Shelf:
        return self

    def get(self, key: str) -> Any:
        return _Answer(self._kept[key].encode()) if key in self._kept else _Nothing()

    def set(self, key: str, value: str, ex: int | None = None) -> Any:
        self._kept[key] = value
        return _Nothing()

    def setex(self, key: str, seconds: int, value: str) -> None:
        self._kept[key] = value

    def delete(self, key: str) -> Any:
        self._kept.pop(key, None)
        return _Nothing()


async def _soon(value: Any) -> Any:
    return value


class _Answer(bytes):
    def __await__(self) -> Any:
        return _soon(self).__await__()


class _Nothing:
    def __bool__(self) -> bool:
        return False

    def __await__(self) -> Any:
        return _soon(None).__await__()


def _product(number: str) -> Any:
    return SimpleNamespace(name=f"product {number}", price=5)


_USER: Final = SimpleNamespace(id=7, username="ann", is_admin=False)


def _stand_ins() -> dict[str, Callable[[], Any]]:
    shelf = Shelf()
    shelf.Redis = shelf  # type: ignore[attr-defined]
    return {
        "redis": lambda: shelf,
        "user": lambda: _USER,
        "authenticate_user": lambda: lambda name, password: _USER if password else None,
        "get_product": lambda: _product,
        "validate_step1": lambda: bool,
        "process_wizard_submission": lambda: lambda data: SimpleNamespace(id=len(data)),
        "config_value": lambda: "a value of the reader's own",
        "SessionSerializer": lambda: import_module("limpet.adapters.blacksheep.sessions").Serializer,
        "Signer": lambda: import_module("itsdangerous").Serializer,
    }


def stand_in(name: str, framework: str) -> Any:
    """Return what stands in for a name.

    Raises:
        KeyError: Nothing does.
    """
    if name == "app":
        return application(framework)
    if name in _REAL_MODULES:
        return import_module(name)
    own = _stand_ins()
    if name in own:
        return own[name]()
    home = {"nexios": "limpet.adapters.nexios", "blacksheep": "limpet.adapters.blacksheep", "fastmvc": "fastapi"}
    try:
        return getattr(import_module(home[framework]), name)  # a name of the framework that the block does not import
    except AttributeError:
        raise KeyError(name) from None


def application(framework: str, **settings: Any) -> Any:
    """Return an application with sessions, for blocks that go on from an earlier one."""
    if framework == "nexios":
        nexios = import_module("limpet.adapters.nexios")
        app = nexios.NexiosApp(config=nexios.MakeConfig({"secret_key": SECRET, "session": settings}))
        app.add_middleware(nexios.SessionMiddleware())
        return app
    if framework == "blacksheep":
        app = import_module("limpet.adapters.blacksheep").Application(show_error_details=True)
        app.use_sessions(SECRET)
        return app
    app = FastAPI()
    app.add_middleware(import_module("limpet.adapters.fastmvc").SessionMiddleware, secret_key=SECRET, **settings)
    return app


def count_visits(app: Any, framework: str) -> None:
    """Add ``GET /visits`` to an application: how often this session asked for it."""

    def count(session: Any) -> str:
        session["visits"] = session.get("visits", 0) + 1
        return str(session["visits"])

    if framework == "nexios":

        async def nexios_visits(req: Any, res: Any) -> Any:
            return res.text(count(req.session))

        app.get("/visits")(nexios_visits)
    elif framework == "blacksheep":
        from blacksheep import Request as BlackSheepRequest
        from blacksheep import text

        async def blacksheep_visits(request: Any) -> Any:
            return text(count(request.session))

        blacksheep_visits.__annotations__["request"] = BlackSheepRequest
        app.router.add_get("/visits", blacksheep_visits)
    else:

        async def fastapi_visits(request: Request) -> PlainTextResponse:
            return PlainTextResponse(count(request.state.session))

        app.add_api_route("/visits", fastapi_visits, response_model=None)


def reader_store() -> type:
    """Return a working store of the reader's own for BlackSheep: the documents print one with three dots for a body."""
    abc = import_module("limpet.adapters.blacksheep.sessions.abc")

    async def load(self: Any, request: Any) -> Any:
        header = request.get_first_header(b"x-session-id")
        return abc.Session(self.kept.get(header, {}))

    async def save(self: Any, request: Any, response: Any, session: Any) -> None:
        header = request.get_first_header(b"x-session-id") or secrets.token_hex(16).encode()
        self.kept[header] = dict(session)
        response.add_header(b"x-session-id", header)

    def begin(self: Any, *settings: Any) -> None:
        self.kept = {}

    return type("MySessionStore", (abc.SessionStore,), {"__init__": begin, "load": load, "save": save})


def module_for(name: str, contents: dict[str, Any]) -> None:
    """Put a module of the reader's own where the block imports it from."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        path = ".".join(parts[:depth])
        module = sys.modules.setdefault(path, ModuleType(path))
        if depth < len(parts):
            module.__path__ = []
        else:
            vars(module).update(contents)
