"""Sessions in Redis or Valkey; see `limpet.stores.redis.store`."""

from __future__ import annotations

from limpet.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
