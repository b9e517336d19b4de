"""The vectors of another implementation, read from where they are published: what its browser signs is a proof here.

Of ``dbsc-toolkit`` those that are about the W3C's draft; its own protocols for other browsers are left out. Its package
does not have them, so that they come from its repository, or from ``LIMPET_TEST_DBSC_VECTORS``, a folder with them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from limpet.bound import fields, proofs
from tests.checkout import checkout

pytestmark = pytest.mark.long

REPOSITORY: Final = "https://github.com/SulimanAbdulrazzaq/dbsc-toolkit"
COMMIT: Final = "d70e3e96546cc0510e6ebd72be906e0e1c2eb320"
BOTH: Final = ("ES256", "RS256")
Vector = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def vector(tmp_path_factory: pytest.TempPathFactory) -> Vector:
    """Return what reads a vector by its name."""
    given = os.environ.get("LIMPET_TEST_DBSC_VECTORS")
    folder = (
        Path(given) if given else checkout(tmp_path_factory.mktemp("vectors"), REPOSITORY, COMMIT) / "spec" / "vectors"
    )
    return lambda name: json.loads((folder / f"{name}.json").read_text())


def test_the_headers(vector: Vector) -> None:
    """To the byte."""
    found = vector("registration-header")
    given, expected = found["inputs"], found["expected"]
    name, value = fields.registration((given["algorithm"],), given["registrationPath"], given["challenge"])
    assert (name, value.decode()) == (b"secure-session-registration", expected["Secure-Session-Registration"])
    name, value = fields.challenge(given["challenge"], given["sessionId"])
    assert (name, value.decode()) == (b"secure-session-challenge", expected["Secure-Session-Challenge (with id)"])


@pytest.mark.parametrize("quotes", [True, False])
def test_a_registration(vector: Vector, quotes: bool) -> None:
    found = vector("registration")
    sent = found["secureSessionResponse"]
    header = (b"secure-session-response", (f'"{sent}"' if quotes else sent).encode())
    text = fields.proof_in([header])
    assert text is not None
    proof = proofs.registered(text, BOTH)
    stored = found["expectedStoredBoundKey"]
    assert (proof.challenge, proof.key, proof.alg) == (found["challenge"], stored["jwk"], stored["algorithm"])
    with pytest.raises(proofs.Refused, match="brings-a-key"):
        proofs.renewed(sent, proof.key, proof.alg)


def test_a_refresh(vector: Vector) -> None:
    found, other = vector("refresh"), vector("dpop-proof")["publicKeyJwk"]
    sent, key = found["secureSessionResponse"], found["storedPublicKeyJwk"]
    assert proofs.renewed(sent, key, "ES256").challenge == found["expectedResult"]["jti"]
    with pytest.raises(proofs.Refused, match="no-key"):
        proofs.registered(sent, BOTH)
    with pytest.raises(proofs.Refused, match="signature"):
        proofs.renewed(sent, {name: other[name] for name in ("kty", "crv", "x", "y")}, "ES256")
