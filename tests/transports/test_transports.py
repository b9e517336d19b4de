"""The token on its way: in a cookie, in a header."""

from __future__ import annotations

from typing import Any, cast

import pytest

from limpet.errors import ConfigurationError
from limpet.policy import CookiePolicy
from limpet.protocols import Transport
from limpet.transports import CookieTransport, HeaderTransport

TOKEN = "AVMtoken-of_43" * 3


@pytest.fixture(params=["cookie", "header"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Return one of each kind."""
    if request.param == "cookie":
        return CookieTransport("__Host-Http-session", CookiePolicy())
    return HeaderTransport()


def send_back(header: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Return the request headers of a client that was given this response header."""
    key, value = header
    return [(b"cookie", value.partition(b";")[0])] if key == b"set-cookie" else [(key, value)]


@pytest.mark.parametrize("max_age", [None, 60])
def test_what_is_written_is_read_back(transport: Transport, max_age: int | None) -> None:
    """By a client that does what the header says."""
    assert list(transport.read(send_back(transport.write(TOKEN, max_age)))) == [TOKEN]


def test_what_is_cleared_is_gone(transport: Transport) -> None:
    """The deletion hands out no value."""
    header = transport.clear()
    assert header is not None
    assert list(transport.read(send_back(header))) == []


def test_header_names_are_lower_case_as_asgi_wants_them(transport: Transport) -> None:
    """Both directions."""
    cleared = transport.clear()
    assert cleared is not None
    for key, _ in (transport.write(TOKEN, 1), cleared):
        assert key == key.lower()


@pytest.mark.parametrize("token", ["a\r\nSet-Cookie: x=y", "a b", "é", "\x00", "a,b"])
def test_s16_a_token_cannot_break_out_of_its_header(transport: Transport, token: str) -> None:
    """Whatever a sealer of somebody else returns."""
    with pytest.raises(ConfigurationError, match="URL-safe"):
        transport.write(token, None)


def test_without_headers_there_is_no_token(transport: Transport) -> None:
    """No headers, foreign headers."""
    assert list(transport.read([])) == []
    assert list(transport.read([(b"cookie", b"a=b"), (b"x-other", TOKEN.encode())])) == []


def test_vary_names_the_request_header() -> None:
    """What a cache must look at."""
    assert CookieTransport("s", CookiePolicy()).vary == b"Cookie"
    assert HeaderTransport("X-Token").vary == b"X-Token"


def test_a_cookie_transport_sets_the_cookie_of_its_policy() -> None:
    """Name and attributes, and the same on deletion."""
    transport = CookieTransport("__Secure-s", CookiePolicy(path="/app", domain="example.com"))
    assert transport.write("v", 60) == (
        b"set-cookie",
        b"__Secure-s=v; Max-Age=60; Path=/app; Domain=example.com; HttpOnly; Secure; SameSite=Lax",
    )
    assert transport.clear() == (
        b"set-cookie",
        (
            b"__Secure-s=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; "
            b"Path=/app; Domain=example.com; HttpOnly; Secure; SameSite=Lax"
        ),
    )
    assert repr(transport).startswith("CookieTransport('__Secure-s', ")


@pytest.mark.parametrize("name", ["", "a b", "séance", "__Host-s"])
def test_s17_a_cookie_transport_refuses_a_name_that_does_not_fit(name: str) -> None:
    """At construction, not at the first response."""
    with pytest.raises(ConfigurationError, match=r"cookie name|browsers drop"):
        CookieTransport(name, CookiePolicy(path="/app"))


def test_a_header_transport_answers_with_the_header_it_reads() -> None:
    """The name in lower case; an empty value to forget."""
    transport = HeaderTransport()
    assert transport.write("v", 60) == (b"x-session-id", b"v")
    assert transport.clear() == (b"x-session-id", b"")
    assert repr(transport) == "HeaderTransport('X-Session-ID')"


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        ([b"v"], ["v"]),
        ([b" \tv\t "], ["v"]),
        ([b"v", b"w"], ["v", "w"]),
        ([b"v, w", b"v"], ["v", "w"]),
        ([b"v,"], ["v"]),
        ([b""], []),
        ([b","], []),
        ([b"a b"], []),
        ([b'"v"'], []),
        ([b"v;w"], []),
        ([b"\xff"], []),
        ([b"\xa0v"], []),
        ([b"\x0bv"], []),
        ([b"a\x00"], []),
        ([b"a" * 4097], []),
        ([b"a" * 4096], ["a" * 4096]),
        ([b",".join(b"v%d" % number for number in range(8))], [f"v{number}" for number in range(8)]),
        ([b",".join(b"v%d" % number for number in range(9))], []),
    ],
)
def test_s12_s19_header_values_are_as_strict_as_cookies(lines: list[bytes], values: list[str]) -> None:
    """Several headers and lists give distinct values; what is malformed is ignored."""
    headers = [(b"cookie", b"x-session-id=no"), *((b"x-session-id", line) for line in lines)]
    assert list(HeaderTransport().read(headers)) == values


@pytest.mark.parametrize("name", ["", "X Session", "X-Session:", "X\r\nY", "Sitzungsschlüssel"])
def test_s16_a_header_name_is_a_token(name: str) -> None:
    """At construction."""
    with pytest.raises(ConfigurationError, match="X-Session-ID"):
        HeaderTransport(name)


def test_transports_fit_the_protocol() -> None:
    """Checked by the type checker; here that both have every member."""
    for kind in (CookieTransport, HeaderTransport):
        assert all(callable(getattr(kind, name)) for name in ("read", "write", "clear"))
    fits: list[Transport] = [CookieTransport("s", CookiePolicy()), HeaderTransport()]
    assert all(isinstance(cast("Any", each).vary, bytes) for each in fits)
