"""An extra brings everything that its modules import: nothing works only because another package is there too."""

from __future__ import annotations

import pytest

from tests.bare import run_with_only

IMPORTS = """
import importlib, pkgutil
for name in {names!r}:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), name + "."):
        importlib.import_module(found.name)
print("all")
"""

# Django's admin is imported where applications are set up, as its own.
DJANGO = """
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.admin"])
django.setup()
"""


@pytest.mark.parametrize(
    ("extra", "names"),
    [
        ("starlette", ["limpet.adapters.starlette"]),
        ("fastapi", ["limpet.adapters.fastapi", "limpet.adapters.fastmvc", "limpet.adapters.starlette"]),
        ("litestar", ["limpet.adapters.litestar"]),
        ("blacksheep", ["limpet.adapters.blacksheep"]),
        ("nexios", ["limpet.adapters.nexios"]),
        ("flask", ["limpet.adapters.flask"]),
        ("django", ["limpet.adapters.django"]),
        ("quart", ["limpet.adapters.quart"]),
        ("redis", ["limpet.stores.redis"]),
        ("postgres", ["limpet.stores.postgres.connecting"]),
        ("psycopg", ["limpet.stores.postgres.blocking"]),
        ("importers", ["limpet.importers"]),
        ("csrf", ["limpet.csrf"]),
        ("cli", ["limpet.cli"]),
        ("admin", ["limpet.admin"]),
        ("demo", ["limpet.demo", "limpet.cli", "limpet.admin"]),
        ("otel", ["limpet.otel"]),
        ("devices", ["limpet.devices"]),
        ("signout", ["limpet.signout"]),
        ("testing", ["limpet.testing"]),
    ],
)
def test_an_extra_is_enough(extra: str, names: list[str]) -> None:
    """Every module that an extra is for can be imported where nothing but this extra was installed."""
    assert run_with_only(extra, (DJANGO if extra == "django" else "") + IMPORTS.format(names=names)) == "all"


LOGOUT = """
import asyncio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from limpet.adapters.starlette import SessionMiddleware

async def login(request):
    request.session["user"] = "ann"
    return PlainTextResponse("")

async def logout(request):
    request.scope["session"] = {}
    return PlainTextResponse("")

app = SessionMiddleware(Starlette(routes=[Route("/login", login), Route("/logout", logout)]), "memory:")

async def ask(path, cookie=b""):
    lines = []
    async def receive():
        return {"type": "http.request", "body": b""}
    async def send(message):
        lines.extend(value for name, value in message.get("headers", ()) if name == b"set-cookie")
    await app({"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "https",
               "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
               "headers": [(b"cookie", cookie)], "server": ("a.b", 443)}, receive, send)
    return lines[0]

async def main():
    cookie = (await ask("/login")).partition(b";")[0]
    print(b"Max-Age=0" in await ask("/logout", cookie))

asyncio.run(main())
"""


def test_a_dict_in_the_place_of_the_session_without_itsdangerous() -> None:
    """An empty dict that a handler puts into the scope ends the session where Starlette's own middleware cannot run."""
    assert run_with_only("starlette", LOGOUT) == "True"


IMPORTERS = """
from datetime import date
from limpet import importers
for name, given in {
    "StarletteCookies": ["s" * 40], "BlackSheepCookies": ["s" * 40], "NexiosCookies": ["s" * 40],
    "FlaskCookies": ["s" * 40], "FlaskSessionRecords": [print],
}.items():
    signed = {"secret": "s" * 40} if name == "FlaskSessionRecords" else {}
    try:
        getattr(importers, name)(*given, **signed, until=date(2030, 1, 31))
        print(name, "was made")
    except ImportError as error:
        assert "limpet[importers]" in str(error)
importers.FlaskSessionRecords(print, until=date(2030, 1, 31))
"""


def test_importers_that_cannot_read_are_not_made() -> None:
    """An importer without itsdangerous is refused when it is made, and not at the first old cookie."""
    assert run_with_only("fastapi", IMPORTERS) == ""
