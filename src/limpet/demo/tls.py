"""A certificate for the demo on this machine, and how Chromium is started so that it binds sessions without a TPM."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

__all__ = ["Certificate", "make_certificate"]

_FEATURES: Final = "DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting"


class Certificate(NamedTuple):
    """A certificate and its key, in one file.

    Attributes:
        path: The file.
        pin: What Chromium is told in place of a certificate authority: SHA-256 of the public key, in base64.
    """

    path: Path
    pin: str

    def command(self, url: str) -> str:
        """Return what starts a Chromium with a profile of its own that trusts this certificate."""
        return (
            "chromium --user-data-dir=/tmp/limpet-demo "
            f"--ignore-certificate-errors-spki-list={self.pin} --enable-features={_FEATURES} {url}"
        )


def make_certificate(folder: Path, hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")) -> Certificate:
    """Write a certificate that is good for thirty days, under a key that was made now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "limpet demo")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([_named(host) for host in hosts]), critical=False)
        .sign(key, SHA256())
    )
    path = folder / "demo.pem"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.write(made.public_bytes(Encoding.PEM))
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Certificate(path, base64.b64encode(hashlib.sha256(public).digest()).decode())


def _named(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
