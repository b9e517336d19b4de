"""Secrets, their strength, and the keys derived from them."""

from __future__ import annotations

import copy
import pickle
import traceback
import warnings
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from limpet.errors import ConfigurationError, LimpetWarning, WeakSecret
from limpet.keyring import Key, Keyring, generate_secret

GOOD = "Zk3v-8Qw1LrT5yXcB7nMp2aSd9fGh4jKe6uIo0_RtYE"
OTHER = "EHYa3CWlVUKUU5XiBHv2T1EeUBygMfqlJGlvd5SxB7w"

WEAK: dict[str, str | bytes] = {
    "one letter": "a",
    "word": "changeme",
    "31 bytes": GOOD[:31],
    "31 random bytes": bytes.fromhex("8f1d0c3ab7559e64217de0f29b4c8835a61e70d45bc9137f02ee8d61b3954a"),
    "one byte repeated": "a" * 32,
    "zeros": bytes(64),
    "two bytes repeated": "ab" * 40,
    "word repeated": "secret" * 6,
    "word repeated and cut": ("secret" * 6)[:32],
    "digits repeated": "0123456789" * 4,
    "counting bytes": bytes(range(32)),
    "alphabet": "abcdefghijklmnopqrstuvwxyz0123456789",
    "few letters": "qamzqmazzqaamqzmmaqzazmqmzqaazqm",
    "two letters": "aabbabaabbbabaabababbabbaababababbabab",
    "placeholder": "your-secret-key-goes-right-here-please",
    "placeholder in capitals": "YOUR_SECRET_KEY_1234567890_abcdefXYZ",
    "please change": "change-me-before-you-go-to-production!",
    "framework's": "django-insecure-7h$k2)v!q9x@3m^b8z&c1n(5w",
    "password": "MyPassword-1984-Wellington-Harbour-Quay",
}


@pytest.mark.parametrize("secret", WEAK.values(), ids=WEAK.keys())
def test_s23_a_weak_secret_is_refused_with_the_command_that_makes_a_good_one(secret: str | bytes) -> None:
    """Short, repeated, sequential and placeholder secrets are errors at construction, which never quote them."""
    with pytest.raises(WeakSecret, match="limpet keygen") as caught:
        Keyring(secret)
    text = secret if isinstance(secret, str) else secret.decode("latin-1")
    assert len(text) < 10 or text not in str(caught.value)


@pytest.mark.parametrize("secret", ["", b"", "   ", "\n" * 40])
@pytest.mark.parametrize("allow_weak", [True, False])
def test_s23_an_empty_secret_is_refused_always(secret: str | bytes, allow_weak: bool) -> None:
    """allow_weak does not allow what is not there."""
    with pytest.raises(WeakSecret, match="limpet keygen"):
        Keyring(secret, allow_weak=allow_weak)


@pytest.mark.parametrize("secret", [None, 5, [None], [], (), object(), [b"x", 3], bytearray(b"x" * 40)])
def test_what_is_no_secret_is_refused(secret: object) -> None:
    """None, an empty list and other types are configuration errors with a cure."""
    with pytest.raises(ConfigurationError, match="limpet keygen"):
        Keyring(cast("Any", secret), allow_weak=True)


@pytest.mark.parametrize(
    "secret",
    [
        GOOD,
        bytes.fromhex("8f1d0c3ab7559e64217de0f29b4c8835a61e70d45bc9137f02ee8d61b3954a77"),
        "5d41402abc4b2a76b9719d911017c592",  # 16 random bytes as hexadecimal digits
        "83716429507316482950174839261057",  # random digits
        "grün ist die heide, braun ist der bär, 41!",
    ],
)
def test_s23_a_good_secret_is_taken(secret: str | bytes) -> None:
    """32 random bytes, or text that holds as much, raise nothing and warn about nothing."""
    assert len(Keyring(secret)) == 1


def test_s23_generated_secrets_are_always_good() -> None:
    """What `limpet keygen` prints is 43 characters, never the same, and passes every check."""
    secrets = {generate_secret() for _ in range(2_000)}
    assert len(secrets) == 2_000
    assert {len(secret) for secret in secrets} == {43}
    Keyring(secrets)


def test_a_weak_secret_can_be_allowed_with_one_warning() -> None:
    """Two weak secrets, one warning that names both by number and quotes neither."""
    with pytest.warns(LimpetWarning) as caught:
        ring = Keyring([GOOD, "short-one", "a" * 32], allow_weak=True)
    assert len(caught) == 1
    assert "secret 2 of 3" in str(caught[0].message)
    assert "secret 3 of 3" in str(caught[0].message)
    assert "short-one" not in str(caught[0].message)
    assert caught[0].filename == __file__
    assert len(ring) == 3


def test_a_string_counts_as_its_utf8_bytes() -> None:
    """The same secret as str and as bytes gives the same keys."""
    assert Keyring(GOOD).derive("p", "n") == Keyring(GOOD.encode()).derive("p", "n")


def test_s30_nothing_shows_a_secret() -> None:
    """repr, str, format, the derived keys' repr and a traceback's text hold no secret."""
    ring = Keyring([GOOD, Key(OTHER, until=datetime(2030, 1, 1, tzinfo=UTC))])
    derived = ring.derive("p", "n")
    shown = f"{ring!r} {ring!s} {ring} {Key(GOOD)!r} {Key(OTHER, until=datetime(2030, 1, 1, tzinfo=UTC))} {derived!r}"
    try:
        Keyring([GOOD, "short"])
    except WeakSecret as error:
        shown += "".join(traceback.format_exception(error))
    assert GOOD not in shown
    assert OTHER not in shown
    assert derived[0].key.hex() not in shown
    assert repr(derived[0].key) not in shown


