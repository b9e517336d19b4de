"""Security events that the application polls (RFC 8936) end what pushed ones end, and wrong ones are told of."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest

from limpet import ConfigurationError, SessionManager
from limpet.audit import JSONAuditLog
from limpet.events import SessionRevoked
from limpet.signout import SignOut
from limpet.testing import FakeClock
from tests.signout.provider import CAEP, ISSUER, OTHER, RISC, Site, event_token, issuer, jwks, sign
from tests.signout.test_right_messages import EVENTS as RIGHT
from tests.signout.test_right_messages import Failing, people, three
from tests.signout.test_wrong_events import EVENTS as WRONG

pytestmark = pytest.mark.filterwarnings("ignore:.*:joserfc.errors.SecurityWarning")  # of the tokens that are made here

REVOKED = f"{CAEP}session-revoked"


def jti_of(token: str) -> str:
    """Return under which name a transmitter would send a token."""
    try:
        part = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return "x"
    return str(claims.get("jti", "x"))


def sets(*tokens: str) -> Any:
    """Return the answer to a poll that brings these."""
    return {"sets": {jti_of(token): token for token in tokens}, "moreAvailable": False}


class People:
    """Ann's two sessions and Bob's one, each with one at the provider, and no application around them."""

    def __init__(self, clock: FakeClock) -> None:
        self.manager = SessionManager("memory:", dev=False, clock=clock)
        self.signout = SignOut(self.manager, issuer())
        self.ids = [self._login(*each) for each in (("ann", "1"), ("ann", "2"), ("bob", "3"))]

    def _login(self, name: str, sid: str) -> str | None:
        session = self.manager.blocking.begin(())
        session.login(name, tags={"oidc_sid": sid})
        self.manager.blocking.commit(session)
        return session.public_id

    def left(self) -> list[str]:
        """Return whose each session is; "": it has ended."""
        live = {info.public_id: name for name in ("ann", "bob") for info in self.manager.blocking.sessions_of(name)}
        return [live.get(each or "", "") for each in self.ids]


@pytest.mark.parametrize(("event", "payload", "identifier", "left"), RIGHT)
def test_an_event_ends_what_it_ends_when_it_is_pushed(
    clock: FakeClock, event: str, payload: dict[str, Any], identifier: dict[str, Any], left: list[str]
) -> None:
    """And is acknowledged, also one that ends nothing here."""
    people, token = People(clock), event_token(event, payload, sub_id=identifier)
    assert people.signout.blocking.polled(sets(token)) == {"ack": [jti_of(token)]}
    assert people.left() == left


@pytest.mark.parametrize(("token", "code", "rule"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_wrong_event_is_told_of(clock: FakeClock, token: str, code: str, rule: str) -> None:
    """With the error of RFC 8935, section 2.4; the sessions go on."""
    people = People(clock)
    said = people.signout.blocking.polled(sets(token))
    assert list(said) == ["setErrs"]
    [(jti, error)] = said["setErrs"].items()
    assert jti == jti_of(token)
    assert error["err"] == code, rule
    assert set(error) == {"err", "description"}
    assert people.left() == ["ann", "ann", "bob"]


@pytest.mark.parametrize("token", [None, 1, True, ["a.b.c"], {"jwt": "a.b.c"}, "", "é", "a.b.c\n", "x" * 70_000])
def test_what_is_no_token_is_told_of(clock: FakeClock, token: Any) -> None:
    """RFC 8936, section 2.3: a set is a string, a JWT in its compact form."""
    said = People(clock).signout.blocking.polled({"sets": {"1": token}})
    assert said["setErrs"]["1"]["err"] == "invalid_request"


def test_an_event_comes_under_its_own_name(site: Site) -> None:
    """RFC 8936, section 2.3: else one would be acknowledged for another."""
    browser = site.login()
    assert list(site.polled({"sets": {"other": event_token(REVOKED)}})) == ["setErrs"]
    assert site.who(browser) == "ann"


def test_right_and_wrong_ones_side_by_side(site: Site) -> None:
    browsers = three(site)
    right, none = event_token(REVOKED, sub_id={"format": "opaque", "id": "2"}), event_token(f"{RISC}account-enabled")
    wrong = sign({"iss": ISSUER, "jti": "forged"}, "secevent+jwt", OTHER)
    said = site.polled(sets(wrong, right, none))
    assert said["ack"] == [jti_of(right), jti_of(none)]
    assert {jti: error["err"] for jti, error in said["setErrs"].items()} == {"forged": "invalid_key"}
    assert people(site, browsers) == ["ann", "", "bob"]
    assert json.loads(json.dumps(said)) == said


def test_nothing_new_nothing_said(site: Site) -> None:
    assert site.polled({"sets": {}}) == {}


def test_an_event_counts_once_however_it_comes(site: Site) -> None:
    """Polled again, since its acknowledgement was lost, or pushed as well."""
    token = event_token(REVOKED)
    browser = site.login()
    assert site.polled(sets(token)) == {"ack": [jti_of(token)]}
    assert site.who(browser) == ""
    browser = site.login()
    assert site.polled(sets(token)) == {"ack": [jti_of(token)]}
    assert site.push(token).status_code == 202
    assert site.who(browser) == "ann"


@pytest.mark.parametrize("answer", [None, [], "{}", {}, {"sets": None}, {"sets": ["a.b.c"]}, {"sets": {1: "a.b.c"}}])
def test_what_is_no_answer_to_a_poll(clock: FakeClock, answer: Any) -> None:
    """Such as the JSON of an error."""
    with pytest.raises(ValueError, match="no answer to a poll"):
        People(clock).signout.blocking.polled(answer)


def test_an_issuer_that_may_not_send_events(build: Any) -> None:
    with pytest.raises(ConfigurationError, match="nobody may send events"):
        build(issuer(accepts=("back-channel",))).polled({"sets": {}})
    site = build(
        issuer(accepts=("back-channel",), subject=lambda identifier: "ann"),
        issuer("https://other.example", sid_tag="other", subject=lambda identifier: "ann"),
    )
    browser = site.login()
    [error] = site.polled(sets(event_token(REVOKED)))["setErrs"].values()
    assert error["err"] == "invalid_issuer"
    assert site.who(browser) == "ann"


def test_the_header_for_pushed_events_is_not_asked_for(build: Any) -> None:
    """The application has asked for them itself."""
    site = build(issuer(authorization="Bearer secret"))
    browser = site.login()
    assert list(site.polled(sets(event_token(REVOKED)))) == ["ack"]
    assert site.who(browser) == ""


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_what_cannot_be_carried_out_now_comes_again(kind: str, clock: FakeClock) -> None:
    """It is neither acknowledged nor refused, whether the store or the keys could not be reached."""
    store = Failing()
    site = Site(kind, SessionManager(store, dev=False, clock=clock), issuer())
    browser, token = site.login(), event_token(REVOKED)
    store.down = True
    assert site.polled(sets("junk", token)) == {
        "setErrs": {"x": {"err": "invalid_request", "description": "it is no signed token"}}
    }
    store.down = False
    assert site.who(browser) == "ann"
    assert list(site.polled(sets(token))) == ["ack"]
    assert site.who(browser) == ""


def test_keys_that_cannot_be_fetched(build: Any) -> None:
    keys: list[Any] = []

    def fetch() -> Any:
        return keys[0]

    site = build(issuer(keys=fetch))
    browser, token = site.login(), event_token(REVOKED)
    assert site.polled(sets(token)) == {}
    assert site.who(browser) == "ann"
    keys.append(jwks())
    site.manager.clock.advance(11)
    assert list(site.polled(sets(token))) == ["ack"]
    assert site.who(browser) == ""


def test_who_ended_a_session_is_told_and_what_was_refused(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same events, lines of the audit log and warnings as where they are pushed."""
    heard: list[Any] = []
    site.manager.listen(heard.append)
    site.manager.listen(JSONAuditLog(tmp_path / "audit.log"))
    site.login()
    site.polled(sets(event_token(REVOKED), "junk"))
    [revoked] = [event for event in heard if isinstance(event, SessionRevoked)]
    assert (revoked.by, revoked.why) == (ISSUER, "session-revoked")
    lines = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert [line["by"] for line in lines if line["event"] == "SessionRevoked"] == [ISSUER]
    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "polled was refused: it is no signed token (RFC 7519, section 7.2)" in warning
