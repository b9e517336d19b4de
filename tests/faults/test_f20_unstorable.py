"""F20: a value that cannot be stored is an error that names it, and the stored session stays as it was."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from limpet import UnstorableValue
from tests.faults.service import Service, add


class Colour(enum.Enum):
    RED = 1


def cyclic() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


VALUES: dict[str, Any] = {
    "object": object(),
    "Enum": Colour.RED,
    "bytearray": bytearray(b"x"),
    "cycle": cyclic(),
    "key": {(1, 2): "a"},
    "function": print,
    "NaN in a set of lists": {"deep": [{"er": object()}]},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_f20_nothing_is_stored(service: Service, value: Any) -> None:
    """The error names the key, comes before a response, and what was stored is untouched; the next request is fine."""
    site = await service.site()
    token = await site.session(n=1)
    with pytest.raises(UnstorableValue, match=r"(?s)at suspect") as caught:
        await site.ask(lambda session: session.update(n=2, suspect=value), token)
    assert caught.value.path.startswith("suspect")
    assert await site.read(token) == {"n": 1}
    assert (await site.ask(add, token)).status == 200
    assert await site.read(token) == {"n": 2}
    with pytest.raises(UnstorableValue):
        await site.ask(lambda session: session.update(suspect=value))
