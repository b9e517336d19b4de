"""Tokens: what opens them, and that nothing else does. Every test runs for signed and for encrypted ones."""

from __future__ import annotations

import base64
import hmac
import json
import os
import string
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpet._wire.tokens import b64decode, b64encode
from limpet.keyring import Key, Keyring
from limpet.sealers.encrypted import EncryptedSealer
from limpet.sealers.signed import SignedSealer

NEW = "Zk3v-8Qw1LrT5yXcB7nMp2aSd9fGh4jKe6uIo0_RtYE"
OLD = "p0T7r_MRiYz1cVbWq5LxN8sKd3GhJf6uEa2-Qy9oXtC"
ALPHABET = string.ascii_letters + string.digits + "-_"
KINDS = [SignedSealer, EncryptedSealer]

Sealer = SignedSealer | EncryptedSealer
Make = Callable[..., Sealer]


@pytest.fixture(params=KINDS, ids=["signed", "encrypted"])
def make(request: pytest.FixtureRequest) -> Make:
    """Return what makes a sealer of one kind."""
    kind: type[Sealer] = request.param

    def build(
        secrets: str | list[str | Key] | Keyring = NEW,
        *,
        purpose: str = "session",
        name: str = "__Host-session",
        now: int = 0,
    ) -> Sealer:
        ring = secrets if isinstance(secrets, Keyring) else Keyring(secrets)
        return kind(ring, purpose=purpose, name=name, clock=lambda: now)

    return build


@settings(deadline=None)
@given(data=st.binary(max_size=2_000))
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_come_back(kind: type[Sealer], data: bytes) -> None:
    """open(seal(x)) == x, and the token is of the base64url alphabet."""
    sealer = kind(Keyring(NEW), purpose="p", name="n", clock=lambda: 0)
    token = sealer.seal(data)
    assert sealer.open(token) == data
    assert set(token) <= set(ALPHABET)


@pytest.mark.parametrize(
    ("kind", "token"),
    [
        (SignedSealer, "AVOr9YihdGhlIHNhbWUgYnl0ZXMgZm9yIGV2ZXLlYrMj3rXMX-1ESLC1N-pwHiWik7ZhZvR6OXwIqXCh6Q"),
        (
            EncryptedSealer,
            "AUXetZ0T-2tM9j05c847RUx2758v8Cnqlz5rUkBeXmnDvlYAxnvUDu38kTPwHnpDCn-MjSCXS-SBt-SP_A77eLlmEogl",
        ),
    ],
)
def test_tokens_of_earlier_versions_open(kind: type[Sealer], token: str) -> None:
    """These were sealed by the first version; they stay readable as long as the format has the number 1."""
    sealer = kind(Keyring(NEW), purpose="session", name="__Host-session", clock=lambda: 0)
    assert sealer.open(token) == b"the same bytes for ever"
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert raw[:2] == b"\x01" + kind.mode


def test_a_signed_token_is_as_described() -> None:
    """Version, mode, key id, data, HMAC-SHA-256 over all of it and the name and purpose: checked with hmac alone."""
    token = SignedSealer(Keyring(NEW), purpose="session", name="__Host-session", clock=lambda: 0).seal(b"data")
    (key,) = Keyring(NEW).derive("token S session", "__Host-session")
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    head = b"\x01S" + key.key_id
    signed = head + b"\x00\x00\x00\x0e__Host-session" + b"\x00\x00\x00\x07session" + b"data"
    assert raw == head + b"data" + hmac.digest(key.key, signed, "sha256")


def test_s11_no_flipped_bit_opens(make: Make) -> None:
    """Every single-bit flip of every byte of a token, and of every character, is refused."""
    sealer = make()
    token = sealer.seal(b"user=17")
    raw = b64decode(token)
    assert raw is not None
    for byte in range(len(raw)):
        for bit in range(8):
            flipped = bytearray(raw)
            flipped[byte] ^= 1 << bit
            assert sealer.open(b64encode(bytes(flipped))) is None
    for at in range(len(token)):
        for bit in range(8):
            flipped_text = token[:at] + chr(ord(token[at]) ^ 1 << bit) + token[at + 1 :]
            assert sealer.open(flipped_text) is None


def test_s11_no_part_of_a_token_opens(make: Make) -> None:
    """Every truncation, from either side, and everything appended is refused."""
    sealer = make()
    token = sealer.seal(b"user=17")
    assert sealer.open(token) == b"user=17"
    for at in range(1, len(token)):
        assert sealer.open(token[:at]) is None
        assert sealer.open(token[at:]) is None
    for extra in [*ALPHABET, "=", "==", "A" * 4, " ", "\n", "\x00", token]:
        assert sealer.open(token + extra) is None
        assert sealer.open(extra + token) is None
    assert sealer.open("") is None


