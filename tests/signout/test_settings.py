"""Settings that cannot work are refused when they are made, with a sentence that says what to write."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from limpet import ConfigurationError, SessionManager
from limpet.signout import Issuer, SignOut
from limpet.testing import client
from tests.bare import run_with_only
from tests.signout.provider import ISSUER, issuer, jwks

SECRET = "K3pq-9cVt_hYz1mXw7RbN5sLd8GfJ2aQ0oUe6iTyC4k"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"issuer": ""}, "issuer"),
        ({"issuer": None}, "issuer"),
        ({"audience": ""}, "audience"),
        ({"audience": ()}, "audience"),
        ({"audience": (1,)}, "audience"),
        ({"keys": "https://id.example.com/jwks"}, "keys is neither"),
        ({"accepts": "events"}, r"write accepts=\('events',\)"),
        ({"accepts": ("event",)}, "accepts has 'event'"),
        ({"accepts": ()}, "accepts is empty"),
        ({"algorithms": ("HS256",)}, "algorithms has 'HS256'"),
        ({"algorithms": ("none",)}, "algorithms has 'none'"),
        ({"algorithms": ("RS256", "rs256")}, "algorithms has 'rs256'"),
        ({"accepts": ("front-channel",), "sid_tag": None}, "sid_tag"),
        ({"leeway": timedelta(hours=1)}, "leeway"),
        ({"leeway": timedelta(seconds=-1)}, "leeway"),
        ({"max_age": timedelta(days=365)}, "max_age"),
        ({"authorization": " "}, "authorization"),
    ],
)
def test_an_issuer_that_cannot_work(settings: dict[str, Any], problem: str) -> None:
    """An algorithm with a shared secret, or none, among them: RFC 8725, sections 2.1 and 3.1."""
    given: dict[str, Any] = {"issuer": ISSUER, "audience": "shop", "keys": jwks(), **settings}
    with pytest.raises(ConfigurationError, match=problem):
        Issuer(given.pop("issuer"), given.pop("audience"), given.pop("keys"), **given)


@pytest.mark.parametrize(
    ("issuers", "problem"),
    [
        ([], "needs somebody"),
        ([issuer(), issuer()], "called the same"),
        ([issuer(), issuer("https://other.example")], "a sid is unique"),
        ([issuer(), issuer("https://other.example", sid_tag="other")], "a sub is unique"),
    ],
)
def test_issuers_that_could_end_each_others_sessions(issuers: list[Issuer], problem: str) -> None:
    """A sid and a sub mean something within their issuer alone (Back-Channel Logout 1.0, section 2.1; Core, 2)."""
    with pytest.raises(ConfigurationError, match=problem):
        SignOut(SessionManager("memory:", dev=False), *issuers)


@pytest.mark.parametrize("store", ["cookie:", "cookie:?revocation=denylist&store=memory:"])
def test_sessions_that_cannot_be_ended(store: str) -> None:
    """Those that live in their cookies, by a tag or at all."""
    with pytest.raises(ConfigurationError, match="sid_tag=None"):
        SignOut(SessionManager(store, secret=SECRET, dev=False), issuer())


def test_without_the_library_it_says_what_to_install() -> None:
    """The endpoint is an extra."""
    program = """
try:
    import limpet.signout
except ImportError as error:
    print(error)
"""
    assert "pip install 'limpet[signout]'" in run_with_only("starlette", program)


def test_a_server_may_serve_it_alone() -> None:
    """It answers the lifespan of a server, and closes what is no request."""
    app = SignOut(SessionManager("memory:", dev=False), issuer()).asgi
    with client(app) as server:
        assert server.post("/back-channel").status_code == 400
        with pytest.raises(WebSocketDisconnect), server.websocket_connect("/back-channel"):
            pass
