"""The primitives, against what their authors published."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from limpet.sealers.encrypted import XAES256GCM

ACCUMULATED = {
    10_000: "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939",
    1_000_000: "2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15",
}


@pytest.mark.parametrize(
    ("key", "data", "mac"),
    [
        ("0b" * 20, b"Hi There".hex(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe".hex(),
            b"what do ya want for nothing?".hex(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        ("aa" * 20, "dd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (
            bytes(range(1, 26)).hex(),
            "cd" * 50,
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            "aa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First".hex(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            "aa" * 131,
            (
                b"This is a test using a larger than block-size key and a larger than block-size data. "
                b"The key needs to be hashed before being used by the HMAC algorithm."
            ).hex(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ],
)
def test_the_mac_is_hmac_sha_256(key: str, data: str, mac: str) -> None:
    """RFC 4231, test cases 1 to 4, 6 and 7, from a key state that is prepared, copied and then fed, as sealers do."""
    prepared = HMAC(bytes.fromhex(key), SHA256())
    whole = bytes.fromhex(data)
    prepared.update(whole[:3])
    for _ in range(2):
        state = prepared.copy()
        state.update(whole[3:])
        assert state.finalize().hex() == mac


@pytest.mark.parametrize(
    ("key", "associated", "expected"),
    [
        ("01" * 32, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        ("03" * 32, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ],
)
def test_the_cipher_is_xaes_256_gcm(key: str, associated: bytes, expected: str) -> None:
    """C2SP XAES-256-GCM, both published vectors: the subkey's high bit clear, and set."""
    cipher = XAES256GCM(bytes.fromhex(key))
    nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX"
    assert cipher.encrypt(nonce, b"XAES-256-GCM", associated).hex() == expected
    assert cipher.decrypt(nonce, bytes.fromhex(expected), associated) == b"XAES-256-GCM"


def test_the_cipher_inside_is_aes_256_gcm() -> None:
    """McGrew and Viega, test case 16 (NIST SP 800-38D): what encrypts under a derived key, and seals renewed ids."""
    key = "feffe9928665731c6d6a8f9467308308" * 2
    plain = (
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
    )
    sealed = (
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b"
    )
    nonce, associated = "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2"
    made = AESGCM(bytes.fromhex(key)).encrypt(*(bytes.fromhex(part) for part in (nonce, plain, associated)))
    assert made.hex() == sealed


def accumulate(iterations: int) -> str:
    """Return the hash of ciphertexts over keys, nonces and data drawn from SHAKE-128, as the specification tells."""
    drawn = hashlib.shake_128().digest(iterations * 570)
    assert drawn[:16].hex() == "7f9c2ba4e88f827d616045507605853e"
    at = 0

    def draw(size: int) -> bytes:
        nonlocal at
        at += size
        assert at <= len(drawn)
        return drawn[at - size : at]

    hashed = hashlib.shake_128()
    for _ in range(iterations):
        key, nonce = draw(32), draw(24)
        data = draw(draw(1)[0])
        associated = draw(draw(1)[0])
        cipher = XAES256GCM(key)
        sealed = cipher.encrypt(nonce, data, associated)
        assert cipher.decrypt(nonce, sealed, associated) == data
        hashed.update(sealed)
    return hashed.digest(32).hex()


def test_the_cipher_is_xaes_256_gcm_for_10_000_random_messages() -> None:
    """The accumulated randomized test of the specification."""
    assert accumulate(10_000) == ACCUMULATED[10_000]


@pytest.mark.long
def test_the_cipher_is_xaes_256_gcm_for_a_million_random_messages() -> None:
    """The long form of the accumulated test."""
    assert accumulate(1_000_000) == ACCUMULATED[1_000_000]


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    """Only 256-bit keys are specified."""
    with pytest.raises(ValueError, match="32 bytes"):
        XAES256GCM(bytes(size))


@pytest.mark.parametrize("size", [0, 12, 23, 25])
def test_a_nonce_of_another_size_is_refused(size: int) -> None:
    """Only 192-bit nonces are specified."""
    with pytest.raises(ValueError, match="24 bytes"):
        XAES256GCM(b"k" * 32).encrypt(bytes(size), b"", b"")