@pytest.mark.parametrize("size", range(9))
def test_s11_a_token_has_one_spelling(make: Make, size: int) -> None:
    """Of all last characters only the true one opens, whatever unused bits are left over; padding never does."""
    sealer = make()
    token = sealer.seal(b"x" * size)
    assert [last for last in ALPHABET if sealer.open(token[:-1] + last) is not None] == [token[-1]]
    assert [count for count in range(1, 5) if sealer.open(token + "=" * count) is not None] == []


def test_s11_a_token_in_the_other_base64_alphabet_is_refused(make: Make) -> None:
    """``+`` and ``/`` are another spelling of the same bytes, and there is only one."""
    sealer = make()
    tokens = [sealer.seal(bytes([number]) * 60) for number in range(64)]
    other = [token.replace("-", "+").replace("_", "/") for token in tokens]
    differ = [text for text, token in zip(other, tokens, strict=True) if text != token]
    assert len(differ) > 32
    assert [text for text in differ if sealer.open(text) is not None] == []


@settings(deadline=None)
@given(junk=st.one_of(st.text(max_size=200), st.text(ALPHABET, max_size=200)))
@pytest.mark.parametrize("kind", KINDS)
def test_s12_junk_is_none_and_never_an_exception(kind: type[Sealer], junk: str) -> None:
    """Any text, with and without the beginning of a true token."""
    sealer = kind(Keyring(NEW), purpose="p", name="n", clock=lambda: 0)
    assert sealer.open(junk) is None
    assert sealer.open(sealer.seal(b"")[:8] + junk) is None


@pytest.mark.parametrize("middle", ["é", "\ud800", "\x00", " ", "\N{FULLWIDTH DIGIT ONE}", ";", '"', "%41"])
def test_s12_foreign_characters_inside_a_token_are_refused(make: Make, middle: str) -> None:
    """At every place."""
    sealer = make()
    token = sealer.seal(b"user=17")
    for at in range(len(token) + 1):
        assert sealer.open(token[:at] + middle + token[at:]) is None


