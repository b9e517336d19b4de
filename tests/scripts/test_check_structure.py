"""`scripts/check_structure.py` finds import circles, uses of private names, and a core that has grown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from scripts import check_structure
from scripts.check_structure import (
    circle_problems,
    circles,
    modules,
    power_problems,
    private_problems,
    problems,
    size_problems,
)

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return a function that writes a package and returns its folder."""

    def write(**files: str) -> Path:
        package = tmp_path / "shop"
        for name, content in {"__init__": "", **files}.items():
            path = package / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent != package:
                (path.parent / "__init__.py").touch()
            path.write_text(dedent(content))
        return package

    return write


def circle_lines(package: Path) -> list[str]:
    """Return what is said about circles, without folders."""
    return [line.replace(f"{package}/", "") for line in circle_problems(modules(package))]


def private_lines(package: Path, **friends: frozenset[str]) -> list[str]:
    """Return what is said about private names, without folders."""
    return [line.replace(f"{package}/", "") for line in private_problems(modules(package), friends)]


def codes(package: Path) -> list[str]:
    """Return the uses of private names that are refused."""
    return [line.split("`")[1] for line in private_lines(package)]


def test_modules_that_only_go_one_way_are_fine(tree: Tree) -> None:
    assert circle_lines(tree(a="import shop.b", b="from shop import c", c="import os")) == []


@pytest.mark.parametrize(
    "back",
    [
        "import shop.a",
        "from shop import a",
        "from shop.a import Thing",
        "from . import a",
        "from .a import Thing",
        "def f():\n    from shop.a import Thing",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop.a import Thing",
    ],
)
def test_every_form_of_import_makes_a_circle(tree: Tree, back: str) -> None:
    package = tree(a="import shop.b", b="import shop.c", c=back)
    said = circle_lines(package)
    assert said[0] == "3 modules import each other: shop.a, shop.b, shop.c"
    assert "  a.py:1: shop.a imports shop.b" in said
    assert len(said) == 4


def test_two_circles_are_told_apart(tree: Tree) -> None:
    said = circle_lines(tree(a="import shop.b", b="import shop.a", c="import shop.d, shop.a", d="import shop.c"))
    assert [line for line in said if not line.startswith(" ")] == [
        "2 modules import each other: shop.a, shop.b",
        "2 modules import each other: shop.c, shop.d",
    ]


def test_the_init_of_a_package_is_a_module_of_its_own(tree: Tree) -> None:
    fine = {"stores__in____init__": "from shop.stores.file import File", "stores__in__file": "import shop.stores.text"}
    assert circle_lines(tree(**fine, stores__in__text="")) == []
    said = circle_lines(tree(**fine, stores__in__text="from shop.stores import File"))
    assert said[0] == "3 modules import each other: shop.stores, shop.stores.file, shop.stores.text"


def test_relative_imports_of_a_package_start_at_the_package(tree: Tree) -> None:
    said = circle_lines(tree(stores__in____init__="from .file import File", stores__in__file="from . import File"))
    assert said[0] == "2 modules import each other: shop.stores, shop.stores.file"


def test_a_long_chain_is_one_circle() -> None:
    chain = {str(number): [str(number + 1)] for number in range(300)}
    assert circles({**chain, "300": ["0"]}) == [sorted(map(str, range(301)))]
    assert circles(chain) == []


def test_own_private_names_are_fine(tree: Tree) -> None:
    assert (
        codes(
            tree(
                a="""
                import os
                from shop.b import Base

                class Point(Base):
                    __slots__ = ("_x",)
                    def __init__(self, y):
                        self._y = y
                        super()._start()
                        self._inherited()
                    def __eq__(self, other):
                        return self._x == other._x and self._y == other._y
                    def near(self, other: "Point"):
                        return other._near or other._replace(x=1)
                    def _near(self): ...
                    @classmethod
                    def make(cls): return cls._from_base()

                def leave():
                    os._exit(Point(1)._y)
                """,
                b="class Base:\n    def _start(self): ...",
            )
        )
        == []
    )


