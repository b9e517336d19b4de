"""The whole session in the cookie."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpet._wire.tokens import b64decode, b64encode
from limpet.contract import NEVER, ClientStore, Record, Store
from limpet.errors import ConfigurationError
from limpet.keyring import Key, Keyring
from limpet.sealers.encrypted import EncryptedSealer
from limpet.sealers.signed import SignedSealer
from limpet.stores.cookie import CookieStore

NEW = "Zk3v-8Qw1LrT5yXcB7nMp2aSd9fGh4jKe6uIo0_RtYE"
OLD = "p0T7r_MRiYz1cVbWq5LxN8sKd3GhJf6uEa2-Qy9oXtC"
RECORD = Record(-5, b"\x00payload\xff", 1_700_000_000_000, 1_800_000_000_000, "user-17")
BOTH = pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "signed"])


def store(
    secrets: str | list[str] | Keyring = NEW, *, encrypted: bool = True, name: str = "__Host-session", now: int = 0
) -> CookieStore:
    """Return a store that is bound to a keyring of these secrets."""
    made = CookieStore(encrypted=encrypted)
    made.bind(secrets if isinstance(secrets, Keyring) else Keyring(secrets), name, lambda: now)
    return made


INT64 = st.integers(-(2**63), 2**63 - 1)
RECORDS = st.builds(
    Record,
    version=INT64,
    payload=st.binary(max_size=300),
    accessed=INT64,
    expires=st.one_of(INT64, st.just(NEVER)),
    subject=st.one_of(st.none(), st.text(st.characters(), max_size=30)),
)


@settings(deadline=None)
@given(record=RECORDS)
@BOTH
def test_records_come_back(encrypted: bool, record: Record) -> None:
    """Every field, with None and an empty subject told apart."""
    kept = store(encrypted=encrypted)
    assert kept.unseal(kept.seal(record)) == record


@BOTH
def test_a_record_costs_few_bytes_beside_its_payload(encrypted: bool) -> None:
    """A browser keeps 4,096 bytes; framing and seal take at most 100 of them."""
    payload = b"x" * 900
    token = store(encrypted=encrypted).seal(Record(1, payload, 2, 3))
    assert len(token) - len(b64encode(payload)) <= 100


@pytest.mark.parametrize(
    ("encrypted", "token"),
    [
        (
            False,
            "AVOr9Yih__________sAAAGLz-VoAAAAAaMYXFAAAAAACHVzZXItMTcAcGF5bG9hZP__XjmVEDTEGoqGcVYTy0ptnIMq38fMHsnBKsMMQ4rNRA",
        ),
        (
            True,
            "AUXetZ0T6cjbaUl3Py9k--lC6CB5ixFLjs7f-Q_jmTVcteAgHtrvCJR74aWBIt1wTFs7ZzQFJU2wDxGmm5cg1DbbJPoXd7AnM_YFWw274FbJqdEFDcLNRsAQ",
        ),
    ],
)
def test_cookies_of_earlier_versions_open(encrypted: bool, token: str) -> None:
    """These were sealed by the first version."""
    assert store(encrypted=encrypted).unseal(token) == RECORD


@BOTH
def test_s11_no_changed_cookie_opens(encrypted: bool) -> None:
    """Every bit flip of every byte, every truncation: None, without an exception."""
    kept = store(encrypted=encrypted)
    token = kept.seal(RECORD)
    raw = b64decode(token)
    assert raw is not None
    for byte in range(len(raw)):
        for bit in range(8):
            flipped = bytearray(raw)
            flipped[byte] ^= 1 << bit
            assert kept.unseal(b64encode(bytes(flipped))) is None
    assert all(kept.unseal(token[:at]) is None for at in range(len(token)))


def test_s24_an_encrypted_store_never_opens_a_signed_cookie() -> None:
    """Same secret, same name; nor the other way round."""
    signed, encrypted = store(encrypted=False), store(encrypted=True)
    assert encrypted.unseal(signed.seal(RECORD)) is None
    assert signed.unseal(encrypted.seal(RECORD)) is None
    assert encrypted.unseal(b64encode(json.dumps({"user": 17}).encode())) is None


@BOTH
def test_s25_a_cookie_is_bound_to_its_name(encrypted: bool) -> None:
    """Sent under another name it is nobody's."""
    token = store(encrypted=encrypted).seal(RECORD)
    assert store(encrypted=encrypted, name="__Host-session-admin").unseal(token) is None


