"""Patterns of code match by syntax."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from tests.mutants.pattern import Stale, replaced

SOURCE = '''
"""A module."""
from hashlib import sha256

LIMIT: int = 10


class Store:
    mode = b"S"

    def get(self, key):
        # a comment
        if key is None or (len(key) >
                           LIMIT):
            return None
        return sha256('a' + key).hexdigest()

    def put(self, key, value=None):
        def inner(key):
            return sha256(key)

        try:
            self.seen = inner(key)
        except OSError:
            return None
        if value is not None:
            value.count += 1
            self.rows[key] = value


if LIMIT:
    def late(a, b):
        return (a - b) < (b - a)
'''


def change(where: str, old: str, new: str) -> list[tuple[str, str]]:
    """Return the lines that a replacement changed, as pairs."""
    before = ast.unparse(ast.parse(SOURCE)).splitlines()
    after = replaced(SOURCE, where, old, new).splitlines()
    if len(before) != len(after):
        gone = [(line.strip(), "") for line in before if line not in after]
        return gone + [("", line.strip()) for line in after if line not in before]
    return [(one.strip(), two.strip()) for one, two in zip(before, after, strict=True) if one != two]


def test_quotes_comments_and_line_breaks_make_no_difference() -> None:
    assert change("Store.get", "key is None or len( key )>LIMIT", "False") == [
        ("if key is None or len(key) > LIMIT:", "if False:")
    ]
    assert change("Store.get", '("a" + key)', "key") == [
        ("return sha256('a' + key).hexdigest()", "return sha256(key).hexdigest()")
    ]


def test_an_expression_matches_inside_of_a_larger_one() -> None:
    assert change("late", "a - b", "a + b") == [("return a - b < b - a", "return a + b < b - a")]


def test_the_operator_and_the_order_matter() -> None:
    for old in ("len(key) >= LIMIT", "LIMIT < len(key)", "len(key) > 10"):
        with pytest.raises(Stale, match="0 times"):
            replaced(SOURCE, "Store.get", old, "False")


@pytest.mark.parametrize(
    ("where", "old"),
    [
        ("Store.put.inner", "sha256(key)"),
        ("Store.mode", "b'S'"),
        ("LIMIT", "10"),
        ("late", "a - b"),
        ("", "from hashlib import sha256"),
    ],
)
def test_a_name_leads_into_classes_functions_attributes_and_blocks(where: str, old: str) -> None:
    assert replaced(SOURCE, where, old, "__file__").count("__file__") == 1


@pytest.mark.parametrize("where", ["Store.got", "Shop.get", "Store.get.key", "get"])
def test_a_name_that_is_gone_is_stale(where: str) -> None:
    with pytest.raises(Stale, match=f"no {where}"):
        replaced(SOURCE, where, "sha256", "md5")


def test_code_that_is_there_twice_is_stale() -> None:
    with pytest.raises(Stale, match=r"2 times in Store$"):
        replaced(SOURCE, "Store", "return None", "return 1")


def test_what_changes_nothing_is_stale() -> None:
    with pytest.raises(Stale, match="no difference"):
        replaced(SOURCE, "Store.mode", "b'S'", 'b"S"')


def test_only_the_named_function_changes() -> None:
    assert change("Store.get", "sha256(__X__)", "md5(__X__)") == [
        ("return sha256('a' + key).hexdigest()", "return md5('a' + key).hexdigest()")
    ]


def test_statements_are_replaced_and_removed() -> None:
    assert change("Store.put", "value.count += 1\nself.rows[key] = value", "self.rows[key] = value") == [
        ("value.count += 1", "")
    ]
    assert change("Store.put.inner", "return sha256(key)", "") == [("return sha256(key)", "pass")]
    assert change("Store.mode", "mode = b'S'", "mode = None") == [("mode = b'S'", "mode = None")]


def test_a_placeholder_stands_for_the_same_code_each_time() -> None:
    assert change("late", "__A__ - __B__ < __B__ - __A__", "__A__ <= __B__") == [
        ("return a - b < b - a", "return a <= b")
    ]
    with pytest.raises(Stale, match="0 times"):
        replaced(SOURCE, "late", "__A__ - __A__", "0")


def test_a_placeholder_stands_for_an_identifier() -> None:
    assert change("Store.put", "self.__NAME__ = __X__", "self.__NAME__ = None") == [
        ("self.seen = inner(key)", "self.seen = None")
    ]


def test_more_stands_for_any_number_of_statements_or_arguments() -> None:
    assert change("Store.put", "if value is not None: __MORE__", "if value: __MORE__") == [
        ("if value is not None:", "if value:")
    ]
    assert change(
        "Store.put", "try: __MORE__\nexcept OSError: return None", "try: __MORE__\nexcept OSError: raise"
    ) == [("return None", "raise")]
    assert change("Store.put.inner", "sha256(__MORE__)", "sha256(b'', __MORE__)") == [
        ("return sha256(key)", "return sha256(b'', key)")
    ]
    assert change("Store.get", "len(key, __MORE__)", "len(__MORE__)")[0][1] == "if key is None or len() > LIMIT:"


def test_true_is_not_one() -> None:
    source = dedent("""
        def f():
            return 1, True, 1.0
    """)
    assert replaced(source, "f", "True", "False").endswith("return (1, False, 1.0)")
    assert replaced(source, "f", "1", "2").endswith("return (2, True, 1.0)")


def test_mistakes_in_a_pattern_are_named() -> None:
    with pytest.raises(ValueError, match="empty"):
        replaced(SOURCE, "Store.get", "", "pass")
    with pytest.raises(ValueError, match="__Y__ is a placeholder"):
        replaced(SOURCE, "Store.put.inner", "sha256(__X__)", "sha256(__Y__)")
    with pytest.raises(SyntaxError):
        replaced(SOURCE, "Store.get", "if key", "pass")
