"""Our cookie in a request and in a response."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from email.message import Message
from http.cookiejar import CookieJar
from typing import Any, cast
from urllib.request import Request

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limpet._cookies import MAX_AGE, MAX_SEEN, CookieWriter, delete_cookie, find, set_cookie, values
from limpet.errors import ConfigurationError
from limpet.policy import CookiePolicy

NAME = b"__Host-sid"


def sent(*lines: bytes) -> list[tuple[bytes, bytes]]:
    """Return request headers with these Cookie lines among others."""
    return [(b"host", b"example.org"), (b"x-cookie", NAME + b"=no"), *((b"cookie", line) for line in lines)]


def reference(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """Read cookies slowly and plainly.

    RFC 6265, section 5.4, says how a browser writes the header (``name=value`` pairs joined by ``; ``), RFC 6265bis,
    section 5.6, how a pair is taken apart: at the first ``=``, with space and tab removed around both sides.
    """
    octets = {0x21, *range(0x23, 0x2C), *range(0x2D, 0x3B), *range(0x3C, 0x5C), *range(0x5D, 0x7F)}
    found: list[str] = []
    for key, line in headers:
        for pair in line.split(b";") if key == b"cookie" else ():
            if b"=" not in pair:
                continue
            left, value = (part.strip(b" \t") for part in pair.split(b"=", 1))
            if left == name and 1 <= len(value) <= 4096 and set(value) <= octets and value.decode() not in found:
                found.append(value.decode())
    return found if len(found) <= 8 else []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"__Host-sid=v"], ["v"]),
        ([b"a=b; __Host-sid=v; c=d"], ["v"]),
        ([b"a=b;__Host-sid=v;c=d"], ["v"]),
        ([b"a=b;\t __Host-sid \t=\t v \t;c=d"], ["v"]),
        ([b"; ;__Host-sid=v;;"], ["v"]),
        ([b"__Host-sid=a=b=="], ["a=b=="]),
        ([b"__Host-sid=__Host-sid=v"], ["__Host-sid=v"]),
        ([b"a=b", b"__Host-sid=v"], ["v"]),
        ([b"__Host-sid=v; __Host-sid=v", b"__Host-sid=v"], ["v"]),
        ([b"__Host-sid=v; __Host-sid=w"], ["v", "w"]),
        ([b"__Host-sid=w", b"__Host-sid=v"], ["w", "v"]),
        ([b"__Host-sid-admin=x; __Host-sid=v; __Host-sid2=y"], ["v"]),
        ([b"my__Host-sid=x; __Host-sid=v"], ["v"]),
        ([], []),
        ([b""], []),
        ([b"a=b; c=d"], []),
        ([b"__Host-sid"], []),
        ([b"__Host-sid; x=v"], []),
        ([b"__Host-sid="], []),
        ([b"__Host-sid= \t"], []),
        ([b"a=__Host-sid=v"], []),
        ([b"a= __Host-sid=v"], []),
        ([b"a __Host-sid=v"], []),
        ([b"__Host-sid a=v"], []),
    ],
)
def test_the_values_of_exactly_our_cookie_are_found(lines: list[bytes], expected: list[str]) -> None:
    """Over all Cookie headers, distinct, in order; foreign cookies make no difference."""
    assert find(sent(*lines), NAME) == expected == reference(sent(*lines), NAME)
    assert list(dict.fromkeys(values(sent(*lines), NAME))) == expected


@pytest.mark.parametrize(
    "disguise",
    [
        b"\xa0__Host-sid=v",
        b"\x85__Host-sid=v",
        b"\x0b__Host-sid=v",
        b"\x0c__Host-sid=v",
        b"\x1c__Host-sid=v",
        b"\r__Host-sid=v",
        b"\n__Host-sid=v",
        b"\x00__Host-sid=v",
        b"\xe2\x80\x80__Host-sid=v",
        b"\xc2\xa0__Host-sid=v",
        b"=__Host-sid=v",
        b"=__Host-sid",
        b"__host-sid=v",
        b"__HOST-SID=v",
        b"__Host-sid\xa0=v",
        b"__Host-sid\x0b=v",
        b"__Host-sid\x00=v",
        b'"__Host-sid"=v',
        b"__Host-s%69d=v",
        b",__Host-sid=v",
        b"$Version=1, __Host-sid=v",
    ],
)
def test_s20_a_disguised_name_is_another_name(disguise: bytes) -> None:
    """Only space and tab are white space, and bytes are compared: nothing else becomes our cookie."""
    assert find(sent(disguise), NAME) == []
    assert find(sent(b"a=b; " + disguise + b"; c=d"), NAME) == []
    assert find(sent(disguise + b"; __Host-sid=good"), NAME) == ["good"]
    assert values(sent(disguise + b"; __Host-sid=good"), NAME) == ["good"]


@pytest.mark.parametrize(
    "value",
    [
        b'"quoted"',
        b'"',
        b"a b",
        b"a\tb",
        b"a,b",
        b"a\\377b",
        b"a\x00b",
        b"\x01",
        b"\x1f",
        b"\x7f",
        b"\x80",
        b"\xff\xfe",
        "é".encode(),
        "\ud800".encode("utf-8", "surrogatepass"),
        b"\xa0v",
        b"v\x0b",
        b"v\r\nSet-Cookie: x=y",
        b"a" * 4097,
    ],
)
def test_s12_a_malformed_value_is_ignored(value: bytes) -> None:
    """Controls, quotes, what is not ASCII, and more than 4,096 bytes are no value; a good one beside it still is."""
    assert find(sent(b"__Host-sid=" + value), NAME) == []
    assert find(sent(b"__Host-sid=" + value + b"; __Host-sid=good"), NAME) == ["good"]
    assert find(sent(b"__Host-sid=good", b"__Host-sid=" + value), NAME) == ["good"]


def test_s13_4096_bytes_are_a_value() -> None:
    """The limit itself is allowed."""
    assert find(sent(b"__Host-sid=" + b"a" * 4096), NAME) == ["a" * 4096]


def test_s19_eight_values_are_found_and_nine_are_none() -> None:
    """So many cookies under our name are an attack; the answer does not depend on their order."""
    pairs = [b"__Host-sid=v%d" % number for number in range(9)]
    assert len(find(sent(b"; ".join(pairs[:8])), NAME)) == 8
    assert find(sent(b"; ".join(pairs)), NAME) == []
    assert find(sent(*reversed(pairs)), NAME) == []


@pytest.mark.parametrize("place", [0, 5, 20])
@pytest.mark.parametrize("headers", [1, 3])
def test_s19_one_of_ours_is_found_among_very_many(place: int, headers: int) -> None:
    """Where something tells whose a value is, planted ones do not hide ours, wherever it is, in one header or three."""
    pairs = [b"__Host-sid=planted%d" % number for number in range(20)]
    pairs.insert(place, b"__Host-sid=ours")
    lines = [b"; ".join(pairs[start::headers]) for start in range(headers)]
    assert find(sent(*lines), NAME, lambda value: value if value == "ours" else None) == ["ours"]
    assert find(sent(*lines), NAME, lambda value: None) == []
    assert find(sent(*lines), NAME) == []


def test_s19_nine_of_ours_are_none() -> None:
    """Each may cost a call of the store."""
    pairs = [b"__Host-sid=v%d" % number for number in range(9)]
    assert find(sent(b"; ".join(pairs)), NAME, len) == []
    assert len(find(sent(b"; ".join(pairs)), NAME, lambda value: None if value == "v4" else value)) == 8


def test_s19_up_to_eight_are_not_verified_here() -> None:
    """Who looks for their sessions verifies them: it is not done twice."""
    asked: list[str] = []
    line = b"; ".join([b"__Host-sid=v%d" % number for number in range(8)] * 3)
    assert len(find(sent(line), NAME, asked.append)) == 8
    assert asked == []


def test_s13_a_thousand_values_are_looked_at() -> None:
    """Over all headers, so that a huge one costs no more than a thousand signatures; the same one counts each time."""
    pairs = [b"__Host-sid=v%d" % number for number in range(MAX_SEEN)]
    assert len(values(sent(b"; ".join(pairs)), NAME)) == MAX_SEEN == 1000
    for lines in ([b"; ".join([*pairs, b"__Host-sid=last"])], [b"; ".join(pairs), b"__Host-sid=last"]):
        assert values(sent(*lines), NAME) == [f"v{number}" for number in range(1000)]
    asked: list[str] = []
    find(sent(b"; ".join(pairs * 5)), NAME, asked.append)
    assert len(asked) == 1000


@pytest.mark.parametrize("reader", [find, values])
@pytest.mark.parametrize(
    "pair",
    [
        b"__Host-sid=v; ",
        b"x__Host-sid=v; ",
        b"__Host-sid=a b; ",
        b"__Host-sid; ",
        b"__Host-sid__Host-sid ",
        b"__Host-sid \t ",
        b" \t;",
    ],
)
def test_s13_time_is_linear(pair: bytes, reader: Callable[..., object]) -> None:
    """Ten times as many pairs take about ten times as long, and 10,000 of them under 50 ms.

    Where `make coverage` traces each line, only the first of both can be said.
    """

    def measure(count: int) -> float:
        headers = sent(pair * count)
        best = 1.0
        for _ in range(5):
            start = time.process_time()
            reader(headers, NAME)
            best = min(best, time.process_time() - start)
        return best

    small, large = measure(1_000), measure(10_000)
    tracer = sys.modules.get("coverage")
    assert large < 0.05 or (tracer is not None and tracer.Coverage.current() is not None)
    assert large < 40 * small + 0.001


def test_s13_a_huge_value_costs_next_to_nothing() -> None:
    """1 MB under our name, as foreign cookie, or as white space: none is found, within 20 ms for each reader."""
    for line in (b"__Host-sid=" + b"a" * 1_000_000, b"a=" + b"__Host-sid " * 100_000, b"__Host-sid" + b" " * 1_000_000):
        start = time.process_time()
        assert find(sent(line), NAME) == values(sent(line), NAME) == []
        assert time.process_time() - start < 0.04


PIECES = st.sampled_from(
    [
        NAME,
        b"__Host-sid=",
        b"__Host-",
        b"=",
        b";",
        b"; ",
        b" ",
        b"\t",
        b"v",
        b"w=",
        b'"',
        b",",
        b"\xa0",
        b"\x00",
        b"a=b",
    ]
)


@settings(deadline=None)
@given(st.lists(st.lists(st.one_of(PIECES, st.binary(max_size=4)), max_size=30).map(b"".join), max_size=3))
def test_find_equals_a_slow_reference_parser(lines: list[bytes]) -> None:
    """For any bytes in any number of Cookie headers."""
    assert find(sent(*lines), NAME) == reference(sent(*lines), NAME)
    distinct = list(dict.fromkeys(values(sent(*lines), NAME)))
    assert (distinct if len(distinct) <= 8 else []) == reference(sent(*lines), NAME)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([b"s", b"ss", b"x"]), st.binary(max_size=3)), max_size=14), st.booleans())
def test_find_equals_a_slow_reference_parser_for_a_short_name(pairs: list[tuple[bytes, bytes]], tight: bool) -> None:
    """A name that occurs inside other names and values, up to more than eight times."""
    line = (b";" if tight else b"; ").join(name + b"=" + value for name, value in pairs)
    assert find(sent(line), b"s") == reference(sent(line), b"s")


@pytest.mark.parametrize(
    ("policy", "max_age", "expected"),
    [
        (CookiePolicy(), None, b"__Host-s=v; Path=/; HttpOnly; Secure; SameSite=Lax"),
        (CookiePolicy(), 1209600, b"__Host-s=v; Max-Age=1209600; Path=/; HttpOnly; Secure; SameSite=Lax"),
        (CookiePolicy(same_site="strict"), None, b"__Host-s=v; Path=/; HttpOnly; Secure; SameSite=Strict"),
        (
            CookiePolicy(partitioned=True, same_site="none"),
            None,
            b"__Host-s=v; Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
        ),
        (
            CookiePolicy(path="/a", domain="example.com", secure=False, http_only=False),
            5,
            b"s=v; Max-Age=5; Path=/a; Domain=example.com; SameSite=Lax",
        ),
    ],
)
def test_s18_the_attributes_are_exactly_those_of_the_policy(
    policy: CookiePolicy, max_age: int | None, expected: bytes
) -> None:
    """By snapshot, since every byte counts."""
    name = expected.partition(b"=")[0].decode()
    assert set_cookie(name, "v", policy, max_age) == expected
    assert CookieWriter(name, policy).set("v", max_age) == expected


@pytest.mark.parametrize(
    ("max_age", "written"), [(MAX_AGE, MAX_AGE), (MAX_AGE + 1, MAX_AGE), (10**12, MAX_AGE), (1, 1), (0, 1), (-5, 1)]
)
def test_s17_max_age_is_between_a_second_and_400_days(max_age: int, written: int) -> None:
    """RFC 6265bis, section 5.5: browsers cut longer ones; one of 0 would delete what is being set."""
    assert b"; Max-Age=%d; " % written in set_cookie("s", "v", CookiePolicy(), max_age)
    assert MAX_AGE == 34_560_000


@pytest.mark.parametrize("value", ["a;b", "a\r\nSet-Cookie: x=y", "a b", 'a"', "a,b", "a\\", "\x00", "é", "\ud800"])
def test_s16_a_value_that_would_spill_is_refused(value: str) -> None:
    """It would become attributes or headers; a token's own characters never do, and it is not quoted in the error."""
    with pytest.raises(ConfigurationError, match="URL-safe") as caught:
        set_cookie("s", value, CookiePolicy(), None)
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("__Host-s", CookiePolicy(path="/app")),
        ("__Host-s", CookiePolicy(secure=False)),
        ("a b", CookiePolicy()),
        ("s\r\n", CookiePolicy()),
        ("\xe9", CookiePolicy()),
    ],
)
def test_s17_a_writer_refuses_a_name_that_does_not_fit(name: str, policy: CookiePolicy) -> None:
    """The check at construction holds for derived and passed names too."""
    with pytest.raises(ConfigurationError):
        CookieWriter(name, policy)


