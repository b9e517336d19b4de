"""S23: a secret that can be guessed."""

from __future__ import annotations

import secrets

import pytest

from limpet import SessionManager, WeakSecret

WEAK = ["", "a", "changeme", "x" * 31, "a" * 32, "ab" * 16, "change-me-change-me-change-me-now", "0123456789" * 4]


@pytest.mark.parametrize("store", ["memory:", "cookie:"])
@pytest.mark.parametrize("secret", WEAK)
def test_it_is_refused_with_the_command_that_makes_a_good_one(store: str, secret: str) -> None:
    """Too short, repeated or a placeholder: an error at construction that names ``limpet keygen``."""
    with pytest.raises(WeakSecret, match="limpet keygen") as caught:
        SessionManager(store, secret=secret)
    assert len(secret) < 4 or secret not in str(caught.value)


@pytest.mark.parametrize("store", ["memory:", "cookie:"])
def test_random_secrets_are_taken(store: str) -> None:
    """Thirty-two random bytes, raw, hexadecimal or base64url."""
    for _ in range(300):
        SessionManager(store, secret=secrets.token_bytes(32))
        SessionManager(store, secret=secrets.token_hex(32))
        SessionManager(store, secret=secrets.token_urlsafe(32))
