"""S24: a weaker format is accepted where a stronger one is configured (CVE-2026-39324)."""

from __future__ import annotations

import base64
import json

import pytest

from limpet._wire.tokens import b64decode, b64encode
from tests.security.site import ANONYMOUS, OTHER, SECRET, WatchedSite


async def test_an_encrypted_manager_takes_nothing_that_is_only_signed() -> None:
    """The same secret, name and data, signed: anonymous. And the other way round."""
    encrypted, signed = WatchedSite(store="cookie:", secret=SECRET), WatchedSite(store="cookie:signed", secret=SECRET)
    for one, other in ((encrypted, signed), (signed, encrypted)):
        token = (await one.ask("/write")).given
        assert (await one.ask("/read", token)).text == "1"
        assert (await other.ask("/dump", token)).text == ANONYMOUS


@pytest.mark.parametrize("plain", [{"n": 1}, {"created": 1, "data": {"n": 1}}])
async def test_plain_text_is_no_session(in_cookie: WatchedSite, plain: object) -> None:
    """JSON, in the clear or in base64, is not looked at."""
    text = json.dumps(plain, separators=(",", ":")).encode()
    for value in (text, base64.b64encode(text), base64.urlsafe_b64encode(text).rstrip(b"=")):
        assert (await in_cookie.ask("/dump", value)).text == ANONYMOUS


async def test_version_mode_and_key_id_are_part_of_what_is_sealed(in_cookie: WatchedSite) -> None:
    """Any other byte in the six of the head: anonymous, and no error."""
    token = (await in_cookie.ask("/write")).given
    data = b64decode(token)
    assert data is not None
    for index in range(6):
        for byte in range(256):
            if byte != data[index]:
                forged = b64encode(data[:index] + bytes((byte,)) + data[index + 1 :])
                answer = await in_cookie.ask("/dump", forged)
                assert (answer.status, answer.text) == (200, ANONYMOUS)


async def test_another_secret_opens_nothing(in_cookie: WatchedSite) -> None:
    """A token of another application is anonymous."""
    store = "cookie:" if "encrypted=True" in repr(in_cookie.manager.store) else "cookie:signed"
    token = (await WatchedSite(store=store, secret=OTHER).ask("/write")).given
    assert (await in_cookie.ask("/dump", token)).text == ANONYMOUS
