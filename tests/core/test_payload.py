"""Payloads: the bytes of a session, in the order of its dicts, beside those that the first version wrote."""

from __future__ import annotations

import zlib
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from limpet._wire.record import Contents, CorruptPayload, pack, same, unpack
from limpet.contract import supports
from limpet.errors import UnstorableValue
from limpet.protocols import InOrder, Serializer
from limpet.serializers import JSONSerializer, MsgpackSerializer

SERIALIZERS: list[Any] = [MsgpackSerializer(), JSONSerializer()]
DATA = {"user": "ada", "cart": {"tea": 1, "milk": [2.5, None]}, "at": (date(2030, 1, 2), {UUID(int=1)})}
FACTS: dict[str, Any] = {"authenticated": 1_750_000_000_001, "ends": 1_760_000_000_000, "tags": {"b": "1", "a": "2"}}

# What the first version wrote for DATA, without facts and with them: every dict sorted.
FIRST = {
    "M": (
        (
            "4daf0eaafc82a763726561746564cf000001977420dc00a46461746183a2617493d47f74c70a02323033302d30312d303292"
            "d47f73d80500000000000000000000000000000001a46361727482a46d696c6b92cb4004000000000000c0a374656101a475"
            "736572a3616461"
        ),
        (
            "4df66cdabe85ad61757468656e74696361746564cf000001977420dc01a763726561746564cf000001977420dc00a4646174"
            "6183a2617493d47f74c70a02323033302d30312d303292d47f73d80500000000000000000000000000000001a46361727482"
            "a46d696c6b92cb4004000000000000c0a374656101a475736572a3616461a4656e6473cf00000199c82cc000a47461677382"
            "a161a132a162a131"
        ),
    ),
    "J": (
        (
            "4a17049ac67b2263726561746564223a313735303030303030303030302c2264617461223a7b226174223a7b22247475706c"
            "65223a5b7b222464617465223a22323033302d30312d3032227d2c7b2224736574223a5b7b222475756964223a2230303030"
            "303030302d303030302d303030302d303030302d303030303030303030303031227d5d7d5d7d2c2263617274223a7b226d69"
            "6c6b223a5b322e352c6e756c6c5d2c22746561223a317d2c2275736572223a22616461227d7d"
        ),
        (
            "4a57a66de37b2261757468656e74696361746564223a313735303030303030303030312c2263726561746564223a31373530"
            "3030303030303030302c2264617461223a7b226174223a7b22247475706c65223a5b7b222464617465223a22323033302d30"
            "312d3032227d2c7b2224736574223a5b7b222475756964223a2230303030303030302d303030302d303030302d303030302d"
            "303030303030303030303031227d5d7d5d7d2c2263617274223a7b226d696c6b223a5b322e352c6e756c6c5d2c2274656122"
            "3a317d2c2275736572223a22616461227d2c22656e6473223a313736303030303030303030302c2274616773223a7b226122"
            "3a2232222c2262223a2231227d7d"
        ),
    ),
}


class Canonical:
    """A serializer without the power to keep order, as third parties have written them."""

    format = b"C"

    def __init__(self) -> None:
        self._inner = JSONSerializer()

    def encode(self, value: Any) -> bytes:
        return self._inner.encode(value)

    def decode(self, data: bytes) -> Any:
        return self._inner.decode(data)


class Faulty(Canonical):
    """A serializer whose own code is wrong."""

    def encode_in_order(self, value: Any) -> bytes:
        raise AttributeError("a mistake in it")


def first(serializer: Serializer, *, facts: bool) -> bytes:
    return bytes.fromhex(FIRST[serializer.format.decode()][facts])


@pytest.mark.parametrize("serializer", SERIALIZERS, ids=["msgpack", "json"])
@pytest.mark.parametrize("facts", [False, True])
def test_payloads_of_the_first_version_are_read(serializer: Serializer, facts: bool) -> None:
    """Sorted payloads lie in stores: they are read, and writing them again unchanged is no change of a single byte."""
    old = first(serializer, facts=facts)
    contents = unpack(old, serializer)
    assert contents.created == 1_750_000_000_000
    assert contents.data == DATA
    assert list(contents.data) == sorted(DATA)
    if facts:
        assert {name: getattr(contents, name) for name in FACTS} == FACTS
    assert pack(contents, serializer) == old


