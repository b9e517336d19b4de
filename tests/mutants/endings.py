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
        "a login from an old session that was saved fails because others of its user take long",
        "_importing.py",
        "_succeed",
        "logins.say_what_is_left(attempt.engine, own)",
        "raise",
        "laws/test_one_browser.py::test_a_login_from_an_old_session_that_was_saved_is_answered_as_one",
    ),
    Breakage(
        "a login after a logout of what was not read forgets which browser it is of",
        "_core/commit.py",
        "_end",
        "lineage_of(*__X__, *came)",
        "lineage_of(*__X__)",
        known("a logout that reads nothing and a login, beside a login with the id before"),
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
        "a login drops what was written after the end, and tells nothing",
        "_core/session.py",
        "Session.login",
        "if state.data:\n    __MORE__",
        "",
        known("a write after a look that met the end, and a login"),
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
        "a logout leaves what its own host takes for over",
        "_core/commit.py",
        "_end",
        "forward.is_forward(there.payload) or decoded(engine, key, there).contents",
        "False",
        known("a logout that reads nothing, of what is over by the clock of its host alone"),
    ),
    Breakage(
        "a logout of what was read as none asks no more",
        "_core/mapping.py",
        "SessionMapping.clear",
        "state.ids or state.stored is not None or state.gone is not None or state.met_alive",
        "state.stored is not None or state.gone is not None or state.met_alive",
        known("a logout of what is over by the clock of its host alone"),
    ),
    Breakage(
        "a logout leaves the cookie that its own host takes for over",
        "_core/cookie_session.py",
        "_presented",
        "min(max(record.accessed, __X__), __Y__)",
        "now",
        "laws/test_clocks.py::test_a_logout_ends_the_cookie_that_another_host_would_still_open",
    ),
    Breakage(
        "a cookie that was ended ends all of its subject",
        "_core/cookie_session.py",
        "_presented",
        "contents is not None and await is_live(engine, contents, record.subject)",
        "contents is not None",
        "laws/test_cookie_copies.py::test_a_copy_that_was_ended_ends_nothing",
    ),
    Breakage(
        "what another request saved is taken for a write under the new id",
        "_core/withdrawal.py",
        "abandon",
        "state.stored, state.tried = kept, None",
        "state.stored = kept",
        known("what was saved under a new id, whose store fails twice then, beside a request"),
    ),
    Breakage(
        "what is told as lost after a conflict is saved",
        "_core/withdrawal.py",
        "withdraw",
        "saved or (state.leaving, None)",
        "saved",
        known("two requests that move an old session, one under a new id, which gives up after a conflict"),
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
        "_before_a_login",
        "leaving.saved or (leaving, None)",
        "(leaving, None)",
        known("a new id that is saved, and a login that is saved after it, which fails"),
    ),
    Breakage(
        "nobody knows whose session has ended",
        "_core/conflict.py",
        "end_state",
        "state.was = questions.whose(state)",
        "pass",
        "laws/test_what_is_told.py",
    ),
    Breakage(
        "a browser that was revoked keeps nothing for a minute",
        "_wire/marks.py",
        "ended",
        "how == 'revoke' or not until - TOMBSTONE_LIFE - SKEW <= now < until",
        "not until - TOMBSTONE_LIFE - SKEW <= now < until",
        "laws/test_revoked.py::test_who_was_revoked_begins_anew_with_the_same_cookie",
    ),
    Breakage(
        "a revocation of an old id is not met by who finishes the change of it",
        "_core/predecessors.py",
        "_living",
        "there.is_over",
        "there.how == 'logout'",
        "laws/test_revoked.py::test_a_revocation_of_the_old_id_ends_the_new_one_too",
    ),
)
"""Of logins that stand or do not, and of what ended."""
