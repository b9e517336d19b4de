"""S35: a header that anybody can send decides whether the cookie is Secure."""

from __future__ import annotations

import pytest

from tests.security.site import WatchedSite

SPOOFED = [
    (b"x-forwarded-proto", b"http"),
    (b"x-forwarded-proto", b"https"),
    (b"forwarded", b"proto=http;host=localhost"),
    (b"x-forwarded-host", b"localhost"),
    (b"host", b"localhost"),
    (b"x-forwarded-ssl", b"off"),
    (b"front-end-https", b"off"),
    (b"x-forwarded-for", b"127.0.0.1"),
]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("dev", [False, True])
@pytest.mark.parametrize("header", SPOOFED, ids=repr)
async def test_no_header_changes_the_cookie(
    header: tuple[bytes, bytes], dev: bool, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With each of them and without, over http and https: the same attributes."""
    monkeypatch.setenv("LIMPET_DEV_ANNOUNCED", "1")
    site = WatchedSite(dev=dev)
    plain, spoofed = [
        (await site.ask("/write", headers=headers, scheme=scheme)).cookies[0].partition("; ")[2]
        for headers in ([], [header])
    ]
    assert plain == spoofed
    assert ("Secure" in plain) is not dev
