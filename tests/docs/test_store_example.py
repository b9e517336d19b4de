"""The store that the documentation shows as an example is one that can be relied on."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.stores import Store
from holdfast.testing import StoreSuite
from tests.docs.test_code_blocks import ROOT, examples


class TestStoreOfTheDocumentation(StoreSuite):
    """It keeps every promise of the suite that is shown below it."""

    @pytest.fixture
    def store(self) -> Store:
        """Return the store as the page defines it."""
        names: dict[str, Any] = {"__name__": "dict_store"}
        document = examples(ROOT / "docs" / "testing.md")
        document.namespace = names
        for example in document:
            if "class DictStore" in example.parsed:
                example.evaluate()
        store = names["DictStore"]()
        assert isinstance(store, Store)
        return store
