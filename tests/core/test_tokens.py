"""Ids, store keys, versions, base64url."""

from __future__ import annotations

import os
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpet._wire import tokens

ALPHABET = string.ascii_letters + string.digits + "-_"


def test_s28_ids_are_32_random_bytes_that_never_repeat() -> None:
    """100,000 ids are all different and every bit of them is set about half the time."""
    count = 100_000
    ids = [tokens.new_id() for _ in range(count)]
    assert len(set(ids)) == count
    assert {len(raw) for raw in ids} == {32}
    for byte in range(32):
        for bit in range(8):
            share = sum(raw[byte] >> bit & 1 for raw in ids[:10_000]) / 10_000
            assert 0.46 < share < 0.54


@pytest.mark.parametrize("make", [tokens.new_id, tokens.new_version])
def test_s28_without_randomness_there_is_an_error_and_nothing_weaker(
    make: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the operating system has no randomness, the failure comes through."""

    def fail(size: int) -> bytes:
        raise OSError("no entropy")

    monkeypatch.setattr(os, "urandom", fail)
    assert callable(make)
    with pytest.raises(OSError, match="no entropy"):
        make()


def test_an_id_travels_as_43_characters_and_comes_back() -> None:
    """encode_id and decode_id are inverse to each other."""
    raw = tokens.new_id()
    text = tokens.encode_id(raw)
    assert len(text) == tokens.ID_CHARS == 43
    assert set(text) <= set(ALPHABET)
    assert tokens.decode_id(text) == raw


def test_the_spelling_of_an_id_is_fixed() -> None:
    """Ids that clients hold today are read by every later version."""
    assert tokens.encode_id(bytes(range(32))) == "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert tokens.encode_id(b"\xff" * 32) == "_" * 42 + "8"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * 42,
        "A" * 44,
        "A" * 42 + "=",
        "A" * 42 + "B",  # the two low bits of the last character are not zero
        "A" * 42 + " ",
        "A" * 42 + "\n",
        "A" * 42 + "é",
        "A" * 42 + "\ud800",
        "+" + "A" * 42,
        "/" + "A" * 42,
        "../" + "A" * 40,
        "\x00" * 43,
        "\N{FULLWIDTH LATIN CAPITAL LETTER A}" * 43,
    ],
)
def test_anything_but_the_one_spelling_of_an_id_is_none(text: str) -> None:
    """Wrong lengths, padding, other alphabets, unused bits: None and no exception."""
    assert tokens.decode_id(text) is None


def test_each_id_has_exactly_one_spelling() -> None:
    """Of the 64 texts that differ in the last character, the 16 canonical ones are read and differ."""
    start = tokens.encode_id(bytes(range(32)))[:-1]
    read = [raw for last in ALPHABET if (raw := tokens.decode_id(start + last)) is not None]
    assert len(read) == len(set(read)) == 16


def test_a_short_id_has_one_spelling_too() -> None:
    """30 bytes are 40 characters, of which each counts."""
    raw = tokens.new_id(tokens.SHORT_BYTES)
    text = tokens.encode_id(raw)
    assert len(text) == tokens.SHORT_CHARS == 40
    assert tokens.decode_id(text) == raw
    assert tokens.decode_id(text[:-1]) is None
    assert tokens.decode_id(text + "A") is None
    assert tokens.decode_id(text[:-1] + "+") is None


def test_the_store_key_is_fixed() -> None:
    """Records that stores hold today are found by every later version."""
    raw = bytes(range(32))
    expected = sha256(b"limpet:key:1" + (14).to_bytes(4, "big") + b"__Host-session" + raw).hexdigest()
    assert tokens.store_key("__Host-session", raw) == expected
    assert expected == "de968443905d9f339b7dbbcf1fb3c54ed283010effc343425299e361a4098631"


def test_s27_a_store_key_is_no_id() -> None:
    """The key that a store holds cannot be sent as an id."""
    key = tokens.store_key("session", tokens.new_id())
    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")
    assert tokens.decode_id(key) is None
    assert tokens.decode_id(key[:43]) != bytes.fromhex(key)


def test_two_namespaces_never_share_a_key() -> None:
    """The length of the namespace is hashed too, so that moving its end moves the key."""
    raw = b"b" * 32
    assert tokens.store_key("a", raw) != tokens.store_key("", raw)
    assert tokens.store_key("ab", raw) != tokens.store_key("a", b"b" + raw)


def test_s30_a_tag_is_the_first_eight_digits() -> None:
    """What stands in a log tells sessions apart and no more."""
    assert tokens.tag("0123456789abcdef" * 4) == "01234567"


def test_versions_are_signed_64_bit_numbers_that_never_repeat() -> None:
    """Random over the whole range that a store keeps."""
    versions = [tokens.new_version() for _ in range(10_000)]
    assert len(set(versions)) == len(versions)
    assert all(-(2**63) <= version < 2**63 for version in versions)
    assert 0.45 < sum(version < 0 for version in versions) / len(versions) < 0.55
    assert max(abs(version) for version in versions) > 2**61


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_base64url_comes_back(data: bytes) -> None:
    """b64decode(b64encode(x)) == x, in the spelling of RFC 4648 without padding."""
    text = tokens.b64encode(data)
    assert text == urlsafe_b64encode(data).rstrip(b"=").decode()
    assert tokens.b64decode(text) == data


@settings(deadline=None)
@given(st.one_of(st.text(max_size=20), st.text(ALPHABET + "+/= \n", max_size=20)))
def test_base64url_has_one_spelling(text: str) -> None:
    """A text is read if and only if it is how the bytes that it stands for are written."""
    data = tokens.b64decode(text)
    if set(text) <= set(ALPHABET) and len(text) % 4 != 1:
        lenient = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        canonical = tokens.b64encode(lenient) == text
        assert data == (lenient if canonical else None)
    else:
        assert data is None


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_last_character_is_either_canonical_or_refused(size: int) -> None:
    """For one, two and three leftover bytes exactly 4, 16 and 64 last characters are read."""
    start = tokens.b64encode(b"\x00" * size)[:-1]
    assert sum(tokens.b64decode(start + last) is not None for last in ALPHABET) == {1: 4, 2: 16, 3: 64}[size]
