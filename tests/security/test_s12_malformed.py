"""S12: malformed bytes in a cookie become an error, a log storm or a new cookie (CVE-2025-69230)."""

from __future__ import annotations

import logging

import pytest

from tests.security.hostile import CORPUS, at_random
from tests.security.site import SECRET, WatchedSite


@pytest.mark.parametrize("store", [None, "cookie:"], ids=["server", "cookie"])
@pytest.mark.parametrize("secret", [SECRET])
async def test_a_malformed_cookie_is_no_cookie(
    store: str | None, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The corpus and noise: reading sets nothing, writing begins a session; at most an unsigned id is logged."""
    caplog.set_level(logging.DEBUG)
    site = WatchedSite(store=store, secret=secret)
    token = (await site.ask("/write")).given
    for value in (*CORPUS, *at_random(500, token)):
        read = await site.ask("/read", value)
        assert (read.status, read.text, read.cookies) == (200, "null", [])
        write = await site.ask("/write", value)
        assert (write.status, write.text, len(write.cookies)) == (200, "1", 1)
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("limpet")]
    assert [message for message in logged if not message.startswith("a cookie holds an id without a signature")] == []
    assert len(logged) <= 1


async def test_without_a_secret_junk_is_anonymous_too(site: WatchedSite) -> None:
    """The same where ids are not signed."""
    for value in CORPUS:
        assert (await site.ask("/read", value)).text == "null"
        assert (await site.ask("/write", value)).text == "1"
