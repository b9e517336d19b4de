"""Django: a session that is copied or pickled."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from limpet.adapters.django import SessionStore
from limpet.manager import SessionManager


@pytest.fixture(params=["new", "read", "not read yet"])
def store(engine: SessionManager, request: pytest.FixtureRequest) -> SessionStore:
    """A session that holds a basket."""
    made = SessionStore()
    made["basket"] = ["tea"]
    if request.param == "new":
        return made
    made.save()
    found = SessionStore(made.session_key)
    if request.param == "read":
        found.load()
    return found


@pytest.mark.parametrize("made", [copy.deepcopy, lambda store: pickle.loads(pickle.dumps(store))])
def test_a_copy_is_what_the_session_holds(store: SessionStore, made: Any) -> None:
    """A dict of its own: it cannot be saved over what other requests have written, or after a logout."""
    store["visits"] = 1
    found = made({"session": store})["session"]
    assert found == {"basket": ["tea"], "visits": 1}
    assert type(found) is dict
    found["basket"].append("milk")
    assert store["basket"] == ["tea"]


def test_a_shallow_copy_is_the_same_session(engine: SessionManager) -> None:
    """As with Django's own: what one has written is in the other, and is saved once."""
    store = SessionStore()
    store["basket"] = ["tea"]
    other = copy.copy(store)
    assert type(other) is SessionStore
    other["visits"] = 1
    assert store["visits"] == 1
    store.save()
    assert SessionStore(store.session_key)["visits"] == 1
