"""Nexios, third generation: what a session is to a handler."""

from __future__ import annotations

from typing import Any


def test_n0_26_get_with_default(visits: Any) -> None:
    """`get` returns the value or the default."""
    assert visits("session.get('absent'), session.get('absent', 4), session.get('n', 4)") == [None, 4, 1]


def test_n0_27_set_and_get_items(visits: Any) -> None:
    """``session[key] = value`` is there on the next request as ``session[key]``."""
    visits("session.__setitem__('name', 'Ines')")
    assert visits("session['name']") == "Ines"


def test_n0_28_contains(visits: Any) -> None:
    """``key in session``."""
    assert visits("'n' in session, 'absent' in session") == [True, False]


def test_n0_29_delete_an_item(visits: Any) -> None:
    """``del session[key]`` removes it and leaves the rest."""
    visits("session.update(a=1, b=2)")
    visits("session.__delitem__('a')")
    assert visits("sorted(session)") == ["b", "n"]


def test_n0_30_clear(visits: Any) -> None:
    """`clear` removes all keys, for the next request too."""
    assert visits("session.clear(), len(session)") == [None, 0]
    assert visits("sorted(session)", seed=False) == []


def test_n0_31_keys(visits: Any) -> None:
    """`keys`."""
    assert visits("session.update(a=1), sorted(session.keys())") == [None, ["a", "n"]]


def test_n0_32_items(visits: Any) -> None:
    """`items`."""
    assert visits("session.update(a=1), sorted(session.items())") == [None, [["a", 1], ["n", 1]]]


def test_n0_33_pop(visits: Any) -> None:
    """`pop` returns and removes; an absent key gives the default."""
    assert visits("session.pop('n'), session.pop('n', None), session.pop('n', 5)") == [1, None, 5]
    assert visits("sorted(session)", seed=False) == []


def test_n0_34_is_empty(visits: Any) -> None:
    """`is_empty` tells whether there is data."""
    assert visits("session.is_empty(), session.clear(), session.is_empty()") == [False, None, True]


def test_n0_35_modified(visits: Any) -> None:
    """`modified` is False on a fresh read and True after a write, nested ones included."""
    assert visits("session.get('n'), session.modified, session.update(n=2), session.modified") == [1, False, None, True]
    visits("session.__setitem__('tree', {'leaf': 1})")
    assert visits("session.modified, session['tree'].update(leaf=2), session.modified") == [False, None, True]
