"""What each extra is for: the modules that must be importable where nothing else is installed."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]

MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "starlette": ("limpet.adapters.starlette",),
    "fastapi": ("limpet.adapters.fastapi", "limpet.adapters.fastmvc", "limpet.adapters.starlette"),
    "litestar": ("limpet.adapters.litestar",),
    "blacksheep": ("limpet.adapters.blacksheep",),
    "nexios": ("limpet.adapters.nexios",),
    "flask": ("limpet.adapters.flask",),
    "django": ("limpet.adapters.django",),
    "quart": ("limpet.adapters.quart",),
    "aiohttp": ("limpet.adapters.aiohttp",),
    "redis": ("limpet.stores.redis",),
    "postgres": ("limpet.stores.postgres.connecting",),
    "psycopg": ("limpet.stores.postgres.blocking",),
    "importers": ("limpet.importers",),
    "csrf": ("limpet.csrf",),
    "cli": ("limpet.cli",),
    "admin": ("limpet.admin",),
    "demo": ("limpet.demo", "limpet.cli", "limpet.admin"),
    "otel": ("limpet.otel",),
    "devices": ("limpet.devices",),
    "signout": ("limpet.signout",),
    "bound": ("limpet.bound", "limpet.bound.guard"),
    "testing": ("limpet.testing",),
}
"""Extras, but for ``all``, to the modules that they are for. Each module is imported with all that is below it."""

_IMPORTS: Final = """
import importlib, pkgutil
for name in {names!r}:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), name + "."):
        importlib.import_module(found.name)
print("all")
"""

# Django's admin is imported where applications are set up, as its own.
_DJANGO: Final = """
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.admin"])
django.setup()
"""


def imports(extra: str) -> str:
    """Return a program that imports all that an extra is for and prints ``all``."""
    return (_DJANGO if extra == "django" else "") + _IMPORTS.format(names=MODULES[extra])


def published_extras(root: Path = ROOT) -> set[str]:
    """Return the names of the extras in ``pyproject.toml``."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return set(project["optional-dependencies"])
