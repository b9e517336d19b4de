"""Breakages of the engine: sessions in cookies, and the sessions and cookies of other libraries."""

from __future__ import annotations

from typing import Final

from tests.mutants.breakage import Breakage, known

__all__ = ["COOKIES"]

SEC: Final = "security/test_"

COOKIES: Final = (
    Breakage(
        "a cookie that is too large is sent",
        "_core/cookie_session.py",
        "_make",
        "len(header[1]) > engine.cookie_limit",
        "len(header[1]) > 10 * engine.cookie_limit",
        f"{SEC}s15_cookie_too_large.py",
    ),
    Breakage(
        "a revoked cookie is believed",
        "_core/cookie_session.py",
        "find",
        "found is None or await endings.is_live(__MORE__)",
        "True",
        f"{SEC}s33_cookies_that_end.py",
    ),
    Breakage(
        "a cookie of before the login keeps its lineage",
        "_cookie_endings.py",
        "settle",
        "signs_in or draft.lineage is None",
        "draft.lineage is None",
        f"{SEC}s33_cookies_that_end.py",
    ),
    Breakage(
        "a new id leaves older cookies of a session alive",
        "_cookie_endings.py",
        "settle",
        "flags & REGENERATE and one",
        "False",
        f"{SEC}s33_cookies_that_end.py::test_a_change_of_id_leaves_the_older_cookies_dead",
    ),
    Breakage(
        "a login that may have ended the old cookie hands out no new one",
        "_cookie_revocation.py",
        "Revocation.carry_out",
        "self.end(storage, key, subject, tried)",
        "self.end(storage, key, subject)",
        "laws/test_cookie_copies.py::test_a_lost_reply_leaves_the_old_cookie_or_the_new_one",
    ),
    Breakage(
        "a logout of an old session that was moved and renewed ends nothing",
        "_importing.py",
        "_note_logout",
        "forward.successor(there.payload)",
        "None",
        known("a logout of an old session that was moved, and renewed"),
    ),
    Breakage(
        "what a saved cookie takes the place of ends before that goes out",
        "_core/cookie_session.py",
        "seal",
        "due is not None and final and not await endings.finish(attempt, due)",
        "due is not None and not await endings.finish(attempt, due)",
        "laws/test_cookie_saves.py::test_a_handler_that_fails_after_a_save_leaves_the_old_cookie",
    ),
    Breakage(
        "what a saved cookie takes the place of is forgotten",
        "_core/cookie_session.py",
        "seal",
        "state.flags |= SUCCEEDS",
        "",
        "laws/test_cookie_saves.py::test_what_was_saved_ends_what_it_takes_the_place_of",
    ),
    Breakage(
        "a logout after a saved login forgets the session before",
        "_cookie_endings.py",
        "_presented",
        "(current(engine, state), replaced(engine, state))",
        "(current(engine, state),)",
        known("a login in a cookie that is saved, and a logout, beside a new id of the session before"),
    ),
    Breakage(
        "a cookie that was saved goes out although its request failed",
        "_core/cookie_session.py",
        "take_back",
        "engine.is_server_side or not state.flags & SUCCEEDS",
        "True",
        "laws/test_cookie_saves.py::test_a_store_that_is_gone_at_the_end_hands_out_nothing",
    ),
    Breakage(
        "what was saved under a new id is lost with a failed request",
        "_core/cookie_session.py",
        "take_back",
        "stood is not None and replaced is not None and __X__",
        "False",
        "laws/test_cookie_saves.py::test_what_was_saved_under_a_new_id_goes_back_to_the_one_before",
    ),
    Breakage(
        "an old session is taken over although it was revoked",
        "_importing.py",
        "_is_unrevoked",
        "facts is not None and __X__",
        "False",
        known("an old session after a revocation"),
    ),
    Breakage(
        "an old session is taken over more than once",
        "_importing.py",
        "close",
        "legacy is None or legacy.source is None or legacy.key is None or __A__ or __B__",
        "True",
        known("a copy of an old cookie after a logout"),
    ),
    Breakage(
        "an old cookie is read after its importer's end date",
        "_importing.py",
        "look",
        "now < each.until",
        "now",
        "importers/test_importers.py::test_the_end_date_holds",
    ),
    Breakage(
        "a logout does not say that an old session is over whose move could not be noted",
        "_importing.py",
        "forget_origins",
        "origin.startswith(_ORIGIN)",
        "not origin.startswith(_ORIGIN)",
        "laws/test_every_write_can_fail.py::test_a_logout_holds_for_copies_of_an_old_cookie_whose_login_could_not_be_noted",
    ),
    Breakage(
        "what is written past the deadline of a cookie session that its request began goes to a login",
        "_core/cookie_session.py",
        "seal",
        "state.out, state.line, state.met_alive = token, header, True",
        "state.out, state.line = token, header",
        "laws/test_cookie_copies.py::test_what_is_written_past_the_deadline_of_a_session_goes_to_no_login",
    ),
    Breakage(
        "a logout leaves the old library's cookie",
        "_serving.py",
        "_leftovers",
        "legacy.dropped",
        "not legacy",
        "importers/test_importers.py::test_a_logout_holds",
    ),
)
"""Of sessions in cookies, and of the cookies of other libraries."""