@pytest.mark.parametrize("kind", [SignedSealer, EncryptedSealer])
def test_s25_a_session_id_is_not_a_cookie_session(kind: type[SignedSealer | EncryptedSealer]) -> None:
    """A token of the same secret and name for another purpose opens nothing, whatever it holds."""
    sealer = kind(Keyring(NEW), purpose="session-id", name="__Host-session", clock=lambda: 0)
    token = sealer.seal(bytes(64))
    assert store(encrypted=kind is EncryptedSealer).unseal(token) is None


@pytest.mark.parametrize("data", [b"", bytes(27), bytes(24) + b"\x00\x00\x00\x05abc", bytes(24) + b"\xff\xff\xff\xff"])
def test_sealed_bytes_that_are_no_record_are_none(data: bytes) -> None:
    """Made with the right key and framed by something else: absent, not an exception."""
    ring = Keyring(NEW)
    token = EncryptedSealer(ring, purpose="session", name="n", clock=lambda: 0).seal(data)
    assert store(ring, name="n").unseal(token) is None


def test_the_client_reads_a_signed_session_and_not_an_encrypted_one() -> None:
    """That is the difference between the two."""
    assert b"payload" in (b64decode(store(encrypted=False).seal(RECORD)) or b"")
    assert b"payload" not in (b64decode(store(encrypted=True).seal(RECORD)) or b"")


@BOTH
def test_secrets_rotate(encrypted: bool) -> None:
    """An old cookie opens and is not current; sealed again it is; after its end date it is gone."""
    token = store(OLD, encrypted=encrypted).seal(RECORD)
    both = store([NEW, OLD], encrypted=encrypted)
    assert both.unseal(token) == RECORD
    assert not both.current(token)
    assert both.current(both.seal(RECORD))
    dated = Keyring([NEW, Key(OLD, until=datetime(2030, 1, 1, tzinfo=UTC))])
    assert store(dated, encrypted=encrypted, now=1_893_455_999_999).unseal(token) == RECORD
    assert store(dated, encrypted=encrypted, now=1_893_456_000_000).unseal(token) is None


def test_without_keys_it_says_how_to_get_some() -> None:
    """Every use before bind is an error that prints the command."""
    unbound = CookieStore()
    for use in (lambda: unbound.seal(RECORD), lambda: unbound.unseal("x"), lambda: unbound.current("x")):
        with pytest.raises(ConfigurationError, match="limpet keygen"):
            use()


def test_two_managers_cannot_share_one() -> None:
    """It would seal one's sessions for the other; binding it to the same again is fine."""
    ring = Keyring(NEW)
    kept = CookieStore()
    kept.bind(ring, "a", lambda: 0)
    token = kept.seal(RECORD)
    kept.bind(ring, "a", lambda: 0)
    assert kept.unseal(token) == RECORD
    for other, name in ((ring, "b"), (Keyring(NEW), "a")):
        with pytest.raises(ConfigurationError, match="of its own"):
            kept.bind(other, name, lambda: 0)


def test_it_is_a_client_store_and_no_store() -> None:
    """The engine tells the two apart by their protocols."""
    assert isinstance(CookieStore(), ClientStore)
    assert not isinstance(CookieStore(), Store)


def test_s30_it_shows_no_key() -> None:
    """The repr says whether it encrypts and nothing more."""
    assert repr(store()) == "CookieStore(encrypted=True)"
