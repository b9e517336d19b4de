"""What a copy of a session is, and what pickle makes of one."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from limpet import Session
from limpet._doors import BlockingSession
from limpet.adapters._dict import DictSession
from limpet.adapters.aiohttp import AiohttpSession
from limpet.adapters.quart import QuartSession


@pytest.mark.parametrize("kind", [Session, BlockingSession, AiohttpSession, QuartSession, DictSession])
@pytest.mark.parametrize("made", [copy.deepcopy, lambda session: pickle.loads(pickle.dumps(session)), copy.copy])
def test_a_copy_is_a_dict_of_what_the_session_holds(kind: Any, made: Any) -> None:
    """A session is of one request: what leaves it, such as the argument of a job, is what it holds."""
    session = kind({"cart": ["tea"]}) if kind is DictSession else kind.standalone({"cart": ["tea"]})
    session["visits"] = 1
    found = made(session)
    assert found == {"cart": ["tea"], "visits": 1}
    assert type(found) is dict
    assert (found["cart"] is session["cart"]) == (made is copy.copy)
