"""What is signed and yet of no use: values of another type than they should have, keys that are too short.

SSF is the Shared Signals Framework 1.0.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from limpet import ConfigurationError, SessionManager
from limpet.signout import SignOut
from limpet.testing import FakeClock
from tests.signout.provider import (
    CAEP,
    ISSUER,
    RISC,
    RSA,
    Site,
    event_token,
    issuer,
    jwks,
    logout_claims,
    logout_token,
    sign,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*:joserfc.errors.SecurityWarning")  # of the keys that are made here

Build = Callable[..., Site]
REVOKED, CHANGED = f"{CAEP}session-revoked", f"{CAEP}credential-change"
ANN = {"format": "iss_sub", "iss": ISSUER, "sub": "ann"}
NESTED = {"format": "complex", "user": {"format": "complex", "user": ANN}}


@pytest.mark.parametrize(
    "token",
    [
        event_token(CHANGED, {"change_type": ["revoke"]}),  # CAEP 1.0, section 3.3.1
        event_token(CHANGED, {"change_type": {"revoke": True}}),
        event_token(REVOKED, sub_id=NESTED),  # SSF, section 3.3: of simple ones
    ],
    ids=["a list", "an object", "nested"],
)
def test_an_event_with_a_value_of_another_type(site: Site, token: str) -> None:
    """It is refused by each way in, and nothing fails."""
    browser = site.login()
    refused = site.push(token)
    assert (refused.status_code, refused.json()["err"]) == (400, "invalid_request")
    [error] = site.polled({"sets": {"1": token}})["setErrs"].values()
    assert error["err"] == "invalid_request"
    assert site.who(browser) == "ann"


def test_a_revocation_of_what_is_nested(site: Site) -> None:
    browser = site.login()
    bearer = sign(logout_claims(events=None, sid=None), "global-token-revocation+jwt")
    assert site.revoke(NESTED, f"Bearer {bearer}").status_code == 400
    assert site.who(browser) == "ann"


def test_a_key_that_is_too_short(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """RFC 7518, sections 3.3 and 3.5. The others of the set count, and the log says which was left out."""
    short = RSAKey.generate_key(1024, {"kid": "short"})
    site = build(issuer(keys=jwks(short, RSA), algorithms=("RS256", "PS256")))
    browser = site.login()
    for alg in ("RS256", "PS256"):
        refused = site.logout(logout_token(short, alg))
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_key")
    assert site.who(browser) == "ann"
    assert "RSA with 1024 bits, of at least 2048" in caplog.text
    assert site.logout(logout_token()).status_code == 200


@pytest.mark.parametrize("length", ["9" * 5_000, "-5", "5, 5", "1e3", "٥", ""])
def test_a_length_that_is_no_number_of_bytes(clock: FakeClock, length: str) -> None:
    """Of servers that hand on whatever a client says: 400, and no error of ours."""
    signout = SignOut(SessionManager("memory:", dev=False, clock=clock), issuer())
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/back-channel",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": length,
        "wsgi.input": io.BytesIO(b"logout_token=x"),
    }
    said: list[str] = []
    signout.wsgi(environ, lambda status, headers: said.append(status))
    assert said == ["400 Bad Request"]


@pytest.mark.parametrize("answer", [5, 0, b"ann", "", ["ann", None], {7: "ann"}])
def test_a_function_that_returns_no_subject(clock: FakeClock, answer: Any) -> None:
    """Such as the number of a row, where logins were given a text: it would end nothing, and nobody would know."""
    site = Site("asgi", SessionManager("memory:", dev=False, clock=clock), issuer(subject=lambda identifier: answer))
    site.login()
    with pytest.raises(ConfigurationError, match="no subject"):
        site.push(event_token(REVOKED))


def test_an_event_that_fails_keeps_none_back(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """An application that knows somebody not: the event comes again, and those behind it are carried out."""

    def find(identifier: Any) -> str:
        return {"a": "ann"}[identifier["id"]]

    site = build(issuer(subject=find))
    browser = site.login()
    tokens = {
        name: event_token(f"{RISC}account-disabled", sub_id={"format": "opaque", "id": name}, jti=name)
        for name in ("x", "a")
    }
    assert site.polled({"sets": tokens}) == {"ack": ["a"]}
    assert site.who(browser) == ""
    assert "could not be carried out" in caplog.text
    assert "KeyError: 'x'" in caplog.text