MATRIX = [
    CookiePolicy(domain=domain, path=path, partitioned=partitioned, secure=secure)
    for domain in (None, "example.com", ".example.com")
    for path in ("/", "/app")
    for partitioned, secure in ((False, False), (False, True), (True, True))
]


def attributes(line: bytes) -> set[str]:
    """Return the attributes of a Set-Cookie value, without lifetime."""
    parts = line.decode().split("; ")[1:]
    return {part for part in parts if not part.startswith(("Max-Age=", "Expires="))}


class Response:
    """What `http.cookiejar` wants of a response."""

    def __init__(self, line: bytes) -> None:
        self.headers = Message()
        self.headers["Set-Cookie"] = line.decode()

    def info(self) -> Message:
        """Return the headers."""
        return self.headers


@pytest.mark.parametrize("policy", MATRIX, ids=str)
def test_s29_logout_removes_the_cookie(policy: CookiePolicy) -> None:
    """In a cookie jar: set gives exactly one cookie, delete with the same attributes leaves none."""
    name = policy.derive_name()
    jar = CookieJar()
    request = Request("https://www.example.com/app/page")
    jar.extract_cookies(cast("Any", Response(set_cookie(name, "v", policy, 600))), request)
    (kept,) = jar
    assert (kept.name, kept.value, kept.path, kept.secure) == (name, "v", policy.path, policy.secure)
    jar.extract_cookies(cast("Any", Response(delete_cookie(name, policy))), request)
    assert list(jar) == []


@pytest.mark.parametrize("policy", MATRIX, ids=str)
def test_s29_the_deletion_has_the_same_attributes_and_lies_in_the_past(policy: CookiePolicy) -> None:
    """Name, Domain, Path, Secure, Partitioned say which cookie is meant; Max-Age=0 and Expires both delete it."""
    name = policy.derive_name()
    line = delete_cookie(name, policy)
    assert line.startswith(name.encode() + b"=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; ")
    assert attributes(line) == attributes(set_cookie(name, "v", policy, 600))
    assert line == CookieWriter(name, policy).delete()
