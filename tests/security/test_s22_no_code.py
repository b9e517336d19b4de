"""S22: stored data is code (pickle, marshal, YAML)."""

from __future__ import annotations

import ast
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

import limpet
from limpet.contract import Record
from tests.security.site import ANONYMOUS, SECRET, WatchedSite

SOURCES = sorted(Path(limpet.__file__).parent.rglob("*.py"))
CODE = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "yaml", "jsonpickle", "cloudpickle"}
RUNS = {"eval", "exec", "compile", "__import__"}


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_module_can_run_what_is_stored(path: Path) -> None:
    """Nothing imports a format that executes code, and nothing evaluates text."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
        assert not {name.partition(".")[0] for name in names} & CODE
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in RUNS


async def test_a_pickle_in_a_row_or_a_cookie_stays_bytes(tmp_path: Path) -> None:
    """In place of a payload, behind a right head, and in a cookie with a right signature: nothing is run."""
    fuse = tmp_path / "ran"
    bomb = pickle.dumps(Bomb(fuse))
    site = WatchedSite()
    token = (await site.ask("/write")).given
    (key, record), *_ = site.rows.items()
    for payload in (bomb, record.payload[:1] + zlib.crc32(bomb).to_bytes(4, "big") + bomb):
        site.rows[key] = record._replace(payload=payload)
        assert (await site.ask("/dump", token)).text == ANONYMOUS
    for mode in ("cookie:", "cookie:signed"):
        inside = WatchedSite(store=mode, secret=SECRET)
        now = inside.clock()
        sealed = inside.manager.engine.client.seal(Record(1, bomb, now, now + 10_000))
        assert (await inside.ask("/dump", sealed)).text == ANONYMOUS
    assert not fuse.exists()
