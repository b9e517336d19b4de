"""PostgresStore through psycopg."""

from __future__ import annotations

import pytest

from limpet.contract import Store
from limpet.stores.postgres import PostgresStore
from limpet.testing.driven import driven
from limpet.testing.suite_store import StoreSuite


class TestBlockingPostgresStore(StoreSuite):
    """The whole conformance suite, each call on a thread."""

    @pytest.fixture
    def store(self, postgres_url: str, postgres_schema: str) -> Store:
        self.place = postgres_url, postgres_schema
        return driven(PostgresStore(postgres_url, schema=postgres_schema))

    def reopen(self, store: Store) -> Store:
        return driven(PostgresStore(self.place[0], schema=self.place[1]))
