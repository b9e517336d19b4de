"""S21: an id becomes a path outside the store's folder, or collides with another (CVE-2026-25480)."""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path

import pytest

from limpet._wire.tokens import encode_id
from tests.security.site import WatchedSite

NASTY = [
    "../x",
    "..\\x",
    "/etc/passwd",
    "%2e%2e/x",
    "x\x00y",
    "A" * 4_096,
    "CON",
    "NUL.txt",
    ".",
    "..",
    "-rf",
    "~root",
    "\u2024\u2024/x".encode().decode("latin-1"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a file store, with a neighbour beside it."""
    (tmp_path / "x").write_text("neighbour")
    return tmp_path / "sessions"


@pytest.mark.parametrize("value", NASTY, ids=repr)
async def test_no_id_leads_out_of_the_folder(folder: Path, value: str) -> None:
    """Read, written and logged out with a path for an id: nothing is touched beside the folder."""
    site = WatchedSite(store=f"file:{folder}")
    for path in ("/read", "/write", "/login", "/logout"):
        assert (await site.ask(path, value)).status == 200
    assert sorted(path.name for path in folder.parent.iterdir()) == ["sessions", "x"]
    assert (folder.parent / "x").read_text() == "neighbour"


async def test_names_are_digests_and_belong_to_the_user_alone(folder: Path) -> None:
    """Names are hexadecimal, so that neither case nor normal forms can collide; folder 0700, files 0600."""
    site = WatchedSite(store=f"file:{folder}")
    for _ in range(20):
        await site.ask("/write")
    files = [path for path in folder.rglob("*") if path.is_file()]
    records = [path for path in files if any(len(part) == 64 for part in path.name.replace("_", ".").split("."))]
    assert len(records) == 20
    assert all(path.name == path.name.lower() == unicodedata.normalize("NFKD", path.name) for path in records)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


async def test_ids_that_differ_in_case_are_two_sessions(folder: Path) -> None:
    """Two ids that a case-blind disk would take for one never meet in one file."""
    site = WatchedSite(store=f"file:{folder}")
    keys = {site.manager.engine.ids.key_of(raw) for raw in (b"a" * 32, b"A" * 32)}
    assert len({key.lower() for key in keys}) == 2
    assert len({encode_id(b"a" * 32), encode_id(b"A" * 32)}) == 2


async def test_a_planted_link_is_not_followed(folder: Path) -> None:
    """A symbolic link in a record's place: its target is neither read as a session nor written."""
    site = WatchedSite(store=f"file:{folder}")
    token = (await site.ask("/write")).given
    raw = site.manager.engine.ids.verify(token)
    assert raw is not None
    key = site.manager.engine.ids.key_of(raw)
    (record,) = (path for path in folder.rglob("*") if key in path.name and path.is_file())
    target = folder.parent / "target"
    os.replace(record, target)
    content = target.read_bytes()
    record.symlink_to(target)
    answer = await site.ask("/write", token)
    assert target.read_bytes() == content
    assert answer.text != "2"
