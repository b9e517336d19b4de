"""The reference shows everything that an application may import, and nothing else."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted((ROOT / "docs" / "reference").glob("*.md"))
TARGET: Final = re.compile(r"^::: (\S+)$", re.MULTILINE)

NAMES: Final = """
    admin asgi audit bound contract csrf devices directory errors events importers otel protocols refusals serializers
    signout stores stores.encrypted sealers.at_rest sealers.encrypted sealers.signed testing transports wsgi
    adapters.starlette adapters.fastapi adapters.litestar adapters.flask adapters.django adapters.quart adapters.aiohttp
    adapters.blacksheep adapters.nexios adapters.fastmvc
"""
PUBLIC: Final = ("limpet", *(f"limpet.{name}" for name in NAMES.split()))
"""Modules whose ``__all__`` an application may import from."""

INNER: Final = {"cli", "demo", "environment", "keyring", "manager", "policy", "runtime"}
"""Modules below ``limpet`` that it may not: what is public in them can be imported from ``limpet``."""


def shown() -> dict[str, str]:
    """Return what the pages show, to the page that shows it."""
    return {target: page.stem for page in PAGES for target in TARGET.findall(page.read_text())}


def resolve(target: str) -> Any:
    """Return the object of a dotted name."""
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_everything_that_is_shown_is_public() -> None:
    for target in shown():
        module, _, name = target.rpartition(".")
        assert module in PUBLIC, f"{target} is shown, and {module} is not public"
        assert name in importlib.import_module(module).__all__, f"{target} is shown, and not in __all__"


@pytest.mark.parametrize("module", PUBLIC)
def test_everything_public_is_shown(module: str) -> None:
    """Each name has an entry of its own, or is said to be that of another module, which shows the same object."""
    entries = shown()
    objects = {id(resolve(target)) for target in entries}
    said = "\n".join(page.read_text() for page in PAGES)
    for name in importlib.import_module(module).__all__:
        if f"{module}.{name}" in entries:
            continue
        value = resolve(f"{module}.{name}")
        ours = str(getattr(value, "__module__", "limpet")).startswith("limpet")
        assert id(value) in objects or not ours, f"{module}.{name} is not shown"
        assert f"`{name}`" in said or module == "limpet", f"{module}.{name} is not named"


def test_every_module_is_either_public_or_inner() -> None:
    names = {path.stem for path in (ROOT / "src" / "limpet").iterdir() if path.suffix == ".py" or path.is_dir()}
    below = {name for name in names if not name.startswith("_")}
    assert below - INNER - {module.split(".")[1] for module in PUBLIC if "." in module} == set()


def test_every_page_is_reachable() -> None:
    index = (ROOT / "docs" / "reference.md").read_text()
    assert [page.name for page in PAGES if f"(reference/{page.name})" not in index] == []