@pytest.mark.parametrize("serializer", SERIALIZERS, ids=["msgpack", "json"])
@pytest.mark.parametrize("facts", [False, True])
def test_payloads_of_the_first_version_are_equal_to_ours(serializer: Serializer, facts: bool) -> None:
    """The same contents in the order of the application have other bytes, and are no change."""
    old = first(serializer, facts=facts)
    new = pack(Contents(1_750_000_000_000, DATA, **(FACTS if facts else {})), serializer)
    assert new != old
    assert list(unpack(new, serializer).data) == list(DATA)
    assert same(new, old, serializer)
    assert new[1:5] == zlib.crc32(new[5:]).to_bytes(4, "big")
    changed = pack(Contents(1_750_000_000_000, {**DATA, "user": "add"}, **(FACTS if facts else {})), serializer)
    assert not same(changed, old, serializer)


def test_a_login_is_written_with_its_times_first() -> None:
    """The time of a login, noted after the data, stands before it: where the serializer looks for times."""
    contents = Contents(1, {"b": 1, "a": 2})
    contents.authenticated = 2
    serializer = JSONSerializer()
    assert pack(contents, serializer)[5:] == b'{"authenticated":2,"created":1,"data":{"b":1,"a":2}}'


def test_facts_that_are_empty_are_not_written() -> None:
    """A fact that was taken back leaves nothing behind."""
    contents = Contents(1, {}, authenticated=2, renewed=3)
    contents.renewed, contents.authenticated = None, None
    assert pack(contents, JSONSerializer())[5:] == b'{"created":1,"data":{}}'


def test_a_serializer_without_the_power_is_asked_for_canonical_bytes() -> None:
    """A serializer of a third party that has only `encode` goes on working: its dicts come back sorted."""
    serializer = Canonical()
    assert not supports(serializer, InOrder)
    payload = pack(Contents(1, {"b": 1, "a": 2}), serializer)
    assert list(unpack(payload, serializer).data) == ["a", "b"]
    assert same(payload, pack(Contents(1, {"a": 2, "b": 1}), serializer), serializer)
    with pytest.raises(UnstorableValue) as caught:
        pack(Contents(1, {"b": [object()]}), serializer)
    assert caught.value.path == "b[0]"


def test_a_mistake_of_a_serializer_is_not_taken_for_a_missing_power() -> None:
    """An AttributeError from inside a serializer comes out as it is."""
    with pytest.raises(AttributeError, match="a mistake in it"):
        pack(Contents(1, {}), Faulty())


def test_payloads_of_two_formats_differ() -> None:
    """Payloads of two serializers are never the same, whatever they hold."""
    payload = pack(Contents(1, {}), JSONSerializer())
    assert not same(payload, b"C" + payload[1:], JSONSerializer())


USUAL: list[dict[str, Any]] = [
    {},
    {"authenticated": 2},
    {"cookie": "ac+P43HF"},
    {"authenticated": 2, "cookie": "ac+P43HF"},
    {"authenticated": 2, "ends": 3},
    {"cookie": "ac+P43HF", "seen": 4},
]


@pytest.mark.parametrize("facts", USUAL, ids=lambda facts: "+".join(facts) or "none")
def test_what_a_payload_says_comes_back_whichever_facts_there_are(facts: dict[str, Any]) -> None:
    """Those that nearly every payload has are read on a way of their own, and nothing beside them is passed over."""
    contents = unpack(pack(Contents(1, {"a": 1}, **facts), JSONSerializer()), JSONSerializer())
    assert contents.document() == {"created": 1, "data": {"a": 1}, **facts}


@pytest.mark.parametrize("facts", [{"cookie": 5}, {"authenticated": "2"}, {"authenticated": 2, "cookie": None}])
def test_a_fact_of_another_type_is_no_payload(facts: dict[str, Any]) -> None:
    """Also where it is one of those that nearly every payload has."""
    body = JSONSerializer().encode({"created": 1, "data": {}, **facts})
    with pytest.raises(CorruptPayload, match="of another type"):
        unpack(b"J" + zlib.crc32(body).to_bytes(4, "big") + body, JSONSerializer())
