"""What every serializer takes as its base type, and that it does so without a trace."""

from __future__ import annotations

import enum
import json
from collections import Counter, OrderedDict, UserString, defaultdict
from copy import deepcopy
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from asyncpg.pgproto import pgproto
from authlib.oauth2.rfc6749 import OAuth2Token
from authlib.oidc.core import UserInfo
from hypothesis import strategies as st
from markupsafe import Markup
from werkzeug.datastructures import ImmutableDict, MultiDict
from werkzeug.local import LocalProxy

from limpet._wire.record import Contents, pack
from limpet._wire.record import same as equal_contents
from limpet.errors import UnstorableValue
from tests.serializers.values import OfASerializer, same

__all__ = ["TakenContract", "mixtures"]


class Level(enum.IntEnum):
    LOW = 1


class Right(enum.IntFlag):
    READ = 1
    WRITE = 2


class Theme(enum.StrEnum):
    DARK = "dark"


class Shade(str, enum.Enum):  # noqa: UP042  # as code written before Python 3.11 has it
    LIGHT = "light"


class Ratio(float, enum.Enum):
    HALF = 0.5


class Name(str):
    """Text that says something else about itself."""

    __slots__ = ()

    def __str__(self) -> str:
        return "somebody"

    __repr__ = __str__


class Count(int):
    def __int__(self) -> int:
        return -1

    __index__ = __int__


class Share(float):
    def __float__(self) -> float:
        return -1.0


class Emphasis(Markup):
    """A subclass of Markup."""

    __slots__ = ()


