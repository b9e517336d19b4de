"""The garbage collector leaves alone what is in use, on either build."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from typing import Any

from limpet import SessionManager
from limpet.asgi import SessionMiddleware


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers nothing."""


def test_a_storage_is_whole_while_somebody_holds_it() -> None:
    """It is all that is left of its manager."""
    storage = SessionManager("memory:", dev=False).engine.storage
    gc.collect()
    assert storage.clock() > 0


def test_no_reference_is_counted_twice() -> None:
    """An attribute that a class and its base both declare would be, and what it refers to be taken for garbage."""
    app = SessionMiddleware(nothing, SessionManager("memory:", dev=False))
    gc.collect()
    objects = gc.get_objects()
    found = Counter(id(other) for each in objects for other in gc.get_referents(each))
    held = [each for each in objects if str(type(each).__module__).startswith("limpet.")]
    del objects
    assert app in held
    mine = 3  # references of this test to each: `held`, the name, and the argument
    assert [type(each) for each in held if found[id(each)] > sys.getrefcount(each) - mine] == []