def test_s13_a_token_over_4096_characters_is_not_looked_at(make: Make) -> None:
    """The largest that fits opens, one character more does not, though it is sealed rightly."""
    sealer = make()
    overhead = len(b64decode(sealer.seal(b"")) or b"")
    fits = sealer.seal(b"x" * (4096 * 3 // 4 - overhead))
    assert len(fits) == 4096
    assert sealer.open(fits) is not None
    over = sealer.seal(b"x" * (4096 * 3 // 4 - overhead + 1))
    assert len(over) == 4098
    assert sealer.open(over) is None


@pytest.mark.parametrize(
    "other", [{"name": "__Host-other"}, {"purpose": "reset"}, {"name": "session", "purpose": "__Host-session"}]
)
def test_s25_a_token_is_bound_to_its_name_and_purpose(make: Make, other: dict[str, str]) -> None:
    """The same secret, another cookie or another use: refused."""
    token = make().seal(b"user=17")
    assert make(**other).open(token) is None
    assert make().open(token) == b"user=17"


def test_s25_name_and_purpose_cannot_run_into_each_other(make: Make) -> None:
    """Moving a letter from one to the other makes other keys."""
    token = make(purpose="ab", name="c").seal(b"x")
    assert make(purpose="a", name="bc").open(token) is None
    assert make(purpose="abc", name="").open(token) is None


def test_another_secret_opens_nothing(make: Make) -> None:
    """Nor does it claim that a token is current."""
    token = make(NEW).seal(b"user=17")
    assert make(OLD).open(token) is None
    assert not make(OLD).current(token)


@pytest.mark.parametrize(("sealing", "opening"), [(SignedSealer, EncryptedSealer), (EncryptedSealer, SignedSealer)])
def test_s24_a_signed_token_is_not_an_encrypted_one(sealing: type[Sealer], opening: type[Sealer]) -> None:
    """Same secret, purpose and name: refused as it is, and with the mode byte or the whole beginning changed."""
    ring = Keyring(NEW)
    token = sealing(ring, purpose="p", name="n", clock=lambda: 0).seal(b"user=17" * 10)
    other = opening(ring, purpose="p", name="n", clock=lambda: 0)
    assert other.open(token) is None
    assert other.open(other.seal(b"")[:8] + token[8:]) is None
    raw = b64decode(token)
    assert raw is not None
    assert other.open(b64encode(raw[:1] + opening.mode + raw[2:])) is None


@pytest.mark.parametrize("plain", [b'{"user": 17}', b"user=17", b"\x80\x04K\x01."])
def test_s24_what_is_not_sealed_at_all_is_refused(make: Make, plain: bytes) -> None:
    """Plain data, plain base64, standard base64, another library's three-part token."""
    sealer = make()
    third = f"{b64encode(json.dumps({'alg': 'none'}).encode())}.{b64encode(plain)}."
    for token in (plain.decode("latin-1"), b64encode(plain), base64.b64encode(plain).decode(), third):
        assert sealer.open(token) is None
        assert sealer.open(sealer.seal(b"")[:8] + token) is None


@pytest.mark.parametrize("version", [0, 2, 255])
def test_s24_another_version_is_refused(make: Make, version: int) -> None:
    """There is no fallback to an older or a guess at a newer format."""
    sealer = make()
    raw = b64decode(sealer.seal(b"user=17"))
    assert raw is not None
    assert sealer.open(b64encode(bytes([version]) + raw[1:])) is None


def test_rotation_keeps_old_tokens_open_until_the_old_secret_goes(make: Make) -> None:
    """The newest seals, all listed open, and what an old one sealed is not current."""
    old_token = make(OLD).seal(b"user=17")
    both = make([NEW, OLD])
    assert both.open(old_token) == b"user=17"
    assert not both.current(old_token)
    new_token = both.seal(b"user=17")
    assert both.current(new_token)
    assert make(NEW).open(new_token) == b"user=17"
    assert make(OLD).open(new_token) is None
    assert make(NEW).open(old_token) is None


def test_a_token_is_tried_with_the_one_key_that_it_names(make: Make) -> None:
    """With the key id of another listed key it does not open, though its true key is listed too."""
    old_token, new_token = make(OLD).seal(b"x"), make(NEW).seal(b"x")
    both = make([NEW, OLD])
    assert both.open(new_token[:8] + old_token[8:]) is None
    assert both.open(old_token[:8] + new_token[8:]) is None


def test_an_old_secret_opens_nothing_from_its_end_on(make: Make) -> None:
    """To the millisecond: open before, closed at the end date and after."""
    ring = Keyring([NEW, Key(OLD, until=datetime(2030, 1, 1, tzinfo=UTC))])
    end = 1_893_456_000_000
    token = make(OLD).seal(b"user=17")
    assert make(ring, now=end - 1).open(token) == b"user=17"
    assert make(ring, now=end).open(token) is None
    assert make(ring, now=end + 1).open(token) is None
    assert make(ring, now=end).open(make(NEW).seal(b"new")) == b"new"


def test_secrets_replaced_while_running_take_effect_at_once(make: Make) -> None:
    """seal, open and current all follow Keyring.replace."""
    ring = Keyring(OLD)
    sealer = make(ring)
    token = sealer.seal(b"user=17")
    ring.replace([NEW, OLD])
    assert not sealer.current(token)
    assert sealer.open(token) == b"user=17"
    ring.replace(NEW)
    assert sealer.open(token) is None
    assert make(NEW).open(sealer.seal(b"x")) == b"x"


def test_encrypted_tokens_show_nothing_and_never_repeat() -> None:
    """Neither the data nor the fact that two tokens hold the same; the nonce is new for each."""
    sealer = EncryptedSealer(Keyring(NEW), purpose="p", name="n", clock=lambda: 0)
    tokens = [sealer.seal(b"user=17" * 20) for _ in range(1_000)]
    raws = [b64decode(token) or b"" for token in tokens]
    assert len({raw[6:30] for raw in raws}) == len(raws)
    assert len({raw[30:62] for raw in raws}) == len(raws)
    assert not any(b"user" in raw for raw in raws)


def test_without_randomness_nothing_is_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing system generator is an error; no weaker nonce takes its place."""
    sealer = EncryptedSealer(Keyring(NEW), purpose="p", name="n", clock=lambda: 0)
    sealer.seal(b"x")

    def fail(size: int) -> bytes:
        raise OSError("no entropy")

    monkeypatch.setattr(os, "urandom", fail)
    with pytest.raises(OSError, match="no entropy"):
        sealer.seal(b"x")


def test_s36_macs_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forged token of the right shape goes through hmac.compare_digest once, with the whole MACs."""
    seen: list[tuple[int, int]] = []

    def spy(left: bytes, right: bytes) -> bool:
        seen.append((len(left), len(right)))
        return hmac.compare_digest(left, right)

    monkeypatch.setattr("limpet.sealers.signed.compare_digest", spy)
    sealer = SignedSealer(Keyring(NEW), purpose="p", name="n", clock=lambda: 0)
    raw = b64decode(sealer.seal(b"x"))
    assert raw is not None
    assert sealer.open(b64encode(raw[:-1] + bytes([raw[-1] ^ 1]))) is None
    assert seen == [(32, 32)]


def test_s30_a_sealer_shows_no_key(make: Make) -> None:
    """Its repr says what it is for."""
    sealer = make()
    sealer.seal(b"x")
    assert "session" in repr(sealer)
    assert NEW not in repr(sealer)


def test_threads_share_a_sealer(make: Make) -> None:
    """Eight threads seal and open at once while the secrets are replaced; every token opens."""
    ring = Keyring([NEW, OLD])
    sealer = make(ring)
    failures: list[object] = []

    def work(number: int) -> None:
        data = bytes([number]) * 50
        for _ in range(300):
            opened = sealer.open(sealer.seal(data))
            if opened != data:
                failures.append(opened)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for turn in range(20):
        ring.replace([OLD, NEW] if turn % 2 else [NEW, OLD])
    for thread in threads:
        thread.join()
    assert failures == []
