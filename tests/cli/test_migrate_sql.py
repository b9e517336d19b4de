"""``limpet migrate`` for those who may not let an application change their schema."""

from __future__ import annotations

import asyncio
import secrets
from urllib.parse import quote

import asyncpg
import pytest

from limpet.contract import DONE
from limpet.errors import StoreUnavailable
from limpet.stores import PostgresStore
from tests.cli.running import Shell
from tests.faults.records import NOW, a_key, a_record


@pytest.fixture
def place(postgres_url: str, postgres_schema: str) -> str:
    return f"{postgres_url}?schema={quote(postgres_schema)}&create=false"


def test_the_statements_are_printed_and_nothing_is_changed(shell: Shell, place: str, postgres_url: str) -> None:
    """``--sql`` prints a script; an administrator who runs it has made what the store needs, and may run it twice."""
    done = shell.run("migrate", "--store", place, "--sql")
    assert done.exit_code == 0
    store = PostgresStore.from_url(place)

    async def use() -> None:
        with pytest.raises(StoreUnavailable):
            await store.create(a_key(), a_record(), now=NOW)
        connection = await asyncpg.connect(postgres_url)
        for _ in range(2):
            await connection.execute(done.stdout)
        await connection.close()
        assert await store.create(a_key(), a_record(), now=NOW) is DONE
        await store.close()

    asyncio.run(use())


def test_it_creates_what_the_application_must_not(shell: Shell, place: str) -> None:
    """Without ``--sql`` it runs them, also for a URL that says create=false."""
    shell.run("migrate", "--store", place)
    store = PostgresStore.from_url(place)

    async def use() -> None:
        assert await store.create(a_key(), a_record(), now=NOW) is DONE
        await store.close()

    asyncio.run(use())


def test_other_stores_have_no_statements(shell: Shell) -> None:
    """A usage error that says for which store the option is."""
    done = shell.run("migrate", "--store", f"file:{secrets.token_hex(4)}", "--sql")
    assert done.exit_code == 2
    assert "PostgreSQL" in done.output
