"""``limpet list`` shows the first sessions in an order and counts the rest; eight digits name a session."""

from __future__ import annotations

import json
from typing import Any

import pytest

from limpet.contract import Record
from limpet.stores.sqlite import SQLiteStore
from tests.cli.running import Shell
from tests.cli.test_copy import using
from tests.site import Site

URL = "sqlite:///sessions.db"


@pytest.fixture
def twelve(shell: Shell) -> list[str]:
    """Return the public ids of twelve people's sessions, in the order in which they were used last, newest first."""

    async def fill(site: Site) -> list[str]:
        for at in range(12):
            await site.login(f"user {at:02}")
        return [(await site.manager.sessions_of(f"user {at:02}"))[0].public_id for at in range(12)]

    keys: list[str] = using(URL, fill)

    async def age(site: Site) -> None:
        store: Any = site.manager.store
        for at, key in enumerate(keys):
            record: Record = await store.load(key)
            aged = record._replace(
                version=at + 1, accessed=record.accessed - at * 1000, expires=record.expires - at * 1000
            )
            await store.replace(key, aged, record.version, now=record.accessed)

    using(URL, age)
    return keys


def test_a_header_columns_and_how_many_more(shell: Shell, twelve: list[str]) -> None:
    """Used last comes first; what is left out is counted, on standard error."""
    done = shell.run("list", "--store", URL, "--limit", "5")
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["PUBLIC", "ID", "LAST", "USED", "SUBJECT", "DEVICE"]
    assert [line.split()[0] for line in lines] == twelve[:5]
    assert {line.index("user") for line in lines} == {header.index("SUBJECT")}
    assert done.stderr == "7 more: raise --limit, or name a --subject.\n"
    assert shell.run("list", "--store", URL).stderr == ""


@pytest.mark.parametrize("sort", ["last-seen", "created", "expires", "bytes"])
def test_order(shell: Shell, twelve: list[str], sort: str) -> None:
    """Sorted over all sessions and not only those that are shown, and the other way round on request."""
    found = json.loads(shell.run("list", "--store", URL, "--json", "--sort", sort).stdout)
    name = {"last-seen": "last_seen"}.get(sort, sort)
    values = [one[name] for one in found]
    assert values == sorted(values, reverse=True)
    done = shell.run("list", "--store", URL, "--json", "--sort", sort, "--reverse", "--limit", "3")
    assert [one[name] for one in json.loads(done.stdout)] == sorted(values)[:3]
    assert "9 more" in done.stderr


def test_one_subject_counts_too(shell: Shell, twelve: list[str]) -> None:
    """Of a subject's sessions the rest is counted as well."""
    for _ in range(3):
        using(URL, lambda site: site.login("user 03"))
    done = shell.run("list", "--store", URL, "--subject", "user 03", "--limit", "1")
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.startswith("3 more")


def test_eight_digits_are_enough(shell: Shell, twelve: list[str]) -> None:
    """`show` and `revoke` take what a log line shows of a session, in either case of letters."""
    shown = json.loads(shell.run("show", twelve[2][:8].upper(), "--store", URL, "--json").stdout)
    assert shown["public_id"] == twelve[2]
    done = shell.run("revoke", twelve[2][:8], twelve[4], "--store", URL)
    assert done.output == "2 sessions ended.\n"
    left = json.loads(shell.run("list", "--store", URL, "--json").stdout)
    assert {one["public_id"] for one in left} == set(twelve) - {twelve[2], twelve[4]}
    for command in ("show", "revoke"):
        unknown = shell.run(command, "0" * 8, "--store", URL)
        assert unknown.exit_code == 1
        assert "00000000" in unknown.output


def test_digits_of_two_sessions(shell: Shell, twelve: list[str]) -> None:
    """What could be two is neither shown nor ended: the whole ids are named."""
    twins = [twelve[0][:8] + "0" * 56, twelve[0][:8] + "f" * 56]

    async def make(site: Site) -> None:
        store = site.manager.store
        assert isinstance(store, SQLiteStore)
        record = await store.load(twelve[0])
        assert record is not None
        for key in twins:
            await store.create(key, record, now=record.accessed)

    using(URL, make)
    for command in ("show", "revoke"):
        done = shell.run(command, twelve[0][:8], "--store", URL)
        assert done.exit_code == 1
        assert f"3 sessions begin with {twelve[0][:8]}" in done.output
        assert all(key in done.output for key in twins)
    assert len(json.loads(shell.run("list", "--store", URL, "--json").stdout)) == 14


def test_what_a_visitor_chose_moves_nothing_on_the_terminal(shell: Shell) -> None:
    """Names, labels and keys with escape sequences, ends of lines or marks of direction: one line, all to be seen."""
    name, imitation = "\x1b[2Jann\u202e", "bob\n" + "0" * 64 + "  2030-01-31T00:00:00Z  root"

    async def fill(site: Site) -> list[str]:
        for who in (name, imitation):
            cookie = await site.login(who)
            await site.run(lambda session: session.update({"\x9b31mkey\r": 1}), cookie)
        return [(await site.manager.sessions_of(who))[0].public_id for who in (name, imitation)]

    keys = using(URL, fill)
    listed = shell.run("list", "--store", URL).stdout
    assert len(listed.splitlines()) == 3
    assert "\\x1b[2Jann\\u202e" in listed
    assert "bob\\n0000" in listed
    for key in keys:
        shown = shell.run("show", "--store", URL, key).stdout
        assert "\\x9b31mkey\\r" in shown
        assert all(line.isprintable() for line in shown.splitlines())
    as_json = shell.run("list", "--store", URL, "--json").stdout
    assert all(line.isprintable() for line in as_json.splitlines())
    assert {one["subject"] for one in json.loads(as_json)} == {name, imitation}
