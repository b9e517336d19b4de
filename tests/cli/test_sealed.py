"""The command over a store that is encrypted at rest, without its keys: it looks, it never alters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from limpet import SessionManager, SessionPolicy
from limpet.stores import SQLiteStore
from tests.cli.running import in_process_of_its_own, on_site
from tests.site import Site

URL = "sqlite:///sessions.db"
SECRET = "kH7mZ2qN-4tRwXb9Yc1LfVs6DjPg8aUe0oTiQ5"
OTHER = "Cj5rUe9Wb-2mXpLy7Kt4NqZs1DhVg6Ra8oFiQ3"
VALUE = "a value that nobody may read"


def application(folder: Path, work: Callable[[Site], Coroutine[Any, Any, Any]], name: str = "sessions.db") -> Any:
    """Do something as the application does, which has the keys."""
    store = SQLiteStore(folder / name)
    return on_site(SessionManager(store, secret=SECRET, encrypt=True, dev=False, policy=SessionPolicy()), work)


def rows(folder: Path, name: str = "sessions.db") -> dict[str, Any]:
    """Return every record of the store, as it is kept."""

    async def run() -> dict[str, Any]:
        store = SQLiteStore(folder / name)
        await store.open()
        page, _ = await store.scan(None, 100)
        await store.close()
        return dict(page)

    return asyncio.run(run())


@pytest.fixture
def cookies(tmp_path: Path) -> dict[str, str]:
    """Sessions of three visitors in an encrypted store; the last one is anonymous."""

    async def fill(site: Site) -> dict[str, str]:
        return {
            "ann": await site.login("ann", tags={"oidc_sid": "s1"}),
            "bob": await site.login("bob"),
            "": await site.run(lambda session: session.update(card=VALUE)) or "",
        }

    found: dict[str, str] = application(tmp_path, fill)
    return found


def alive(folder: Path, cookies: dict[str, str], name: str = "sessions.db") -> list[str | None]:
    """Return whose sessions the cookies open."""

    async def look(site: Site) -> list[str | None]:
        return [await site.whose(cookie) for cookie in cookies.values()]

    found: list[str | None] = application(folder, look, name)
    return found


def test_nothing_is_altered(tmp_path: Path, cookies: dict[str, str]) -> None:
    """Every subcommand that looks, in a process of its own, with another secret: each record stays byte by byte."""
    before = rows(tmp_path)
    for words in (
        ("list",),
        ("list", "--subject", "ann"),
        ("list", "--json"),
        ("stats",),
        ("sweep",),
        ("migrate",),
        ("doctor",),
        *(("show", key, "--values") for key in before),
    ):
        done = in_process_of_its_own(*words, folder=tmp_path, LIMPET_STORE=URL, LIMPET_SECRET=OTHER)
        assert "Traceback" not in done.stderr
        assert VALUE not in done.stdout + done.stderr
    assert rows(tmp_path) == before
    assert alive(tmp_path, cookies) == ["ann", "bob", None]


def test_it_says_that_they_are_sealed(tmp_path: Path, cookies: dict[str, str]) -> None:
    """`list`, `show` and `stats` name what they cannot know, and call nothing of it damaged."""
    listed = in_process_of_its_own("list", "--store", URL, folder=tmp_path)
    assert listed.stdout.count("(encrypted)") == 3
    assert "encrypt=True" in listed.stderr
    found = json.loads(in_process_of_its_own("list", "--json", "--store", URL, folder=tmp_path).stdout)
    assert {one["subject"] for one in found} == {"ann", "bob", None}
    assert all(one["encrypted"] is True and "keys" not in one for one in found)
    shown = in_process_of_its_own("show", found[0]["public_id"], "--values", "--store", URL, folder=tmp_path)
    assert shown.returncode == 0
    assert "encrypt=True" in shown.stdout
    counted = in_process_of_its_own("stats", "--store", URL, "--json", folder=tmp_path)
    wanted = {"sessions": 3, "logged_in": 2, "encrypted": 3, "unreadable": 0}
    assert {name: json.loads(counted.stdout)[name] for name in wanted} == wanted
    assert "encrypt=True" in in_process_of_its_own("stats", "--store", URL, folder=tmp_path).stderr


def test_sessions_end_without_the_keys(tmp_path: Path, cookies: dict[str, str]) -> None:
    """By public id, by subject, and by a tag that cannot be read: those sessions end too, and are not counted."""
    more = application(tmp_path, lambda site: site.login("ann"))  # without the tag
    looked = in_process_of_its_own("revoke", "--tag", "oidc_sid=s1", "--dry-run", "--store", URL, folder=tmp_path)
    assert "Not counted: those with oidc_sid=s1 among 2 sessions encrypted at rest. They would end" in looked.stdout
    assert alive(tmp_path, cookies) == ["ann", "bob", None]
    tagged = in_process_of_its_own("revoke", "--tag", "oidc_sid=s1", "--store", URL, "--json", folder=tmp_path)
    assert (tagged.returncode, json.loads(tagged.stdout)) == (0, {"revoked": 0, "unknown": [], "uncounted": 2})
    assert alive(tmp_path, {**cookies, "more": more}) == [None, "bob", None, "ann"]
    assert in_process_of_its_own("revoke", "--tag", "oidc_sid=s9", "--store", URL, folder=tmp_path).returncode == 0
    [bob] = json.loads(
        in_process_of_its_own("list", "--json", "--subject", "bob", "--store", URL, folder=tmp_path).stdout
    )
    assert in_process_of_its_own("revoke", bob["public_id"], "--store", URL, folder=tmp_path).returncode == 0
    assert alive(tmp_path, {**cookies, "more": more}) == [None, None, None, "ann"]
    assert in_process_of_its_own("revoke", "--subject", "ann", "--store", URL, folder=tmp_path).returncode == 0
    assert alive(tmp_path, {**cookies, "more": more}) == [None] * 4


def test_a_copy_can_be_read_with_the_same_secret(tmp_path: Path, cookies: dict[str, str]) -> None:
    """`copy` needs no keys and keeps what payloads are bound to: key, version and subject."""
    done = in_process_of_its_own("copy", URL, "sqlite:///other.db", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path, "other.db") == {
        key: record for key, record in rows(tmp_path).items() if key in rows(tmp_path, "other.db")
    }
    assert alive(tmp_path, cookies, "other.db") == ["ann", "bob", None]

    async def read(site: Site) -> object:
        held: list[object] = []
        await site.run(lambda session: held.append(session.get("card")), cookies[""])
        return held[0]

    assert application(tmp_path, read, "other.db") == VALUE