@pytest.mark.parametrize(
    "code",
    [
        "def f(thing):\n    return thing._hidden",
        "def f(thing):\n    thing._hidden = 1",
        "def f(thing):\n    del thing.part._hidden",
        "def f(thing):\n    return thing.get()._hidden",
        "def f(self):\n    return self._hidden",
        "def f(thing):\n    return getattr(thing, '_hidden')",
        "def f(thing):\n    object.__setattr__(thing, '_hidden', 1)",
        "def f(thing: Thing, _hidden=None):\n    _hidden = 1\n    return thing._hidden",
        "from shop import b\nb._hidden()",
    ],
)
def test_private_names_of_others_are_refused(tree: Tree, code: str) -> None:
    said = codes(tree(a=f"from shop.b import Thing\n{code}", b="class Thing: ..."))
    assert len(said) == 1
    assert "_hidden" in said[0]


@pytest.mark.parametrize(
    "use",
    [
        "def f(thing: Thing): return thing._name",
        "def f(*, thing: 'Thing | None' = None): return thing._name",
        "async def f(thing: Thing): return (await thing)._name",
        "def f():\n    thing = Thing()\n    return thing._name",
        "def f():\n    thing: Thing = g()\n    return thing._name",
        "def f(): return Thing()._name",
        "class C:\n    thing: Thing\n    def f(self): return self.thing._name",
        "class C:\n    def __init__(self, thing: Thing): self.thing = thing\n    def f(self): return self.thing._name",
        "class C:\n    def __init__(self): self.thing = Thing()\n    def f(self): return self.thing._name",
        "def f(thing: Thing):\n    def g(): return thing._name\n    return g",
    ],
)
def test_a_name_of_ones_own_does_not_open_what_is_known_to_be_foreign(tree: Tree, use: str) -> None:
    own = "class Own:\n    def __init__(self): self._name = 1"
    assert len(codes(tree(a=f"from shop.b import Thing\n{own}\n{use}", b="class Thing: ..."))) == 1
    assert codes(tree(a=f"class Thing: ...\n{own}\n{use}")) == []


def test_imports_of_private_names_are_refused_and_private_modules_are_fine(tree: Tree) -> None:
    package = tree(a="from shop.b import _hidden\nfrom shop import _c", b="_hidden = 1", _c="")
    assert private_lines(package) == ["a.py:1: imports `_hidden`, which is private to shop.b"]


def test_friends_may_and_only_as_long_as_they_do(tree: Tree) -> None:
    package = tree(a="def f(thing): return thing._one, thing._two")
    assert private_lines(package, a=frozenset({"_one", "_two"})) == []
    assert len(private_lines(package, a=frozenset({"_one"}))) == 1
    assert len(private_lines(package, b=frozenset({"_one", "_two"}))) == 4
    assert private_lines(package, a=frozenset({"_one", "_two", "_three"})) == [
        "FRIENDS: a does not use _three: remove the entry"
    ]


@pytest.mark.parametrize(
    "use",
    [
        "isinstance(x, Finds)",
        "isinstance(x, protocols.Finds)",
        "isinstance(x, (int, Finds))",
        "isinstance(x, int | Finds)",
        "issubclass(x, Finds)",
        "match x:\n    case Finds(): pass",
    ],
)
def test_powers_are_not_asked_for_with_isinstance(tree: Tree, use: str) -> None:
    protocols = "@runtime_checkable\nclass Finds: ...\nclass Plain: ..."
    package = tree(a=f"isinstance(x, Plain), supports(x, Finds)\n{use}", protocols=protocols)
    said = list(power_problems(modules(package), {"protocols"}))
    assert len(said) == 1
    assert "ask for Finds with supports()" in said[0]


def test_the_core_has_a_limit(tree: Tree) -> None:
    package = tree(_core__in__a="x = 1\n" * 60, _core__in__b="y = 1\n" * 39)
    assert list(size_problems(package / "_core", 100)) == []
    assert "99 lines, 99 or more" in next(size_problems(package / "_core", 99))


def test_everything_is_looked_at(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_structure, "CORE_LINES", 1)
    package = tree(a="import shop.b", b="import shop.a\ndef f(x): return x._y", _core__in__a="x = 1")
    said = "\n".join(problems(package))
    for part in ("2 modules import each other", "`x._y` is private", "1 lines, 1 or more"):
        assert part in said
    assert "there is no package" in problems(package / "nowhere")[0]
