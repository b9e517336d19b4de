"""What an attacker puts into a cookie, and a witness of what is done with it."""

from __future__ import annotations

import base64
import pickle
import random
from collections.abc import Iterator
from typing import Any, Final

from limpet.serializers.msgpack import MsgpackSerializer

__all__ = ["CORPUS", "Witness", "at_random", "bit_flips", "truncations"]

CORPUS: Final[tuple[bytes, ...]] = (
    b"",
    b"x",
    b'""',
    b'"quoted"',
    b"\x00",
    b"a\x00b",
    *(bytes((code,)) for code in (1, 7, 8, 9, 10, 11, 12, 13, 27, 31, 127)),
    b"\xff\xfe",
    b"\xed\xa0\x80",  # a lone surrogate
    "ünïcode".encode(),
    b'"\\377"',
    b"%00",
    b"%0d%0aSet-Cookie:%20x=y",
    b"../../etc/passwd",
    b"=====",
    b"null",
    base64.b64encode(b'{"user_id": 1}'),
    base64.b64encode(pickle.dumps({"user_id": 1})),
    b"eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
    b"'; DROP TABLE sessions; --",
    b"${jndi:ldap://x}",
    b"{{7*7}}",
)
"""Kinds of malformed values: control characters, quotes, octal and percent escapes, bytes that are no UTF-8."""


class Witness(MsgpackSerializer):
    """The serializer, which remembers how often it was given something to decode."""

    def __init__(self) -> None:
        super().__init__()
        self.decoded = 0

    def decode(self, data: bytes) -> Any:
        self.decoded += 1
        return super().decode(data)


def bit_flips(token: str) -> Iterator[bytes]:
    """Yield the token with each of its bits flipped, also those that base64 does not use."""
    data = token.encode()
    for index in range(len(data)):
        for bit in range(8):
            yield data[:index] + bytes((data[index] ^ 1 << bit,)) + data[index + 1 :]


def truncations(token: str) -> Iterator[bytes]:
    """Yield every beginning and every end of the token, and the token with something behind it."""
    data = token.encode()
    for length in range(len(data)):
        yield data[:length]
        yield data[len(data) - length :]
    for more in (b"A", b"=", b"==", b".", b"%3D", b'"'):
        yield data + more


def at_random(times: int, *tokens: str) -> Iterator[bytes]:
    """Yield random bytes, random text of the right alphabet, and pieces of real tokens put together; reproducibly."""
    chance = random.Random(12)
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    real = [token.encode() for token in tokens]
    for number in range(times):
        if number % 4 == 0:
            yield chance.randbytes(chance.randrange(120))
        elif number % 4 == 1:
            yield bytes(chance.choices(alphabet, k=chance.choice((1, 8, 43, 44, 100, 300))))
        elif number % 4 == 2:
            changed = bytearray(chance.choice(real))
            for _ in range(chance.randrange(1, 4)):
                index = chance.randrange(len(changed))
                changed[index] = chance.choice([code for code in alphabet if code != changed[index]])
            if bytes(changed) not in real:
                yield bytes(changed)
        else:
            one, other = chance.choice(real), chance.choice(real)
            both = one[: chance.randrange(1, len(one))] + other[chance.randrange(1, len(other)) :]
            if both not in real:
                yield both
