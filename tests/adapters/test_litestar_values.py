"""Values that come back as Litestar's own sessions give them back, for packages that were written for those."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar, get, post
from litestar.middleware.session.server_side import ServerSideSessionConfig

from limpet import SessionManager, UnstorableValue
from limpet.adapters.litestar import PlainSerializer, SessionPlugin
from limpet.testing import client
from tests.adapters.litestar_app import AnyRequest

SECRET = "a secret of a test that is long enough to be one, 0123456789"
USER = UUID("6f2b8c1e-5d0a-4c57-9a53-7f7f4f0f9b11")


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Address:
    city: str
    since: date


VALUES: dict[str, Any] = {
    "user_id": USER,
    "at": datetime(2030, 1, 31, 12, tzinfo=UTC),
    "day": date(2030, 1, 31),
    "price": Decimal("1.50"),
    "pair": (1, USER),
    "tags": {"b", "a"},
    "colour": Colour.RED,
    "home": Address("Rome", date(2020, 1, 1)),
    "deep": {"list": [{"id": USER}]},
}


@post("/login")
async def login(request: AnyRequest) -> None:
    request.set_session({**request.session, "user_id": USER})


@post("/fill")
async def fill(request: AnyRequest) -> None:
    request.session.update({key: VALUES[key] for key in VALUES if key not in ("tags", "home")})


@get("/data")
async def data(request: AnyRequest) -> dict[str, Any]:
    return dict(request.session)


@get("/me")
async def me(request: AnyRequest) -> str:
    return str(UUID(request.session["user_id"]))  # as a package that has always got text


@pytest.mark.parametrize("url", ["memory:", "cookie:"])
def test_what_a_package_for_litestars_sessions_reads(url: str) -> None:
    """An id that goes in as a UUID comes back as text, as every other value does that JSON has no form for."""
    ours = SessionPlugin(SessionManager(url, secret=SECRET, serializer=PlainSerializer()))
    theirs = Litestar([login, fill, me, data], middleware=[ServerSideSessionConfig(key="theirs").middleware])
    answers = []
    for app in (theirs, Litestar([login, fill, me, data], plugins=[ours])):
        with client(app, manager=ours.manager) as browser:
            assert browser.post("/login").status_code == 201
            assert browser.get("/me").text == str(USER)
            browser.post("/fill")
            answers.append(browser.get("/data").json())
    assert answers[0] == answers[1]


def test_equal_values_have_equal_bytes() -> None:
    """The rules of every serializer hold: canonical, in order where asked, read back, and what has no form is named."""
    plain = PlainSerializer()
    assert plain.encode(VALUES) == plain.encode(dict(reversed(VALUES.items())))
    assert plain.encode({"a": (1, 2)}) == plain.encode({"a": [1, 2]})
    assert list(plain.decode(plain.encode_in_order(VALUES))) == list(VALUES)
    assert plain.decode(plain.encode(VALUES))["home"] == {"city": "Rome", "since": "2020-01-01"}
    assert plain.decode(plain.encode({"$uuid": str(USER)})) == {"$uuid": str(USER)}
    for value in (object(), {"a": [object()]}, float("nan")):
        with pytest.raises(UnstorableValue):
            plain.encode(value)
