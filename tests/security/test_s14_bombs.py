"""S14: stored data that is built to break its decoder."""

from __future__ import annotations

import json
import zlib

import pytest

from limpet import UnstorableValue
from limpet.events import CorruptRecord
from limpet.protocols import Serializer
from limpet.serializers.json import JSONSerializer
from limpet.serializers.msgpack import MsgpackSerializer
from tests.security.hostile import Witness
from tests.security.site import ANONYMOUS, WatchedSite

DEEP = b"[" * 20_000 + b"]" * 20_000
JSON = {
    "deep": b'{"created":1,"data":{"n":' + DEEP + b"}}",
    "huge number": b'{"created":1,"data":{"n":' + b"9" * 100_000 + b"}}",
    "duplicate keys": b'{"created":1,"data":{},"data":{"n":1}}',
    "not a number": b'{"created":1,"data":{"n":NaN}}',
    "a list": b"[1,2]",
    "a number": b"7",
    "nothing": b"",
    "no text": b"\xff\xfe",
    "a deadline that is text": b'{"created":1,"data":{},"ends":"x"}',
    "a login that is text": b'{"authenticated":"x","created":1,"data":{}}',
    "a renewal that is a list": b'{"created":1,"data":{},"renewed":[1]}',
    "tags that are a number": b'{"created":1,"data":{},"tags":5}',
    "a device of numbers": b'{"created":1,"data":{},"device":{"agent":5}}',
}
MSGPACK = {
    "deep": b"\x82\xa7created\x01\xa4data\x81\xa1n" + b"\x91" * 20_000 + b"\x90",
    "an array of four billion": b"\x82\xa7created\x01\xa4data\xdd\xff\xff\xff\xff",
    "a list": b"\x92\x01\x02",
    "a number": b"\x07",
    "nothing": b"",
    "number keys": b"\x82\xa7created\x01\xa4data\x81\x01\x02",
}
CASES = [(JSONSerializer(), name, body) for name, body in JSON.items()]
CASES += [(MsgpackSerializer(), name, body) for name, body in MSGPACK.items()]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("serializer", "body"),
    [pytest.param(each, body, id=f"{type(each).__name__} {name}") for each, name, body in CASES],
)
async def test_a_row_that_is_a_bomb_is_corrupt(serializer: Serializer, body: bytes) -> None:
    """With a right checksum and a right format byte: anonymous, an event, the row deleted, the next login works."""
    site = WatchedSite(serializer=serializer)
    token = (await site.ask("/write")).given
    (key, record), *_ = site.rows.items()
    site.rows[key] = record._replace(payload=serializer.format + zlib.crc32(body).to_bytes(4, "big") + body)
    answer = await site.ask("/dump", token)
    assert (answer.status, answer.text) == (200, ANONYMOUS)
    assert site.said(CorruptRecord) == 1
    assert site.rows == {}
    assert (await site.ask("/login", token)).given


async def test_a_flipped_bit_in_a_row_is_never_decoded() -> None:
    """The checksum is looked at first: every flipped bit behind the format byte is a corrupt record."""
    witness = Witness()
    site = WatchedSite(serializer=witness)
    token = (await site.ask("/write")).given
    ((key, record),) = site.rows.items()
    witness.decoded = 0
    for index in range(1, len(record.payload)):
        flipped = bytearray(record.payload)
        flipped[index] ^= 1 << index % 8
        site.rows[key] = record._replace(payload=bytes(flipped))
        assert (await site.ask("/dump", token)).text == ANONYMOUS
    assert witness.decoded == 0


async def test_names_of_other_languages_are_only_names(site: WatchedSite) -> None:
    """A key called ``__proto__`` or ``__class__`` is stored like any other and changes nothing else."""
    names = {"__proto__": 1, "__class__": 2, "constructor": 3, "_data": 4}
    site.pages["/names"] = lambda session: session.update(names)
    token = (await site.ask("/names")).given
    assert json.loads((await site.ask("/dump", token)).text) == names


async def test_a_session_has_a_largest_size() -> None:
    """Over ``max_size`` it is an error that names the key; what was stored before stays."""
    site = WatchedSite(max_size=10_000)
    site.pages["/fill"] = lambda session: session.update(big="x" * 20_000)
    token = (await site.ask("/write")).given
    answer = await site.ask("/fill", token)
    assert answer.status == 500
    assert isinstance(answer.error, UnstorableValue)
    assert "big" in str(answer.error)
    assert "xxx" not in str(answer.error)
    assert (await site.ask("/dump", token)).text == '{"n": 1}'