@pytest.mark.parametrize("thing", [Keyring(GOOD), Key(GOOD)])
def test_s30_a_keyring_is_never_pickled_or_copied(thing: object) -> None:
    """A secret leaves the process in no pickle, and no copy misses a later replace."""
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            leak(thing)


def test_keys_are_derived_as_published() -> None:
    """HKDF-SHA-256 without a salt over tag, length, purpose, length, name; the values never change."""
    ring = Keyring(GOOD)
    (key,) = ring.derive("session", "__Host-session")
    info = b"\x00\x00\x00\x07session\x00\x00\x00\x0e__Host-session"
    assert key.key == HKDF(SHA256(), 32, None, b"limpet:key:1" + info).derive(GOOD.encode())
    assert key.key_id == HKDF(SHA256(), 4, None, b"limpet:key-id:1" + info).derive(GOOD.encode())
    assert key.key.hex() == "5a895093cae4bac0e1374b334310be1bd1025ae7c22565a838d669d58b763b48"
    assert key.key_id.hex() == "51af23c2"


@pytest.mark.parametrize(
    ("length", "secret", "salt", "info", "expected"),
    [
        (
            42,
            "0b" * 22,
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            82,
            bytes(range(0x50)).hex(),
            bytes(range(0x60, 0xB0)).hex(),
            bytes(range(0xB0, 0x100)).hex(),
            (
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
                "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
            ),
        ),
        (
            42,
            "0b" * 22,
            "",
            "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_the_derivation_is_hkdf(length: int, secret: str, salt: str, info: str, expected: str) -> None:
    """RFC 5869, appendix A.1 to A.3: the function that keys come from is the published one."""
    made = HKDF(SHA256(), length, bytes.fromhex(salt), bytes.fromhex(info)).derive(bytes.fromhex(secret))
    assert made.hex() == expected


def test_s25_each_purpose_and_name_has_keys_of_its_own() -> None:
    """No two of purpose, name and secret share a key or a key id, not even by moving a letter between them."""
    pairs = [("a", "bc"), ("ab", "c"), ("abc", ""), ("", "abc"), ("bc", "a"), ("session", "x"), ("csrf", "x")]
    derived = [key for pair in pairs for key in Keyring([GOOD, OTHER]).derive(*pair)]
    assert len({key.key for key in derived}) == len({key.key_id for key in derived}) == 2 * len(pairs)


def test_the_newest_secret_comes_first_and_a_repeated_one_counts_once() -> None:
    """The order of the list is the order of the keys."""
    new, old = Keyring([GOOD, OTHER, GOOD]).derive("p", "n")
    assert new == Keyring(GOOD).derive("p", "n")[0]
    assert old == Keyring(OTHER).derive("p", "n")[0]


def test_an_old_secret_carries_its_end_date_to_its_keys() -> None:
    """The date arrives in milliseconds since 1970, whatever its zone."""
    until = datetime(2030, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))
    new, old = Keyring([GOOD, Key(OTHER, until=until)]).derive("p", "n")
    assert new.until is None
    assert old.until == 1_896_084_000_000


def test_the_newest_secret_cannot_end() -> None:
    """It seals; after its end nobody could read what it sealed."""
    with pytest.raises(ConfigurationError, match="put a new one"):
        Keyring([Key(GOOD, until=datetime(2030, 1, 1, tzinfo=UTC)), OTHER])


@pytest.mark.parametrize("until", [datetime(2030, 1, 1), "2030-01-01", 5])
def test_an_end_date_needs_a_zone(until: object) -> None:
    """A naive time would mean another moment on another machine."""
    with pytest.raises(ConfigurationError, match="tzinfo=UTC"):
        Key(GOOD, until=cast("Any", until))


def test_the_environment_lists_secrets_newest_first() -> None:
    """LIMPET_SECRET is separated by white space."""
    ring = Keyring.from_env(environ={"LIMPET_SECRET": f"  {GOOD}\n{OTHER} "})
    assert ring.derive("p", "n") == Keyring([GOOD, OTHER]).derive("p", "n")


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """from_env() reads os.environ, and another variable if told to."""
    monkeypatch.setenv("APP_SECRET", GOOD)
    assert Keyring.from_env("APP_SECRET").derive("p", "n") == Keyring(GOOD).derive("p", "n")


@pytest.mark.parametrize("environ", [{}, {"LIMPET_SECRET": ""}, {"LIMPET_SECRET": " \n"}])
def test_an_environment_without_a_secret_is_an_error(environ: dict[str, str]) -> None:
    """The message names the variable and the command."""
    with pytest.raises(ConfigurationError, match=r"LIMPET_SECRET.*limpet keygen"):
        Keyring.from_env(environ=environ)


def test_secrets_are_replaced_without_a_restart() -> None:
    """replace takes what the constructor takes, or a keyring, and moves the generation."""
    ring = Keyring(OTHER)
    before = ring.generation
    ring.replace([GOOD, OTHER])
    assert ring.generation > before
    assert ring.derive("p", "n") == Keyring([GOOD, OTHER]).derive("p", "n")
    ring.replace(Keyring(GOOD))
    assert ring.generation > before + 1
    assert ring.derive("p", "n") == Keyring(GOOD).derive("p", "n")


def test_a_refused_replacement_changes_nothing() -> None:
    """After a weak secret was refused the old ones still work."""
    ring = Keyring(GOOD)
    generation = ring.generation
    with pytest.raises(WeakSecret):
        ring.replace([OTHER, "changeme"])
    assert (ring.generation, len(ring)) == (generation, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ring.derive("p", "n") == Keyring(GOOD).derive("p", "n")
