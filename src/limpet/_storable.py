"""What a session can hold: the storable types, and what is taken as one of them.

A value of a storable type comes back with that type. Some others are taken as the storable type that a JSON session
would make of them, because applications and libraries rely on it:

===========================================================  ======================================================
given                                                        stored
===========================================================  ======================================================
a subclass of str, int or float, enumerations among them     that str, int or float
a subclass of dict or list that shows what it holds          that dict or list
a named tuple, or another subclass of tuple                  that tuple (JSON would make a list of it)
a subclass of UUID, as database drivers have it              that UUID
a dict key that is an int, a float, a bool or None           the text that ``json.dumps`` writes for it
text that is made on demand, as translations are             the text, as Markup where it says that it is HTML
===========================================================  ======================================================

``Markup`` of the package markupsafe (templates do not escape it) comes back as ``Markup`` where that is installed, and
as text elsewhere.

All else is refused, since it would come back with another meaning: an `enum.Enum` that is none of these, bytearrays,
objects, subclasses of datetime, two keys that would become one.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Final
from uuid import UUID

from limpet.errors import UnstorableValue

__all__ = ["DEEPEST", "ROOT", "STORABLE", "base_of", "copied", "is_markup", "is_plain", "is_storable", "markup_of"]

DEEPEST: Final = 255
"""How many containers may stand inside each other, in any format."""

ROOT: Final = "(the whole value)"
"""The path of a value that is in no dict and no list."""

STORABLE: Final[frozenset[type]] = frozenset(
    {
        *(type(None), bool, int, float, str, bytes),
        *(list, dict, tuple, set, frozenset),
        *(datetime, date, time, timedelta, UUID, Decimal),
    }
)
"""The types that come back as they went in."""

_CONTAINERS: Final[frozenset[type]] = frozenset({list, dict, tuple, set})


def is_storable(value: Any) -> bool:
    """Tell whether every value inside has a storable type; dict keys are not looked at.

    The value must be free of cycles.
    """
    found = [value]
    for item in found:
        kind = type(item)
        if kind is dict:
            found += item.values()
        elif kind is list or kind is tuple or kind is set or kind is frozenset:
            found += item
        elif kind not in STORABLE and not is_markup(kind):
            return False
    return True


def is_plain(value: Any) -> bool:
    """Tell whether the value is stored as it is: storable types and str keys all through.

    The value must be free of cycles.
    """
    found = [value]
    for item in found:
        kind = type(item)
        if kind is dict:
            for key in item:
                if type(key) is not str:
                    return False
            found += item.values()
        elif kind is list or kind is tuple or kind is set or kind is frozenset:
            found += item
        elif kind not in STORABLE and not is_markup(kind):
            return False
    return True


def is_markup(kind: type) -> bool:
    """Tell whether this is the class of text that templates do not escape; nothing is imported for it."""
    return kind.__name__ == "Markup" and kind is _markup_class()


def markup_of(text: str) -> str:
    """Return the text as one that templates do not escape; as it is where markupsafe is not installed."""
    try:
        from markupsafe import Markup
    except ModuleNotFoundError:
        return text
    return Markup(text)  # noqa: S704 - the application stored it as Markup


def _markup_class() -> Any:
    return getattr(sys.modules.get("markupsafe"), "Markup", None)


def base_of(value: Any) -> Any:
    """Return the value as the storable type that it is taken as: itself, where it has one already.

    What a container holds stays as it is; only the keys of a dict become text. The value given is never changed.

    Raises:
        TypeError: It is refused. The message says why and what to do, and never shows the value.
    """
    kind = type(value)
    if kind is dict:
        for key in value:
            if type(key) is not str:
                return _under_text(value.items())
        return value
    if kind in STORABLE or is_markup(kind):
        return value
    for base, build in _BASES:
        if issubclass(kind, base):  # not isinstance: a proxy claims to be what it stands for
            return build(value)
    if _makes_text(value):
        return _made(value)
    raise TypeError(_refusal(value))


def copied(value: Any, levels: int = DEEPEST) -> Any:
    """Return the value as it is stored, in containers of its own; inside a set nothing can change.

    Raises:
        TypeError: Something inside is refused, see `base_of`.
        UnstorableValue: It is nested more than `DEEPEST` levels deep, or contains itself.
    """
    value = base_of(value)
    kind = type(value)
    if kind not in _CONTAINERS:
        return value
    if levels == 0:
        raise UnstorableValue(ROOT, f"it is nested more than {DEEPEST} levels deep")
    if kind is dict:
        result = {}
        for key, item in value.items():
            result[key] = copied(item, levels - 1)
        return result
    if kind is set:
        return set(value)
    items = []
    for item in value:
        items.append(copied(item, levels - 1))  # noqa: PERF401  # a comprehension would be one more frame per level
    return items if kind is list else tuple(items)


def _from_dict(value: dict[Any, Any]) -> dict[str, Any]:
    """Return the items that a subclass of dict shows, in the order in which it shows them."""
    try:
        shown = list(value.items())
        held = dict(zip(dict.keys(value), dict.values(value), strict=True))
        honest = len(shown) == len(held) and all(
            key in held and (held[key] is item or held[key] == item) for key, item in shown
        )
    except Exception as error:  # it may be anybody's code
        raise TypeError(f"the items() of {_name(type(value))} failed with {type(error).__name__}") from error
    if not honest:  # such as a MultiDict, which shows the first value of each list
        raise TypeError(
            f"{_name(type(value))} holds more or other values than its items() shows: store a dict of what you need"
        )
    return _under_text(shown)


def _from_sequence(value: Any, base: type[list[Any]] | type[tuple[Any, ...]]) -> list[Any]:
    """Return the items that a subclass of list or tuple shows."""
    try:
        shown = list(value)
        held = list(base.__iter__(value))
        honest = len(shown) == len(held) and all(
            item is other or item == other for item, other in zip(held, shown, strict=True)
        )
    except Exception as error:  # it may be anybody's code
        raise TypeError(f"the iteration of {_name(type(value))} failed with {type(error).__name__}") from error
    if not honest:
        raise TypeError(f"{_name(type(value))} holds other items than it shows: store a list of what you need")
    return shown


def _from_list(value: list[Any]) -> list[Any]:
    return _from_sequence(value, list)


def _from_tuple(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_from_sequence(value, tuple))


def _from_str(value: str) -> str:
    markup = _markup_class()
    text = str.__str__(value)
    return text if markup is None or not issubclass(type(value), markup) else markup(text)


def _makes_text(value: Any) -> bool:
    """Tell whether an object stands for text that is made when it is needed, such as a translation.

    Its class says so, and it has the methods of a text. A proxy of anything else does not.
    """
    kind = type(value)
    if not hasattr(kind, "__html__") and not hasattr(kind, "casefold"):
        return False
    try:
        return hasattr(value, "casefold")
    except Exception:  # noqa: BLE001 - it may be anybody's code
        return False


def _made(value: Any) -> str:
    """Return the text that an object stands for.

    Raises:
        TypeError: It cannot be made now.
    """
    try:
        return markup_of(str(value.__html__())) if hasattr(value, "__html__") else str(value)
    except Exception as error:  # it may be anybody's code
        raise TypeError(
            f"the text that {_name(type(value))} stands for cannot be made now ({type(error).__name__}): store str(...)"
        ) from error


def _from_uuid(value: UUID) -> UUID:
    return UUID(int=value.int)


_BASES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (str, _from_str),
    (int, int.__int__),
    (float, float.__float__),
    (dict, _from_dict),
    (list, _from_list),
    (tuple, _from_tuple),
    (UUID, _from_uuid),
)


def _under_text(items: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """Return a dict of the items under text keys.

    Raises:
        TypeError: Something else is a key, or two keys would become one.
    """
    result: dict[str, Any] = {}
    for key, item in items:
        text = _key_text(key)
        if text in result:
            raise TypeError(f"two of its keys would both become {text!r}: keep one of them")
        result[text] = item
    return result


def _key_text(key: Any) -> str:
    kind = type(key)
    if issubclass(kind, str):
        return str.__str__(key)
    if key is None:
        return "null"
    if kind is bool:
        return "true" if key else "false"
    if issubclass(kind, int):
        try:
            return int.__repr__(key)
        except ValueError:
            raise TypeError("it has an int key of more digits than Python writes: use text") from None
    if issubclass(kind, float):
        if isfinite(key):
            return float.__repr__(key)
        raise TypeError("it has a key that is NaN or infinite, which has no form in JSON: use text")
    raise TypeError(f"it has a key of type {_name(kind)}: only str, int, float, bool and None can be keys, as text")


def _refusal(value: Any) -> str:
    """Return why a value of another type is refused, and what to do."""
    kind = type(value)
    name = _name(kind)
    if issubclass(kind, enum.Enum):
        return f"{name} is an Enum and would come back as something else: store its .value or .name"
    if issubclass(kind, (bytearray, memoryview)):
        return f"a {name} would come back as bytes: store bytes(...) of it"
    base = next((base for base in kind.__mro__ if base in STORABLE), None)
    if base is not None:
        return f"{name} is a subclass of {base.__name__} and would come back as that: store a {base.__name__}"
    if is_dataclass(kind):  # and not a class that is one
        return f"{name} is a dataclass: store dataclasses.asdict(...) of it"
    return f"{name} has no stored form: store its parts, or an id to find it by"


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