class Translation:
    """Text that is looked up when it is shown, as flask-babel's: what it lacks, the text has."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __getattr__(self, name: str) -> Any:
        return getattr(str(self), name)

    def __str__(self) -> str:
        if self.text == "nowhere":
            raise LookupError("secret")
        return self.text

    def __html__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    __hash__ = None  # type: ignore[assignment]

    def __deepcopy__(self, memo: object) -> Translation:
        return Translation(self.text)


class Field:
    """Something that is shown as HTML and is no text."""

    def __html__(self) -> str:
        return "<input>"


class Items(list[Any]): ...


class Backwards(list[Any]):
    def __iter__(self) -> Any:
        return reversed(self)


class Broken(list[Any]):
    def __iter__(self) -> Any:
        raise LookupError("secret")


class Point(NamedTuple):
    x: int
    y: Any


class Bag(dict[str, Any]):
    """A dict whose items() is code of its own."""

    def __init__(self, shown: Any, **held: Any) -> None:
        super().__init__(held)
        self.shown = shown

    def items(self) -> Any:
        return self.shown()


def moved() -> OrderedDict[str, int]:
    value = OrderedDict(a=1, b=2, c=3)
    value.move_to_end("a")
    return value


def failing() -> Any:
    raise LookupError("secret")


TAKEN: dict[str, tuple[Any, Any]] = {
    "IntEnum": (Level.LOW, 1),
    "IntFlag": (Right.READ | Right.WRITE, 3),
    "StrEnum": (Theme.DARK, "dark"),
    "str and Enum": (Shade.LIGHT, "light"),
    "float and Enum": (Ratio.HALF, 0.5),
    "str subclass": (Name("x"), "x"),
    "int subclass": (Count(7), 7),
    "int subclass, big": (Count(-(2**70)), -(2**70)),
    "float subclass": (Share(0.25), 0.25),
    "Markup": (Markup("<b>x</b>"), Markup("<b>x</b>")),
    "Markup subclass": (Emphasis("<b>x</b>"), Markup("<b>x</b>")),
    "Markup in a set": ({Markup("<b>"), Theme.DARK}, {Markup("<b>"), "dark"}),
    "a translation": (Translation("hello"), Markup("hello")),
    "text made on demand": (UserString("x"), "x"),
    "list subclass": (Items([1, Name("x")]), [1, "x"]),
    "named tuple": (Point(1, [Level.LOW]), (1, [1])),
    "OrderedDict": (moved(), {"b": 2, "c": 3, "a": 1}),
    "defaultdict": (defaultdict(list, a=[1]), {"a": [1]}),
    "Counter": (Counter("aab"), {"a": 2, "b": 1}),
    "UserInfo": (UserInfo(sub="ann", n=1), {"sub": "ann", "n": 1}),
    "OAuth2Token": (OAuth2Token({"t": "a", "u": UserInfo(sub="ann")}), {"t": "a", "u": {"sub": "ann"}}),
    "ImmutableDict": (ImmutableDict(a=(1, Theme.DARK)), {"a": (1, "dark")}),
    "UUID of asyncpg": (pgproto.UUID("00000000-0000-0000-0000-000000000007"), UUID(int=7)),
    "int key": ({7: 2, -1: 3}, {"7": 2, "-1": 3}),
    "int keys, big": ({2**70: 1}, {str(2**70): 1}),
    "bool and None keys": ({True: 1, False: 2, None: 3}, {"true": 1, "false": 2, "null": 3}),
    "float key": ({1.5: 1, 1e22: 2, -0.0: 3}, {"1.5": 1, "1e+22": 2, "-0.0": 3}),
    "subclass keys": (
        {Theme.DARK: 1, Name("y"): 2, Level.LOW: 3, Ratio.HALF: 4, Count(5): 5},
        {"dark": 1, "y": 2, "1": 3, "0.5": 4, "5": 5},
    ),
    "in a set": ({Theme.DARK, Level.LOW, (Name("x"), Point(1, 2))}, {"dark", 1, ("x", (1, 2))}),
    "in a frozenset": (frozenset({Theme.DARK, Point(1, 2)}), frozenset({"dark", (1, 2)})),
    "a key like a tag": (OrderedDict({"$tuple": [Level.LOW]}), {"$tuple": [1]}),
}

MULTIPLE = MultiDict([("a", 1), ("a", 2)])

NOT_TAKEN: dict[str, tuple[Any, str]] = {
    "MultiDict": (MULTIPLE, "holds more or other values than its items()"),
    "dict that hides": (Bag(list, a=1), "holds more or other values"),
    "dict that invents": (Bag(lambda: [("b", 1)], a=1), "holds more or other values"),
    "dict that fails": (Bag(failing, a=1), "failed with LookupError"),
    "dict that shows no pairs": (Bag(lambda: [1], a=1), "failed with TypeError"),
    "list that shows other items": (Backwards([1, 2]), "holds other items than it shows"),
    "list that fails": (Broken([1, 2]), "failed with LookupError"),
    "proxy of a dict": (LocalProxy(lambda: {"a": 1}), "LocalProxy has no stored form"),
    "proxy of a text": (LocalProxy(lambda: "x"), "LocalProxy has no stored form"),
    "a field of a form": (Field(), "Field has no stored form"),
    "a translation that fails": (Translation("nowhere"), "has no stored form"),
    "members of one text": ({Theme.DARK, type("Odd", (str,), {"__hash__": lambda s: 1})("dark")}, "would become one"),
    "subclass inside": (OrderedDict(a=[object()]), "object has no stored form"),
    "surrogate in a subclass": (Name("\ud800"), "lone surrogate"),
    "surrogate in Markup": (Markup("\ud800"), "lone surrogate"),
    "surrogate in a subclass as key": ({Name("\ud800"): 1}, "key with a lone surrogate"),
}


class TakenContract(OfASerializer):
    """Part of the contract of serializers, see `SerializerContract`."""

    @pytest.mark.parametrize("name", TAKEN)
    def test_takes_as_its_base_type(self, name: str) -> None:
        """It comes back as the base type, wherever it stands, and has the same bytes as that: no second change."""
        value, expected = TAKEN[name]
        for given_, stored in (
            (value, expected),
            ([value], [expected]),
            ({"a": {"b": value}}, {"a": {"b": expected}}),
            ((value, 1), (expected, 1)),
        ):
            encoded = self.serializer.encode(given_)
            assert same(self.serializer.decode(encoded), stored)
            assert encoded == self.serializer.encode(stored)
            payload = pack(Contents(1, {"k": given_}), self.serializer)
            assert payload == pack(Contents(1, {"k": stored}), self.serializer)

    @pytest.mark.parametrize(
        "name", [name for name in TAKEN if "keys" in name or name in {"int key", "float key", "OAuth2Token", "Counter"}]
    )
    def test_is_what_json_makes_of_it(self, name: str) -> None:
        """Keys and values are those that the json module writes."""
        value, expected = TAKEN[name]
        assert json.loads(json.dumps(value)) == json.loads(json.dumps(expected))

    @pytest.mark.parametrize("name", TAKEN)
    def test_encoding_leaves_the_object_alone(self, name: str) -> None:
        """The object that is encoded is as before, with all its classes."""
        value, _ = TAKEN[name]
        before = deepcopy(value)
        self.serializer.encode({"k": value})
        assert type(value) is type(before)
        assert value == before
        if isinstance(value, dict):
            assert [*map(type, value)] == [*map(type, before)]
            assert [*map(type, value.values())] == [*map(type, before.values())]

    def test_a_defaultdict_gets_no_keys(self) -> None:
        """Looking at a dict that makes its values makes none."""
        value: defaultdict[Any, Any] = defaultdict(list, {1: 2})
        self.serializer.encode(value)
        assert dict(value) == {1: 2}

    @pytest.mark.parametrize("name", NOT_TAKEN)
    def test_refuses_what_would_change_meaning(self, name: str) -> None:
        """What a base type would not hold is refused with its path, and the value is not shown."""
        value, problem = NOT_TAKEN[name]
        with pytest.raises(UnstorableValue) as caught:
            self.serializer.encode({"a": [UserInfo(sub=value)]})
        assert caught.value.path.startswith("a[0].sub")
        assert problem in caught.value.problem
        assert "secret" not in str(caught.value)

    def test_paths_name_keys_as_they_are_stored(self) -> None:
        """The path to a refused value has the text of a key that was a number."""
        with pytest.raises(UnstorableValue) as caught:
            self.serializer.encode({"cart": OrderedDict({7: Items([1, (1j,)])})})
        assert caught.value.path == "cart.7[1][0]"

    def check_mixture(self, value: Any) -> None:
        """Check that a tree of subclasses and odd keys has the bytes of the plain tree that comes back."""
        for encode in (self.serializer.encode, self.serializer.encode_in_order):
            try:
                encoded = encode(value)
            except UnstorableValue as error:
                if "would both become" in error.problem:
                    return
                raise
            plain = self.serializer.decode(encoded)
            assert encode(plain) == encoded
            assert json.loads(json.dumps(value)) == json.loads(json.dumps(plain))
        payload = pack(Contents(1, {"k": value}), self.serializer)
        assert equal_contents(payload, pack(Contents(1, {"k": plain}), self.serializer), self.serializer)


_keys = st.sampled_from(["a", "1", "true", Name("n"), Theme.DARK, Level.LOW, 0, 7, 2.5, True, False, None])
mixtures = st.recursive(
    st.sampled_from([None, True, 1, "x", 0.5, Name("n"), Count(3), Share(0.5), Theme.DARK, Level.LOW, Markup("<i>")]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(Items)
        | st.tuples(inner, inner).map(lambda pair: Point(*pair))
        | st.dictionaries(_keys, inner, max_size=4)
        | st.dictionaries(_keys, inner, max_size=4).map(OrderedDict)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(UserInfo)
    ),
    max_leaves=10,
)
