"""RedisStore through the client that blocks."""

from __future__ import annotations

import pytest

from limpet.contract import Store
from limpet.stores.redis import RedisStore
from limpet.testing.driven import driven
from limpet.testing.suite_store import StoreSuite


class TestBlockingRedisStore(StoreSuite):
    """The whole conformance suite, each call on a thread."""

    @pytest.fixture
    def store(self, redis_url: str, redis_prefix: str) -> Store:
        self.place = redis_url, redis_prefix
        return driven(RedisStore(redis_url, prefix=redis_prefix))

    def reopen(self, store: Store) -> Store:
        return driven(RedisStore(self.place[0], prefix=self.place[1]))
