"""Headers: what browsers send, in quotes or without, under old names and new ones; and what they are sent."""

from __future__ import annotations

import pytest

from limpet.bound import fields


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b'"a.b.c"', "a.b.c"),
        (b"a.b.c", "a.b.c"),  # Chromium
        (b'"a.b.c";x=1', "a.b.c"),  # draft, section 9.3: parameters are ignored
        (b"a.b.c;x=1", "a.b.c"),
        (b'  "a"  ', "a"),
        (rb'"a\"b\\c"', 'a"b\\c'),  # RFC 9651, section 3.3.3
        (b'""', None),
        (b"", None),
        (b'"a', None),
        (b'"a" "b"', None),
        (b'"a", "b"', None),
        (b"a b", None),
        (b'"a\x01"', None),
        (b'"\xc3\xa4"', None),
        (b"\xc3\xa4", None),
        (b"a" * 8193, None),
    ],
)
def test_a_string(value: bytes, found: str | None) -> None:
    """RFC 9651, section 4.2.5, and the bare form beside it."""
    assert fields.proof_in([(b"secure-session-response", value)]) == found
    assert fields.session_id_in([(b"sec-secure-session-id", value)]) == found


def test_names_of_the_trials() -> None:
    assert fields.proof_in([(b"sec-session-response", b'"a"')]) == "a"
    assert fields.session_id_in([(b"sec-session-id", b"a")]) == "a"


def test_two_proofs_are_none() -> None:
    """Which of them the sender means cannot be told."""
    assert fields.proof_in([(b"secure-session-response", b"a"), (b"secure-session-response", b"b")]) is None
    assert fields.proof_in([(b"secure-session-response", b"a"), (b"sec-session-response", b"a")]) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b'unreachable;session_identifier="me"', "unreachable"),
        (b'server_error;session_identifier="me"', "server_error"),
        (b"quota_exceeded;session_identifier=me", "quota_exceeded"),
        (b'quota_exceeded; session_identifier="me"', "quota_exceeded"),
        (b'unreachable;session_identifier="you", quota_exceeded;session_identifier="me"', "quota_exceeded"),
        (b'quota_exceeded;session_identifier="you"', None),
        (b"quota_exceeded", None),
        (b'because;session_identifier="me"', None),
        (b'"quota_exceeded";session_identifier="me"', None),
        (b"", None),
    ],
)
def test_skipped(value: bytes, found: str | None) -> None:
    """Draft, section 9.5."""
    assert fields.skipped_in([(b"secure-session-skipped", value)], "me") == found
    assert fields.skipped_in([(b"sec-session-skipped", value)], "me") == found


def test_what_a_browser_is_sent() -> None:
    """Draft, sections 9.1 and 9.2."""
    assert fields.registration(("ES256", "RS256"), "/shop/register", "c") == (
        b"secure-session-registration",
        b'(ES256 RS256);path="/shop/register";challenge="c"',
    )
    assert fields.challenge("c", "me") == (b"secure-session-challenge", b'"c";id="me"')
    assert fields.challenge('"', "\\") == (b"secure-session-challenge", rb'"\"";id="\\"')
