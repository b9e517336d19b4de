"""Breakages of the engine: how a login stands, and what is over when one, a logout or a request fails half-way."""

from __future__ import annotations

from typing import Final

from tests.mutants.breakage import Breakage, known

__all__ = ["ENDINGS"]

ENDINGS: Final = (
    Breakage(
        "a login that was saved fails because other logins of its user take long",
        "_core/logins.py",
        "take_place",
        "break",
        "raise",
        "laws/test_one_browser.py::test_a_login_that_was_saved_is_answered_as_one",
    ),
    Breakage(
        "a login that gave way is one, because its store was gone then",
        "_core/logins.py",
        "insert",
        "state.stored is not None",
        "True",
        known("a login over the limit that gives way, and its store is gone then"),
    ),
    Breakage(
        "an emptied session keeps the ids that its request came with",
        "_core/commit.py",
        "_is_over",
        "if ended and state.ids:\n    __MORE__",
        "",
        known("the last key removed, and a new session that is logged out"),
    ),
    Breakage(
        "a logout that reads nothing goes by its host's clock",
        "_core/commit.py",
        "_end",
        "marks.ended(__X__, there, __Y__, met_alive=True)",
        "None",
        known("a logout that reads nothing, beside a new id by a host whose clock is behind"),
    ),
    Breakage(
        "a login after a logout hides it from a new id that could not be finished",
        "_core/predecessors.py",
        "_living",
        "there.how == 'login' and not there.heir and there.goes_on != own",
        "False",
        known("a new id that the store takes without a word, beside a logout and a login as another"),
    ),
    Breakage(
        "what was saved before a login that fails is lost with it",
        "_core/withdrawal.py",
        "abandon",
        "leaving.saved or (leaving, None)",
        "(leaving, None)",
        known("a new id that is saved, and a login that is saved after it, which fails"),
    ),
)
"""Of logins that stand or do not, and of what ended."""
