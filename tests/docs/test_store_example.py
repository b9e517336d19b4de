"""The store that the documentation shows as an example is one that can be relied on."""

from __future__ import annotations

import unittest
from typing import Any

import pytest
from hypothesis import settings

from limpet.stores import Store
from limpet.testing import StoreSuite
from tests.docs.test_code_blocks import ROOT, examples

SHOWN = ("class DictStore", "class TestDictStore", "Lives", "check_histories(")


def defined() -> dict[str, Any]:
    """Return what the page defines about its store."""
    names: dict[str, Any] = {"__name__": "dict_store"}
    document = examples(ROOT / "docs" / "testing.md")
    document.namespace = names
    for example in document:
        if any(
            word in example.parsed for word in ("class DictStore", "class TestDictStore", "Lives", "check_histories(")
        ):
            example.evaluate()
    return names


class TestStoreOfTheDocumentation(StoreSuite):
    """It keeps every promise of the suite that is shown below it."""

    @pytest.fixture
    def store(self) -> Store:
        """Return the store as the page defines it."""
        store = defined()["DictStore"]()
        assert isinstance(store, Store)
        return store


@pytest.mark.parametrize("name", ["TestLives", "TestLivesThroughHttp"])
def test_the_lives_of_the_documentation(name: str) -> None:
    """The state machine that the page shows runs, and the store of the page keeps what sessions promise."""
    machine = defined()[name]
    machine.settings = settings(max_examples=5, stateful_step_count=20, deadline=None, database=None)
    result = unittest.TestResult()
    machine("runTest").run(result)
    assert result.testsRun == 1
    assert result.wasSuccessful(), result.failures + result.errors


def test_the_histories_of_the_documentation() -> None:
    """So do the histories that the page draws, and the faults that it makes."""
    shown = defined()
    shown["test_histories"]()
    for name in ("write", "logout"):
        shown["test_faults"](name)
